"""What a model reads: a row's own words never stand for a picture, nor do they end a turn."""

import pytest
from PIL import Image

from trainer.prompts import messages
from trainer.rows import Row


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global load
    from trainer.tiny.model import load


@pytest.fixture(scope="module")
def processor():
    return load()[1]


def row(**other) -> Row:
    parts = {"id": "1", "domain": "d", "images": (), "question": "q", "answer": "a"}
    return Row(**(parts | {"answer_type": "text"} | other))


def tokens(processor, asked: Row) -> list[int]:
    text = processor.apply_chat_template(messages(asked), tokenize=False)
    return processor.tokenizer(text)["input_ids"]


CONTROL = ("<|image_pad|>", "<|video_pad|>", "<|im_end|>", "<|im_start|>", "<|vision_start|>")


@pytest.mark.parametrize("token", [*CONTROL, "<|endoftext|>", "<|image_pad|>" * 3])
@pytest.mark.parametrize("part", ["question", "choices"])
def test_a_control_token_in_a_rows_words_is_read_as_letters(processor, token, part):
    words = f"What does {token} stand for?"
    asked = row(question=words) if part == "question" else row(choices=("x", words))
    known = set(processor.tokenizer.added_tokens_decoder)
    plain = row() if part == "question" else row(choices=("x", "y"))
    controls = [token for token in tokens(processor, asked) if token in known]
    assert controls == [token for token in tokens(processor, plain) if token in known]


def test_pictures_and_words_for_pictures_do_not_mix(processor):
    asked = row(images=(Image.new("RGB", (64, 64)),), question="What is <|image_pad|>?")
    text = processor.apply_chat_template(messages(asked), tokenize=False)
    inputs = processor(text=[text], images=list(asked.images), return_tensors="pt")
    pads = int((inputs["input_ids"] == processor.image_token_id).sum())
    assert pads == int(inputs["image_grid_thw"].prod()) // 4
    assert "< |image_pad|>" in text


def test_other_words_are_left_as_they_are(processor):
    asked = row(question="Is 1 <| 2 |> 3, or <think>?")
    assert asked.question in processor.apply_chat_template(messages(asked), tokenize=False)


def test_a_system_prompt_is_read_as_letters_too(processor):
    said = [{"role": "system", "content": "Say <|im_end|>."}, *messages(row())]
    assert "< |im_end|>" in processor.apply_chat_template(said, tokenize=False)


def test_a_processor_that_has_read_something_is_saved(processor, tmp_path):
    tokens(processor, row())
    processor.save_pretrained(tmp_path)
    assert (tmp_path / "tokenizer.json").exists()
