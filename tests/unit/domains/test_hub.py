"""The hub's way, with a folder that stands in for a hub repository and no network."""

from types import SimpleNamespace

import pytest

from tests.support.datasets import coco_row, write_parquet
from trainer.catalog import open_dataset
from trainer.domains import coco, lisa, prepare, reading
from trainer.domains.errors import DataError
from trainer.domains.prepared import PreparedRows

COMMIT = "f961fa6cd0b5b7f1d5f0a3f3f4b3b1b2a1a0a9a8"


class LocalHub:
    """Answers as the hub's API does for a dataset it has."""

    def dataset_info(self, name, revision=None):
        return SimpleNamespace(sha=COMMIT)


@pytest.fixture
def repository(tmp_path, monkeypatch):
    folder = tmp_path / "repository"
    rows = [coco_row((i, 0, 1000, 1000)) for i in range(20)]
    write_parquet(folder / "data/train-00000-of-00002.parquet", "coco", rows[:12])
    write_parquet(folder / "data/train-00001-of-00002.parquet", "coco", rows[12:])
    monkeypatch.setattr(reading, "HfApi", LocalHub)
    return folder


def on_hub(name):
    return coco.Source(name="coco", domain="coco", convert=coco.convert, rule="x", hub=str(name))


def test_a_hub_dataset_is_streamed_at_one_commit(repository, tmp_path):
    source = on_hub(repository)
    made = prepare.prepare(source, reading.from_hub(source), tmp_path / "out", chunk=8)
    assert (made.rows, made.origin.kind, made.origin.revision) == (20, "hub", COMMIT)
    assert len(PreparedRows(tmp_path / "out")) == 20


def test_a_stream_goes_on_at_its_bookmark(repository):
    reader = reading.from_hub(on_hub(repository))
    items = reader.items({})
    for _ in range(14):
        next(items)
    mark = reader.bookmark()
    left = list(items)
    assert len(left) == 6
    assert list(reading.from_hub(on_hub(repository)).items(mark)) == left


def test_a_hub_that_cannot_be_reached_says_what_else_works(monkeypatch):
    class Unreachable:
        def dataset_info(self, name, revision=None):
            raise OSError("no route to host")

    monkeypatch.setattr(reading, "HfApi", Unreachable)
    with pytest.raises(DataError, match=r"array/SAT.*no route to host.*--source FOLDER"):
        open_dataset("sat")


def test_a_dataset_that_is_not_on_the_hub_wants_its_folder():
    with pytest.raises(DataError, match="lisa is not on the hub; give its folder with --source"):
        reading.from_hub(lisa.TRAIN)


def test_a_yaml_maps_a_hub_datasets_columns_and_names_its_reward(repository, tmp_path):
    spec = tmp_path / "mine.yaml"
    spec.write_text(
        f"name: mine\nhub: {repository}\nreward: chartqa-relaxed\ntake: 3\n"
        "columns: {images: [image, image], question: problem, answer: solution}\n"
    )
    source, reader = open_dataset(str(spec))
    made = prepare.prepare(source, reader, tmp_path / "out")
    assert (made.name, made.rows, made.rule) == ("mine", 3, "chartqa-relaxed")
    assert (made.origin.kind, made.origin.revision) == ("hub", COMMIT)
    [first, *_] = PreparedRows(tmp_path / "out")
    assert (len(first.images), first.answer_type) == (2, "text")
