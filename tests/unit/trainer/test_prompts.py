"""Rows become prompts in one place."""

import pytest
from PIL import Image

from rewards.tags import split_response
from trainer.prompts import STYLES, as_response, messages, prompt_text
from trainer.rows import Row

IMAGE = Image.new("RGB", (4, 4))
CHOICE = Row("1", "d", (IMAGE, IMAGE), "Which?", "B", "choice", ("red", "blue"))


def text_of(row, style):
    return messages(row, style)[0]["content"][-1]["text"]


def test_the_miniature_reads_what_it_was_warmed_up_on():
    assert text_of(CHOICE, "tiny") == "Which? A red B blue Think, then answer."


def test_options_stand_in_lines_and_reasoning_asks_for_the_response_form():
    lines = text_of(CHOICE, "reasoning").splitlines()
    assert lines[:3] == ["Which?", "A. red", "B. blue"]
    assert all(tag in lines[3] for tag in ("<think>", "</think>", "<answer>", "</answer>"))
    assert "letter" in lines[4]


def test_a_plain_prompt_asks_for_no_tags_and_its_answer_gets_them():
    assert "<" not in text_of(CHOICE, "plain")
    response = split_response(as_response(" B\n", "plain"))
    assert response is not None
    assert response.answer == "B"
    assert as_response("<think>x", "reasoning") == "<think>x"


@pytest.mark.parametrize(
    ("coordinates", "unit"), [("thousandths", "0 to 1000"), ("pixels", "pixels")]
)
def test_boxes_are_asked_for_in_the_models_coordinates(coordinates, unit):
    row = Row("1", "d", (IMAGE,), "Where?", "[[1, 2, 3, 4]]", "boxes", coordinates=coordinates)
    words = prompt_text(row, STYLES["reasoning"])
    assert "[{'Position': [x1, y1, x2, y2], 'Confidence': number}, ...]" in words
    assert unit in words


def test_every_image_has_its_place_before_the_text():
    kinds = [part["type"] for part in messages(CHOICE)[0]["content"]]
    assert kinds == ["image", "image", "text"]
