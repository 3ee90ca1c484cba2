"""Rules give what published scorers gave; the vectors' README tells of intended differences."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rewards.cases import Case
from rewards.rules import RULES, rule_named

VECTORS = Path(__file__).parents[2] / "data" / "vectors"

RULE_OF = {
    "anls": "anls",
    "boxes_visualrft": "box-greedy",
    "chartqa": "chartqa-relaxed",
    "iou": "box-iou",
    "mathvista": "mathvista",
    "mathvista_normalize": "mathvista-extracted",
    "mmmu_mcq": "mmmu",
    "mmmu_open": "mmmu",
    "scienceqa": "scienceqa-letter",
    "think_answer_format": "think-answer-format",
}
CORPORA = "lisa_giou_ciou"


def lines(name: str) -> list[dict]:
    return [json.loads(line) for line in (VECTORS / f"{name}.jsonl").read_text().splitlines()]


def case_of(vector: dict) -> Case:
    answer = vector["answer"]
    return Case(
        vector["response"],
        answer if isinstance(answer, str) else tuple(answer),
        vector["extra"],
    )


@pytest.mark.parametrize(
    ("name", "vector"),
    [
        pytest.param(name, vector, id=f"{name}-{number}")
        for name in RULE_OF
        for number, vector in enumerate(lines(name), 1)
    ],
)
def test_a_rule_gives_the_published_score(name, vector):
    score = rule_named(RULE_OF[name]).score(case_of(vector))
    assert score == pytest.approx(vector["score"], abs=1e-6)


@pytest.mark.parametrize(
    "vector", [pytest.param(vector, id=f"{n}") for n, vector in enumerate(lines(CORPORA), 1)]
)
def test_a_set_of_images_gets_lisas_two_scores(vector):
    height, width = vector["extra"]["size_hw"]
    cases = [
        Case(json.dumps(said), json.dumps(true), {"size": [width, height]})
        for said, true in zip(vector["response"], vector["answer"], strict=True)
    ]
    giou, ciou = (RULES[name].of_all(cases) for name in ("lisa-giou", "lisa-ciou"))
    assert giou.score == pytest.approx(vector["extra"]["giou_lisa_official"], abs=1e-6)
    assert ciou.score == pytest.approx(vector["extra"]["ciou_lisa_official"], abs=1e-6)


def test_every_file_of_vectors_is_read():
    assert {path.stem for path in VECTORS.glob("*.jsonl")} == {*RULE_OF, CORPORA}
    assert all(lines(name) for name in (*RULE_OF, CORPORA))


def test_a_random_option_of_the_published_mmmu_scorer_is_worth_nothing_here():
    drawn = [v for v in lines("mmmu_mcq") if v["extra"]["random_fallback"]]
    assert drawn
    assert all(RULES["mmmu"].score(case_of(vector)) == 0 for vector in drawn)
