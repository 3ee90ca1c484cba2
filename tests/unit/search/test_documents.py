"""What the engine found, as JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from service.search import documents
from service.search.diagnostics import diagnose
from service.search.runs import Runs
from service.search.space import MixtureSpace

SPACE = MixtureSpace.simplex(["coco", "sat"])


def test_a_mixture_by_name_keeps_every_digit():
    named = SPACE.named(np.array([1 / 3, 2 / 3]))
    assert named == {"coco": 1 / 3, "sat": 2 / 3}
    assert all(type(weight) is float for weight in named.values())
    with pytest.raises(ValueError):
        SPACE.named(np.array([1.0]))


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), np.float64("-inf")])
def test_a_figure_that_is_not_defined_is_null(value):
    assert documents.finite(value) is None


def test_a_diagnosis_is_json_with_domains_by_name():
    weights = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.7, 0.3], [0.3, 0.7], [0.5, 0.5]])
    unknown = np.full(len(weights), np.nan)
    score = np.array([0.41, 0.44, 0.52, 0.50, 0.51, 0.53])
    runs = Runs(weights, score, unknown, unknown, unknown)
    found = diagnose("bayes-quadratic", SPACE, runs, 0, "maximize")
    document = documents.diagnosis(SPACE, found)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert document["best"]["weights"] == SPACE.named(found.best.weights)
    assert set(document["effects"]["alone"]) == {"coco", "sat"}
    [(pair, synergy)] = document["effects"]["synergy"].items()
    assert (pair, synergy["mean"]) == ("coco*sat", found.effects.synergy[0, 1].mean)
    [confirmed] = document["confirmations"]
    assert (confirmed["n"], confirmed["weights"]) == (2, {"coco": 0.5, "sat": 0.5})
