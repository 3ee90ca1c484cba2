"""Which answers are asked for together, and for how long: it changes none of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.support import TRAINING_S
from trainer.domains import images, lisa
from trainer.recipe import Recipe, RecipeError
from trainer.rows import Row, length_of, unseen


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global Decoding, PreparedRows, Qwen2VLImageProcessorPil, Share, TorchDynamoException, answers
    global ItemSet, RunFolder, answers_module, benchmark_sets, cap_pixels, captured, evaluate, jpeg
    global load, models, official_case, prepared_from, scaled, torch
    import torch
    from torch._dynamo.exc import TorchDynamoException
    from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

    from tests.support.datasets import jpeg, prepared_from
    from tests.support.graphs import captured
    from trainer.data import ItemSet, benchmark_sets
    from trainer.domains.prepared import PreparedRows
    from trainer.run import answers as answers_module
    from trainer.run import models
    from trainer.run.answers import Share, answers
    from trainer.run.decoding import Decoding
    from trainer.run.evaluate import evaluate, official_case
    from trainer.run.processors import cap_pixels, scaled
    from trainer.storage.run_folder import RunFolder
    from trainer.tiny.model import load


pytestmark = pytest.mark.timeout(TRAINING_S)

SLOW = {
    "pictures_once": False,
    "features": False,
    "prefetch": False,
    "evaluation_stages": False,
    "evaluation_sorted": False,
}


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """A batch and two, of several lengths, one without a picture, one with two."""
    recipe = Recipe.parse({"evaluation": {"limit": 4}})
    sets = benchmark_sets(recipe, Path())
    found = [*sets["sat"].rows, *sets["lisa"].rows][:7]
    wide = Image.new("RGB", (96, 64), "red")
    found[1] = Row("a", "sat", (), found[1].question, "A", "choice")
    found[4] = Row("b", "sat", (wide, found[4].images[0]), found[4].question, "A", "choice")
    return found


def answered(rows, speed, decode=None, share=None, stages=None, **evaluation) -> list[str]:
    settings = {"batch_size": 5, "temperature": 1.0, "max_tokens": 12} | evaluation
    recipe = Recipe.parse({"speed": speed, "evaluation": settings})
    model, processor = models.load(recipe)
    return answers(
        model, processor, rows, recipe, "sat", share or Share(), decoding=decode, **(stages or {})
    )


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_answers_are_the_same_by_every_way_to_ask_for_them(rows, temperature):
    plain = answered(rows, SLOW, temperature=temperature)
    assert len(set(plain)) > 4
    assert answered(rows, {}, temperature=temperature) == plain
    often = {"first_tokens": 3, "growth": 2}  # in stages of 3, 6 and 12
    assert answered(rows, {}, stages=often, temperature=temperature) == plain
    for switch in SLOW if temperature else ():
        speed = SLOW | {switch: True}
        assert answered(rows, speed, stages=often, temperature=temperature) == plain, switch


def test_the_token_of_a_picture_is_never_said_as_in_training(rows):
    recipe = Recipe.parse({"evaluation": {"batch_size": 5, "max_tokens": 6}})
    model, processor = models.load(recipe)
    plain = answers(model, processor, rows[:4], recipe, "sat")
    likely = torch.zeros(model.config.get_text_config().vocab_size)
    likely[processor.image_token_id] = 1000.0
    model.lm_head.register_forward_hook(lambda head, read, logits: logits + likely)
    assert answers(model, processor, rows[:4], recipe, "sat") == plain


def test_an_answer_has_as_many_tokens_as_it_may(rows):
    _, processor = load()
    short = answered(rows, {}, max_tokens=4)
    whole = answered(rows, {})
    assert all(full.startswith(cut) for full, cut in zip(whole, short, strict=True))
    lengths = [len(processor.tokenizer(text)["input_ids"]) for text in short]
    assert max(lengths) <= 4 < max(len(processor.tokenizer(t)["input_ids"]) for t in whole)


def test_decoding_compiled_gives_the_same_answers_by_one_graph_for_each_shape(rows, monkeypatch):
    plain = answered(rows, SLOW)
    graphs = captured(monkeypatch)
    decode = Decoding(compiled=True)
    assert answered(rows, {}, decode) == plain
    assert not torch._dynamo.utils.counters["graph_break"]
    assert len(graphs) == 2, "one for whole batches, one for the last"
    assert decode.compiled


class Failing:
    """Generates, but not compiled."""

    def __init__(self, decode: Decoding) -> None:
        self._decode = decode

    def __call__(self) -> str:
        if self._decode.compiled:
            raise TorchDynamoException("there is no C compiler\n\n  trace")
        return "said"


def test_what_cannot_be_compiled_is_told_and_done_without():
    decode = Decoding(compiled=True, may_fall_back=True)
    with pytest.warns(UserWarning, match="compiling failed, going on without: there is no C comp"):
        assert decode.run(Failing(decode)) == "said"
    assert not decode.compiled
    assert decode.width(100) == 100
    assert decode.run(Failing(decode)) == "said"


def test_what_is_to_be_compiled_and_cannot_be_is_an_error():
    decode = Decoding(compiled=True)
    with pytest.raises(RecipeError, match=r"speed\.compiled: compiling failed: there is no C comp"):
        decode.run(Failing(decode))


@pytest.mark.parametrize(("wanted", "filled"), [(256, 256), (65, 256), (64, 64), (3, 4), (1, 1)])
def test_a_batch_is_filled_up_to_few_sizes_where_decoding_is_compiled(wanted, filled):
    assert Decoding(compiled=True).rows(wanted, 256) == filled
    assert Decoding().rows(wanted, 256) == wanted


def test_a_picture_above_the_cap_is_scaled_to_what_the_processor_would_make_of_it():
    _, processor = load()
    cap_pixels(processor, 64 * 64)
    thin = Image.new("RGB", (210, 100))
    assert scaled(thin, processor) is thin, "what would be scaled again after that is left"
    size = processor.image_processor.size
    processor.image_processor.size = type(size)(shortest_edge=32 * 32, longest_edge=64 * 64)
    torch.manual_seed(0)
    noise = torch.randint(0, 256, (100, 210, 3), dtype=torch.uint8).numpy()
    for image in (Image.fromarray(noise), Image.fromarray(noise[:, :64]), Image.new("L", (70, 70))):
        small = scaled(image, processor)
        before, after = (
            processor.image_processor([one], return_tensors="pt") for one in (image, small)
        )
        assert torch.equal(before["pixel_values"], after["pixel_values"])
        # Who has the published cap, as vLLM does, makes the same of it.
        published = Qwen2VLImageProcessorPil.from_dict(
            processor.image_processor.to_dict()
            | {"size": {"shortest_edge": 32 * 32, "longest_edge": 10**8}}
        )([small], return_tensors="pt")
        assert torch.equal(published["pixel_values"], after["pixel_values"])
    fits = Image.new("RGB", (50, 60))
    assert scaled(fits, processor) is fits


@pytest.fixture
def prepared(tmp_path) -> PreparedRows:
    """Two pictures, whose boxes are counted in pixels of their sources."""
    folder = tmp_path / "source/test"
    folder.mkdir(parents=True)
    for name, size in (("a", (1280, 640)), ("b", (320, 640))):
        (folder / f"{name}.jpg").write_bytes(jpeg(*size))
        shapes = [{"label": "target", "points": [[1, 1], [9, 1], [9, 9]]}]
        outlined = {"text": [f"the cup {name}"], "is_sentence": False, "shapes": shapes}
        (folder / f"{name}.json").write_text(json.dumps(outlined))
    prepared_from(lisa.TEST, tmp_path / "source", tmp_path / "out")
    return PreparedRows(tmp_path / "out")


def test_a_prepared_rows_length_is_known_without_decoding_its_pictures(prepared, monkeypatch):
    seen = list(prepared)
    lengths = [length_of(seen, i) for i in range(2)]
    capped = [length_of(seen, i, 64 * 64) for i in range(2)]
    monkeypatch.setattr(images, "decode", None)
    assert [length_of(prepared, i) for i in range(2)] == lengths
    assert [length_of(prepared, i, 64 * 64) for i in range(2)] == capped
    assert min(lengths) > 200
    assert max(capped) < 20, "as a model reads them"


def test_answers_are_scored_without_decoding_their_pictures_again(prepared, tmp_path, monkeypatch):
    recipe = Recipe.parse({"max_pixels": 64 * 64, "max_completion_tokens": 4})
    model, processor = models.load(recipe)
    decoded: list[int] = []
    decode = images.decode
    monkeypatch.setattr(images, "decode", lambda data: decoded.append(1) or decode(data))
    sets = {"lisa": ItemSet(prepared, "iou", ("lisa-giou",))}
    folder = RunFolder(tmp_path / "run")
    found = evaluate(model, processor, sets, recipe, step=1, folder=folder)
    assert len(decoded) == 2, "once each, to be looked at"
    again = evaluate(None, processor, sets, recipe, step=1, folder=folder)
    assert again == found
    assert len(decoded) == 2
    shown, blank = list(prepared), list(unseen(prepared))
    assert [official_case("", row) for row in blank] == [official_case("", row) for row in shown]


def test_rows_that_wait_for_their_batch_hold_no_picture_above_the_cap(rows, monkeypatch):
    scaled_down: list[Image.Image] = []
    read: list[Image.Image] = []
    monkeypatch.setattr(
        answers_module,
        "scaled",
        lambda image, processor: scaled_down.append(image) or scaled(image, processor),
    )
    inputs = answers_module.prompt_inputs
    monkeypatch.setattr(
        answers_module,
        "prompt_inputs",
        lambda processor, asked, *rest: (
            read.extend(image for row in asked for image in row.images)
            or inputs(processor, asked, *rest)
        ),
    )
    recipe = Recipe.parse({"max_pixels": 32 * 32, "evaluation": {"batch_size": 5}})
    model, processor = models.load(recipe)
    answers(model, processor, rows, recipe, "sat")
    pictures = sum(len(row.images) for row in rows)
    assert len(scaled_down) == len(read) == pictures, "once each, where they are read"
    assert {image.size for image in read} == {(32, 32), (96, 64)}, "but one that is left as it is"


def test_a_model_in_bfloat16_says_the_same_with_and_without_casting_on_the_way(rows):
    model, processor = models.load(Recipe.parse({"dtype": "bfloat16"}))
    texts = ["<|vision_start|><|image_pad|><|vision_end|>What is it?"] * 2
    images = [rows[0].images[0], rows[2].images[0]]
    inputs = processor(text=texts, images=images, return_tensors="pt")
    found = []
    for casts in (True, False):
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=casts):
            found.append(model(**inputs).logits)
    assert torch.equal(*found)
