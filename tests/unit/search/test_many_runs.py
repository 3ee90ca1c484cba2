"""More runs than a Gaussian process can learn from at once, and more than it takes at all."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from modomodo.cli import app
from modomodo.errors import CommandFailed
from service.search.errors import TooManyRunsError
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.strategies import propose
from service.search.surrogates import fit


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global GaussianProcess, Kind
    from service.search.surrogates.gp import GaussianProcess, Kind


SPACE = MixtureSpace.simplex(["a", "b"])
MESSAGE = "gp takes at most 2,000 completed runs; there are 2,001 (auto and bayes-quadratic take"


def many(n):
    rng = np.random.default_rng(1)
    w = rng.random(n)
    y = 0.4 + 0.2 * w * (1 - w) + 0.01 * rng.normal(size=n)
    unknown = np.full(n, np.nan)
    return Runs(np.column_stack([w, 1 - w]), y, unknown, unknown, y)


def test_scales_are_learned_from_some_runs_and_predictions_made_by_all():
    runs = many(400)
    fitted = GaussianProcess([Kind(1.0, 2)], learned_from=40).fit(SPACE, runs, 0)
    assert "its scales learned from 40 of 400 runs" in fitted.kind
    X = np.array([[0.5, 0.5], [0.2, 0.8]])
    mean, sd = fitted.predict(X)
    assert mean == pytest.approx(0.4 + 0.2 * X[:, 0] * X[:, 1], abs=0.004)
    assert np.all(sd < 0.003)  # what 40 runs alone would leave open is more
    assert len(fitted.leave_one_out()[0]) == 400


def test_few_runs_are_all_learned_from():
    fitted = GaussianProcess([Kind(1.0, 1)]).fit(SPACE, many(12), 0)
    assert fitted.kind == "linear trend on raw weights"


def test_too_many_runs_are_refused_alike_everywhere(tmp_path):
    runs = many(2001)
    for ask in (
        lambda: fit("gp", SPACE, runs, 0),
        lambda: propose("gp", SPACE, runs, np.empty((0, 2)), 1, 0),
    ):
        with pytest.raises(TooManyRunsError) as caught:
            ask()
        assert str(caught.value).startswith(MESSAGE)
    file = tmp_path / "runs.csv"
    scored = zip(runs.weights.tolist(), runs.score.tolist(), strict=True)
    rows = [f"{w[0]!r},{w[1]!r},{y!r}" for w, y in scored]
    file.write_text("\n".join(["w_a,w_b,out_score", *rows]))
    for command in (["suggest", "--strategy", "gp"], ["fit", "--surrogate", "gp"]):
        result = CliRunner().invoke(app, [*command, "--data", str(file)])
        assert isinstance(result.exception, CommandFailed)
        assert str(result.exception).startswith(MESSAGE)
