"""Which mixture a study says to train."""

from dataclasses import dataclass
from math import hypot

import numpy as np
import pytest

from service.schemas import Score
from service.study import headline

LUCKY = {"a": 0.9, "b": 0.1}
STEADY = {"a": 0.4, "b": 0.6}
UNIFORM = {"a": 0.5, "b": 0.5}


@dataclass(frozen=True)
class Run:
    number: int
    mixture: dict[str, float]
    score: Score
    schedule: tuple = ()


def runs(*pairs, se=0.01):
    return [Run(n, mixture, Score(value=v, se=se)) for n, (mixture, v) in enumerate(pairs, 1)]


def chosen(*pairs, direction="maximize"):
    return headline.train_this(headline.tried(runs(*pairs)), direction)


def test_a_mixture_run_several_times_counts_with_its_mean():
    found = chosen((STEADY, 0.60), (LUCKY, 0.66), (LUCKY, 0.50), (STEADY, 0.62))
    assert found.numbers == [1, 4]
    assert found.score.value == pytest.approx(0.61)
    assert found.score.se == pytest.approx(hypot(0.01, 0.01) / 2)


def test_the_lowest_mean_is_best_where_less_is_better():
    assert chosen((STEADY, 0.3), (LUCKY, 0.1), (LUCKY, 0.6), direction="minimize").numbers == [1]


def test_of_equal_means_the_one_with_more_runs_counts_then_the_earliest():
    assert chosen((LUCKY, 0.5), (STEADY, 0.5), (STEADY, 0.5)).numbers == [2, 3]
    assert chosen((LUCKY, 0.5), (STEADY, 0.5)).numbers == [1]


def test_mixtures_that_differ_by_a_trace_are_one():
    near = {"a": 0.404, "b": 0.596}
    other = {"a": 0.41, "b": 0.59}
    found = headline.tried(runs((STEADY, 0.5), (near, 0.6), (other, 0.7)))
    assert [tried.numbers for tried in found] == [[1, 2], [3]]


def test_a_domain_without_weight_may_be_left_out():
    found = headline.tried(runs(({"a": 1.0, "b": 0.0}, 0.5), ({"a": 1.0}, 0.6)))
    assert [tried.numbers for tried in found] == [[1, 2]]


def test_uniform_counts_with_all_its_runs():
    found = headline.tried(runs((LUCKY, 0.7), (UNIFORM, 0.4), (UNIFORM, 0.6)))
    assert headline.uniform(found).score.value == pytest.approx(0.5)


def test_uniform_is_equal_weights_over_all_domains():
    assert headline.is_uniform({"a": 0.333, "b": 0.333, "c": 0.334})
    assert not headline.is_uniform({"a": 0.6, "b": 0.4})


def test_without_a_run_there_is_nothing_to_train():
    assert headline.tried([]) == []
    assert chosen() is None
    assert headline.leads([], "maximize") == []


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_leads_are_what_would_have_been_said_after_each_run(direction):
    rng = np.random.default_rng(0)
    mixtures = [{"a": w, "b": 1 - w} for w in (0.1, 0.3, 0.5, 0.7)]
    some = runs(
        *((mixtures[i], v) for i, v in zip(rng.integers(0, 4, 40), rng.random(40), strict=True))
    )
    said = []
    for n in range(1, len(some) + 1):
        best = headline.train_this(headline.tried(some[:n]), direction)
        if not said or (best.number, best.score) != said[-1][1:]:
            said.append((n, best.number, best.score))
    leads = headline.leads(headline.tried(some), direction)
    assert [(lead.number, lead.mixture) for lead in leads] == [item[:2] for item in said]
    values = [item[2].value for item in said]
    assert [lead.score.value for lead in leads] == pytest.approx(values)
    assert [lead.score.se for lead in leads] == pytest.approx([item[2].se for item in said])


@pytest.mark.parametrize(
    ("numbers", "words"),
    [
        ([4], "trial 4"),
        ([4, 9], "trials 4 and 9"),
        ([1, 2, 3], "trials 1, 2 and 3"),
        (list(range(1, 9)), "trials 1, 2, 3, 4, 5, 6 and 2 more"),
    ],
)
def test_trials_are_named(numbers, words):
    assert headline.trials(numbers) == words
