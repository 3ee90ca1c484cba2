"""`auto` where the libraries of `gp` are not installed, as in a base install."""

from __future__ import annotations

import numpy as np
import pytest

from modomodo import extras
from service.search import surrogates
from service.search.runs import Runs
from service.search.space import MixtureSpace


@pytest.fixture
def base_install(monkeypatch):
    monkeypatch.setattr(surrogates, "find_spec", lambda name: None)


def test_auto_does_without_gp(base_install):
    rng = np.random.default_rng(0)
    X = rng.dirichlet(np.ones(3), 12)
    unknown = np.full(12, np.nan)
    runs = Runs(X, X[:, 0] + 0.01 * rng.normal(size=12), unknown, unknown, unknown)
    fitted = surrogates.fit("auto", MixtureSpace.simplex(["a", "b", "c"]), runs, 0)
    assert fitted.name == "bayes-quadratic"


def test_what_it_goes_without_is_said_with_how_to_get_it(base_install):
    assert extras.left_out_of_auto() == (
        "auto goes without gp, whose libraries are not installed; get them with: "
        "pip install 'modomodo[gp]'"
    )


def test_nothing_is_said_where_all_is_installed():
    assert extras.left_out_of_auto() is None
