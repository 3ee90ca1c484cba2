"""Measurements of scored items, and what they add up to."""

import math
from pathlib import Path

import pytest
from PIL import Image

from rewards import corpus
from rewards.rules import RULES
from service.schemas import BenchmarkSpec, DomainSpec, Measurement, Score, StudySpec
from trainer.recipe import Recipe
from trainer.rows import Row


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global benchmark_sets, measurement, official_case
    from trainer.data import benchmark_sets
    from trainer.run.evaluate import measurement, official_case


def measured_of(benchmark, scores, step):
    return measurement(benchmark, corpus.mean(scores), len(scores), step)


def test_right_and_wrong_answers_leave_the_sampling_error_to_the_binomial():
    measured = measured_of("sat", [1, 0, 0, 1], step=7)
    assert (measured.score, measured.samples, measured.step, measured.se) == (0.5, 4, 7, None)
    assert measured.sampling_error() == pytest.approx(math.sqrt(0.25 / 6))


def test_graded_scores_carry_the_standard_error_of_their_mean():
    measured = measured_of("lisa", [0.0, 0.5, 1.0], step=0)
    assert measured.score == 0.5
    assert measured.se == pytest.approx(0.5 / math.sqrt(3))


@pytest.mark.parametrize("score", [0.0, 1.0])
def test_a_perfect_or_hopeless_score_still_has_an_error(score):
    assert measured_of("sat", [score] * 50, step=0).sampling_error() > 0


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


FORMED = "<think>it says 7</think><answer>12.3</answer>"


@pytest.mark.parametrize(
    ("response", "read"),
    [
        (FORMED, "12.3"),
        ("12.3", "12.3"),
        ("it is <answer>12.3</answer>", "it is 12.3"),
        ("<think>it says 7</think> 12.3", "12.3"),
        ("it says 7</think>12.3", "12.3"),
        ("12.3 <think>or 7", "12.3"),
        ("<think>it says 7", ""),
    ],
)
def test_official_rules_read_the_answer_and_never_a_thought(response, read):
    assert official_case(response, Row("1", "chartqa", (), "?", "12", "text")).response == read


def test_official_rules_compare_with_the_answer_that_extra_has():
    row = Row("1", "infovqa", (), "?", "12", "text", extra={"answer": ["12", "twelve"]})
    said = official_case("<think></think><answer>Twelve</answer>", row)
    assert RULES["infovqa-anls"].score(said) == 1
    assert RULES["exact"].score(said) == 0, "the paper's rule keeps to the row's answer"


def test_boxes_in_any_coordinates_are_counted_in_the_sources_pixels():
    image = Image.new("RGB", (64, 32))
    answers = {"thousandths": "[[0, 0, 500, 500]]", "pixels": "[[0, 0, 32, 16]]"}
    for coordinates, answer in answers.items():
        row = Row(
            "1", "lisa", (image,), "?", answer, "boxes", (), coordinates, "", {"size": [640, 320]}
        )
        case = official_case(answer, row)
        assert RULES["lisa-giou"].score(case) == 1
        assert RULES["lisa-ciou"].weight(case) == 320 * 160


def test_points_on_the_way_may_be_scored_on_fewer_items():
    recipe = Recipe.parse({"evaluation": {"limit": 5, "limit_on_the_way": 2}})
    last = benchmark_sets(recipe, Path())
    before = benchmark_sets(recipe, Path(), on_the_way=True)
    assert {len(items.rows) for items in last.values()} == {5}
    assert {len(items.rows) for items in before.values()} == {2}
    same = Recipe.parse({"evaluation": {"limit": 3}})
    assert len(benchmark_sets(same, Path(), on_the_way=True)["sat"].rows) == 3
