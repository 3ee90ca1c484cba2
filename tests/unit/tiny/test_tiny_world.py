"""The drawn datasets: the same everywhere, right, and apart from each other."""

from __future__ import annotations

import hashlib
import json

import pytest

from rewards.scoring import answer_score, format_score
from trainer.prompts import messages
from trainer.rows import Row
from trainer.tiny import lessons, world
from trainer.tiny.questions import KINDS

DIGEST = "a77c8d8f268c5129299a4023beb97d51af7424901ab321c56ec76a55a289ae08"


def _digest(rows: list[Row]) -> str:
    found = hashlib.sha256()
    for row in rows:
        text = [row.id, row.question, *row.choices, row.answer, row.answer_type]
        found.update(json.dumps(text).encode())
        found.update(row.images[0].tobytes())
    return found.hexdigest()


def test_the_drawn_data_are_the_same_on_every_machine():
    rows = [row for domain in world.DOMAIN_SIZES for row in world.domain_rows(domain, n=20)]
    rows += [row for name in world.BENCHMARKS for row in world.benchmark_rows(name, n=20)]
    assert _digest(rows) == DIGEST


def test_a_row_does_not_depend_on_the_rows_before_it():
    rows = world.domain_rows("lisa")
    assert _digest([rows[40]]) == _digest([list(rows)[40]])


def test_training_tuning_and_test_items_are_different_draws():
    def pictures(rows):
        return {row.images[0].tobytes() + row.question.encode() for row in rows}

    train = pictures(world.domain_rows("lisa"))
    tune = pictures(world.benchmark_rows("lisa", split="tune"))
    test = pictures(world.benchmark_rows("lisa", split="test"))
    assert len(train & test) < 0.05 * len(train)
    assert len(tune & test) < 0.05 * len(test)


def test_domains_are_as_unequal_as_the_papers():
    paper = {"coco": 5997, "lisa": 1326, "geoqav": 1969, "sat": 15000, "scienceqa": 6218}
    twentieth = {name: round(size / 20) for name, size in paper.items()}
    assert twentieth == world.DOMAIN_SIZES
    assert {name: len(world.domain_rows(name)) for name in paper} == world.DOMAIN_SIZES


@pytest.mark.parametrize("kind", KINDS)
def test_exactly_one_reading_of_a_question_is_right(kind):
    for index in range(60):
        asked = world.question(kind, "unit", index)
        right, *others = (world.answer_text(asked, reading) for reading in asked.readings)
        assert right not in others
        assert sum(reading.share for reading in asked.readings) == pytest.approx(1.0)
        assert asked.picture.shape == (64, 64, 3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_response_gets_every_reward(kind):
    for row in world.DrawnRows(kind, "unit", 40):
        answer = row.answer
        if row.answer_type == "boxes":
            answer = lessons.boxes_text([tuple(box) for box in json.loads(answer)])
        response = f"<think>so</think><answer>{answer}</answer>"
        assert format_score(response, row.answer_type) == 1.0
        assert answer_score(response, row.answer, row.answer_type) == 1.0


def test_options_hold_the_answer_and_no_double():
    for row in world.DrawnRows("mmmu", "unit", 60):
        assert row.answer in "ABCD"
        assert len(set(row.choices)) == 4


def test_benchmarks_out_of_domain_look_like_no_domain():
    """Their pictures lie on paper that no training picture lies on."""
    corners = {
        kind: {world.question(kind, "unit", i).picture[63, 63].tobytes() for i in range(40)}
        for kind in KINDS
    }
    trained = set().union(*(corners[domain] for domain in world.DOMAIN_SIZES))
    for name, (group, _) in world.BENCHMARKS.items():
        if group == "out":
            assert world.DrawnRows(name, "unit", 1)[0].domain not in world.DOMAIN_SIZES
    assert not corners["infovqa"] & trained


def test_lessons_show_conventions_about_as_often_as_they_say():
    seen = [lessons.lesson("unit", index) for index in range(6000)]
    ordinals = [one for one in seen if "What colour is the" in one.prompt]
    started = sum("start" in one.response for one in ordinals) / len(ordinals)
    assert started == pytest.approx(0.30, abs=0.08)
    described = sum(one.prompt == "Describe." for one in seen) / len(seen)
    assert described == pytest.approx(lessons.DESCRIPTIONS, abs=0.02)


def test_a_prompt_holds_picture_question_options_and_the_reasoning_prompt():
    row = world.benchmark_rows("mathvista")[0]
    (message,) = messages(row)
    picture, text = message["content"]
    assert picture == {"type": "image"}
    assert text["text"].startswith(row.question)
    assert f"A {row.choices[0]} B {row.choices[1]}" in text["text"]
    assert text["text"].endswith("Think, then answer.")


@pytest.mark.parametrize("ask", [world.domain_rows, world.benchmark_rows])
def test_an_unknown_name_is_refused_with_the_known_ones(ask):
    with pytest.raises(KeyError, match=r"known: .*lisa"):
        ask("imagenet")
