"""Measurements of scored items, and what they add up to."""

import math

import pytest

from service.schemas import BenchmarkSpec, DomainSpec, Measurement, Score, StudySpec
from trainer.evaluate import measurement


def test_right_and_wrong_answers_leave_the_sampling_error_to_the_binomial():
    measured = measurement("sat", [1, 0, 0, 1], step=7)
    assert (measured.score, measured.samples, measured.step, measured.se) == (0.5, 4, 7, None)
    assert measured.sampling_error() == pytest.approx(math.sqrt(0.25 / 6))


def test_graded_scores_carry_the_standard_error_of_their_mean():
    measured = measurement("lisa", [0.0, 0.5, 1.0], step=0)
    assert measured.score == 0.5
    assert measured.se == pytest.approx(0.5 / math.sqrt(3))


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_perfect_or_hopeless_score_still_has_an_error(score):
    assert measurement("sat", [score] * 50, step=0).sampling_error() > 0


def study():
    return StudySpec(
        name="s",
        domains=[DomainSpec(name="sat")],
        benchmarks=[
            BenchmarkSpec(name="lisa", group="in", samples=3397),
            BenchmarkSpec(name="sat", group="in", samples=1928),
            BenchmarkSpec(name="chartqa", group="out", samples=2500),
        ],
    )


def test_in_score_weighs_benchmarks_by_their_samples_and_adds_errors_in_squares():
    measured = [
        Measurement(benchmark="lisa", score=0.4, samples=10, se=0.03),
        Measurement(benchmark="sat", score=0.7, samples=10, se=0.04),
    ]
    share = 3397 / (3397 + 1928)
    scores = study().scores(measured)
    assert scores.in_score == Score(
        value=share * 0.4 + (1 - share) * 0.7,
        se=math.hypot(share * 0.03, (1 - share) * 0.04),
    )
    assert scores.out_score is None, "chartqa was not measured"


def test_the_last_step_counts_and_other_rules_do_not():
    measured = [
        Measurement(benchmark="chartqa", score=0.3, samples=10, step=500),
        Measurement(benchmark="chartqa", score=0.5, samples=10, step=2000),
        Measurement(benchmark="chartqa", score=0.9, samples=10, step=2000, rule="official"),
    ]
    objective = study().scores(measured).objective
    assert objective is not None
    assert objective.value == 0.5
