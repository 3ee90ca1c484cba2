"""Floors, fronts and the worst column on a file of runs, with no service."""

from __future__ import annotations

import numpy as np
import pytest
from typer.testing import CliRunner

from modomodo.cli import app
from modomodo.errors import WrongUse
from modomodo.units import Unit
from service.study.points import signed
from tests.unit.cli.test_suggest_and_fit import printed, said, written

SLOPES = np.array([[0.6, 0.2, 0.3], [0.2, 0.6, 0.3]])
BY = ("--surrogate", "bayes-quadratic")


@pytest.fixture
def runs(tmp_path):
    """Eight runs; the columns `first` and `second` are best on different domains."""
    rng = np.random.default_rng(0)
    X = np.vstack([np.full(3, 1 / 3), np.eye(3), rng.dirichlet(np.ones(3), size=4)])
    y = X @ SLOPES.T + 0.002 * rng.normal(size=(8, 2))
    rows = [[f"{v:.9f}" for v in (*x, *scores)] for x, scores in zip(X, y, strict=True)]
    return written(tmp_path / "runs.csv", ["w_coco", "w_lisa", "w_sat", "first", "second"], rows)


def fitted(runs, *more, objective="first"):
    return said("fit", "--data", runs, "--objective", objective, *BY, *more)


def test_a_front_goes_from_the_best_of_one_column_to_the_best_of_the_other(runs):
    goal = fitted(runs, "--front", "second")["goal"]
    assert goal["objectives"] == ["first", "second"]
    first, last = goal["front"][0], goal["front"][-1]
    assert first["weights"]["lisa"] > 0.9
    assert last["weights"]["coco"] > 0.9
    assert goal["front"][goal["choice"]]["weights"] == goal["recommended"]["weights"]


def test_a_floor_holds_as_surely_as_asked(runs):
    floor = ("--floor", "second >= uniform - 0.05", "--floor-probability", "0.8")
    goal = fitted(runs, *floor)["goal"]
    assert goal["verdict"] == "kept"
    assert goal["recommended"]["together"] >= 0.8
    assert goal["constraints"][0]["level"] == pytest.approx(0.367 - 0.05, abs=0.02)
    assert goal["recommended"]["weights"]["coco"] < 0.9


def test_a_person_is_told_what_is_recommended_and_what_is_impossible(runs):
    options = ("fit", "--data", runs, "--objective", "first", *BY)
    assert "recommended" in printed(*options, "--front", "second")
    out = printed(*options, "--floor", "second >= 0.9")
    assert "These floors look impossible: second at least 0.9 is beyond every mixture" in out


def test_the_worst_of_some_columns_is_improved(runs):
    columns = ("--benchmark", "first=1", "--benchmark", "second=1", "--worst")
    goal = fitted(runs, *columns, objective="both")["goal"]
    assert goal["objectives"] == ["worst"]
    assert goal["recommended"]["values"]["worst"]["mean"] > 0
    assert goal["recommended"]["weights"]["sat"] < 0.2


def test_suggestions_keep_to_floors(runs):
    found = said(
        *("suggest", "--data", runs, "--objective", "first", "--strategy", "bayes-quadratic"),
        *("--floor", "second >= uniform"),
    )
    assert "all floors hold" in found["mixtures"][0]["reason"]


def test_without_wishes_nothing_of_goals_is_printed(runs):
    assert "goal" not in fitted(runs)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--floor", "second > 1"], "with >= between them"),
        (["--floor", "second >= best"], "uniform - 0"),
        (["--floor", "second >= 0.1", "--minimize"], "leave --minimize out"),
        (["--front", "second", "--worst"], "leave out one of them"),
        (["--worst"], "two or more of --benchmark"),
        (["--front", "first"], "the objective itself"),
        (["--front", "a", "--front", "b", "--front", "c"], "at most two"),
        (["--front", "second", "--front", "second"], "more than once"),
        (["--front", "second", "--surrogate", "quadsurface"], "bayes-quadratic"),
    ],
)
def test_wishes_that_do_not_go_together_are_wrong_use(runs, options, message):
    command = ["fit", "--data", str(runs), "--objective", "first", *BY, *options]
    result = CliRunner().invoke(app, command)
    assert isinstance(result.exception, WrongUse)
    assert message in str(result.exception)


def test_what_is_as_good_as_nothing_has_no_minus():
    points, own = Unit.of(np.array([0.4]), "out_score"), Unit.of(np.array([4.0]), "loss")
    assert points.gain(-1e-9, 1e-9) == "+0.0 ± 0.0"
    assert own.gain(-0.0) == "+0"
    assert signed(-1e-9, 1e-9) == "+0.0 ± 0.0"
    assert (points.gain(-0.01), own.gain(-1.0), signed(-0.01, 0)) == ("-1.0", "-1", "-1.0 ± 0.0")
