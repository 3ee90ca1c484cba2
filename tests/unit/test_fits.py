"""What is fitted for the pages is fitted once, whatever is asked of it."""

from __future__ import annotations

import ast
import pickle
import sys
from dataclasses import replace
from functools import partialmethod
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from service.errors import NoFit
from service.executor.process import EngineFailed, Inline
from service.fitting import questions
from service.fitting.fits import Fits
from service.fitting.sources import LIBRARIES, ROOMS, ROOT, code_digest, digest
from service.search.diagnostics import diagnose
from service.search.errors import TooFewRunsError, TooManyRunsError, UnsuitedError
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.surrogates import SIDE_BY_SIDE

SPACE = MixtureSpace.simplex("abc")
AT = np.array([[1.0, 0.0, 0.0], [0.2, 0.3, 0.5]])


@pytest.fixture
def runs():
    rng = np.random.default_rng(5)
    X = SPACE.sample(9, rng)
    y = X @ np.array([0.3, 0.5, 0.4]) + 0.01 * rng.normal(size=9)
    nothing = np.full(9, np.nan)
    return Runs(X, y, np.full(9, 0.01), nothing, nothing)


@pytest.fixture
def fitted(monkeypatch):
    """Names of what is fitted from now on."""
    names = []

    def fit(name, *rest, really=questions.fit):
        names.append(name)
        return really(name, *rest)

    monkeypatch.setattr(questions, "fit", fit)
    monkeypatch.setattr(questions, "_fitted", type(questions._fitted)())
    return names


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_a_diagnosis_and_predictions_share_one_fit(runs, fitted, direction):
    found = questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None, SPACE)
    mean, sd = questions.predict(
        "bayes-quadratic", SPACE, runs, found.best.weights[None], direction
    )
    assert (mean[0], sd[0]) == pytest.approx((found.best.mean, found.best.sd))
    assert fitted == ["bayes-quadratic"]


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_what_is_said_is_the_same_as_of_a_fit_of_its_own(runs, fitted, direction):
    own = diagnose("bayes-quadratic", SPACE, runs, questions.SEED, direction, AT)
    mean, sd = questions.predict("bayes-quadratic", SPACE, runs, AT, direction)
    assert list(mean) == pytest.approx([item.mean for item in own.predictions])
    assert list(sd) == pytest.approx([item.sd for item in own.predictions])
    found = questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None, SPACE)
    assert found.best.mean == pytest.approx(own.best.mean)


def test_a_fit_is_another_one_when_a_channel_has_more_scores(runs, fitted):
    few, more = (replace(runs, channels={"step-5": runs.subset(np.arange(9) < n)}) for n in (4, 6))
    first, second = (
        questions.predict("bayes-quadratic", SPACE, known, AT, "maximize") for known in (few, more)
    )
    assert list(first[1]) != list(second[1])
    questions.predict("bayes-quadratic", SPACE, few, AT, "maximize")
    assert fitted == ["bayes-quadratic"] * 2


def test_the_verdict_speaks_of_scores_as_they_are_in_both_directions(runs, fitted):
    for direction in ("maximize", "minimize"):
        questions.diagnosed("bayes-quadratic", SPACE, runs, direction, None, SPACE)
        believed = questions.verdict(
            SPACE, runs, AT, direction, among=["bayes-quadratic"]
        ).posterior
        mean, sd = questions.predict("bayes-quadratic", SPACE, runs, AT, direction)
        assert list(believed.mean) == pytest.approx(list(mean))
        assert list(believed.sd) == pytest.approx(list(sd))
    assert fitted == ["bayes-quadratic"] * 2


@pytest.fixture
def one_kind_of_gp(monkeypatch):
    """A Gaussian process of one kind, in a few iterations."""
    from service.search.surrogates.gp import KINDS, GaussianProcess

    quick = partialmethod(GaussianProcess.__init__, KINDS[:1], iterations=4)
    monkeypatch.setattr(GaussianProcess, "__init__", quick)


def test_auto_averages_the_fits_that_were_made_and_makes_none_again(runs, fitted, one_kind_of_gp):
    runs = runs.subset([*range(9), 0, 1])  # two mixtures were run twice
    own = diagnose("auto", SPACE, runs, questions.SEED, "maximize", AT)
    for name in SIDE_BY_SIDE:
        questions.diagnosed(name, SPACE, runs, "maximize", None, SPACE)
    made = list(fitted)
    assert sorted(set(made)) == sorted(SIDE_BY_SIDE)
    found = questions.diagnosed("auto", SPACE, runs, "maximize", AT, SPACE)
    questions.verdict(SPACE, runs, AT, "maximize")
    questions.predict("auto", SPACE, runs, AT, "maximize")
    assert fitted == made
    assert len(found.confirmations) == 2
    for mine, theirs in zip(found.confirmations, own.confirmations, strict=True):
        assert mine.predicted == pytest.approx(theirs.predicted)
    assert found.best.mean == pytest.approx(own.best.mean)


def test_auto_before_them_leaves_them_their_fits(runs, fitted, one_kind_of_gp):
    questions.diagnosed("auto", SPACE, runs, "maximize", None, SPACE)
    for name in SIDE_BY_SIDE:
        questions.diagnosed(name, SPACE, runs, "maximize", None, SPACE)
    assert sorted(fitted) == sorted(SIDE_BY_SIDE)


class Refusing(Inline):
    """Whatever it is asked ends so."""

    def __init__(self, error):
        self.error = error

    def ask(self, function, *args, **kwargs):
        raise self.error


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (TooFewRunsError("gp needs more"), "too-few-results", "gp needs more"),
        (TooManyRunsError("gp takes fewer"), "too-many-results", "gp takes fewer"),
        (UnsuitedError("gp knows mixtures alone"), "surrogate-unsuited", "gp knows mixtures alone"),
        (ValueError("array of shape (0,)"), "fit-failed", "gp cannot be fitted to 9 runs: array"),
        (np.linalg.LinAlgError("singular"), "fit-failed", "gp cannot be fitted to 9 runs: sing"),
        (EngineFailed("its process died"), "fit-failed", "gp cannot be fitted to 9 runs: its pr"),
    ],
)
def test_each_reason_not_to_be_fitted_has_its_own_code(runs, error, code, said):
    objective, search = SimpleNamespace(direction="maximize"), SimpleNamespace(schedule=None)
    spec = SimpleNamespace(name="vlm", objective=objective, search=search)
    known = SimpleNamespace(spec=spec, space=SPACE, runs=runs)
    with pytest.raises(NoFit) as refused:
        Fits(Refusing(error)).predict(known, "gp", AT)
    assert refused.value.code == code
    assert refused.value.detail.startswith(said)


def test_why_a_surrogate_takes_no_runs_is_the_same_in_another_process(runs):
    with pytest.raises(TooFewRunsError) as refused:
        questions.predict("quadsurface", SPACE, runs.subset([0]), AT, "maximize")
    again = pickle.loads(pickle.dumps(refused.value))  # noqa: S301 - our own
    assert (type(again), str(again)) == (TooFewRunsError, str(refused.value))


def test_other_code_gives_other_fits_and_nothing_else_does(tmp_path):
    surrogates = tmp_path / "service" / "search" / "surrogates"
    surrogates.mkdir(parents=True)
    source = surrogates / "gp.py"
    source.write_text("ITERATIONS = 50")
    first = digest(tmp_path)
    (surrogates / "gp.pyc").write_bytes(b"compiled")
    (tmp_path / "service" / "dashboard").mkdir()
    (tmp_path / "service" / "dashboard" / "words.py").write_text("of pages alone")
    assert digest(tmp_path) == first
    source.write_text("ITERATIONS = 60")
    second = digest(tmp_path)
    source.rename(source.with_name("process.py"))
    assert len({first, second, digest(tmp_path)}) == 3
    assert all((ROOT / room).is_dir() for room in ROOMS)


def test_another_version_of_a_library_gives_other_fits(monkeypatch):
    here = code_digest()
    assert code_digest() == here
    known = metadata.version
    for changed in LIBRARIES:
        with monkeypatch.context() as patch:
            patch.setattr(metadata, "version", lambda name: known(name) + "+b" * (name == changed))  # noqa: B023
            assert code_digest() != here, changed


def test_libraries_that_the_search_computes_with_are_known_to_a_fits_mark():
    imports = {
        name.partition(".")[0]
        for file in (ROOT / "service" / "search").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text()))
        for name in (
            [item.name for item in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    beside = {"service", "ax"}  # Ax proposes, and fits nothing that is shown
    assert imports - sys.stdlib_module_names - beside == {*LIBRARIES}


BESIDE = {f"service/{name}.py" for name in ("__init__", "errors", "executor/process", "own_python")}
"""What fits import besides, and no figure depends on: refusals, and how a process is started."""


def imported(file):
    """Files of this project that one imports."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            for name in (node.module, *(f"{node.module}.{item.name}" for item in node.names)):
                place = ROOT / name.replace(".", "/")
                yield from filter(Path.is_file, (place.with_suffix(".py"), place / "__init__.py"))


def test_all_code_that_fits_are_made_by_tells_one_fit_from_another():
    reached, ahead = set(), {*(ROOT / "service" / "fitting").glob("*.py")}
    while ahead:
        reached |= ahead
        ahead = {found for file in ahead for found in imported(file)} - reached
    names = {file.relative_to(ROOT).as_posix() for file in reached}
    assert {name for name in names if not name.startswith(ROOMS)} == BESIDE
