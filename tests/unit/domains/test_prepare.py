"""Preparing: resumable, deterministic, one folder one dataset, bad rows counted."""

import shutil
from functools import partial
from pathlib import Path

import pytest
from datasets import load_dataset
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import datasets
from tests.support.datasets import coco_row, embedded, jpeg, png, write_parquet
from trainer.benchmarks import infovqa
from trainer.domains import coco, manifest
from trainer.domains.errors import DataError
from trainer.domains.files import FEATURES
from trainer.domains.prepared import PreparedRows


def many(n: int) -> list[dict]:
    rows = [coco_row((i % 900, 0, 1000, 1000)) for i in range(n)]
    for i in range(3, n, 11):
        rows[i] = coco_row(image=embedded(b"broken"))
    for i in range(0, n, 7):
        rows[i] = coco_row(solution="No Objects")
    return rows


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("coco")
    rows = many(70)
    write_parquet(folder / "train-00000-of-00002.parquet", "coco", rows[:40])
    write_parquet(folder / "train-00001-of-00002.parquet", "coco", rows[40:])
    return folder


prepared_from = partial(datasets.prepared_from, chunk=8)


@pytest.fixture(scope="module")
def undisturbed(source, tmp_path_factory):
    """What a prepare that nobody kills makes: its manifest and its files."""
    folder = tmp_path_factory.mktemp("undisturbed") / "out"
    return prepared_from(coco.TRAIN, source, folder), everything(folder)


def everything(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


class Killed(Exception):  # noqa: N818 - stands for a signal
    pass


def killed_after(chunks: int):
    def progress(read, total, kept):
        if read >= 8 * chunks:
            raise Killed

    return progress


# An example takes a tenth of a second, as much as hundreds of examples of other tests.
@settings(max_examples=max(1, settings.default.max_examples // 10))
@given(stops=st.lists(st.integers(1, 8), max_size=3))
def test_a_killed_prepare_goes_on_and_ends_with_the_same_bytes(
    source, undisturbed, tmp_path_factory, stops
):
    made, whole = undisturbed
    cut = tmp_path_factory.mktemp("cut") / "out"
    for stop in stops:
        try:
            prepared_from(coco.TRAIN, source, cut, progress=killed_after(stop))
        except Killed:
            with pytest.raises(DataError, match="interrupted"):
                PreparedRows(cut)
    assert prepared_from(coco.TRAIN, source, cut) == made
    assert everything(cut) == whole


def test_a_part_that_a_crash_damaged_is_made_again(source, tmp_path):
    out = tmp_path / "out"
    whole = prepared_from(coco.TRAIN, source, tmp_path / "whole")
    with pytest.raises(Killed):
        prepared_from(coco.TRAIN, source, out, progress=killed_after(5))
    damaged = out / manifest.PROGRESS / "part-00002.parquet"
    damaged.write_bytes(damaged.read_bytes()[:-20])
    assert prepared_from(coco.TRAIN, source, out) == whole
    assert everything(out) == everything(tmp_path / "whole")


def test_finished_chunks_are_not_read_again(source, tmp_path):
    out, seen = tmp_path / "out", []
    with pytest.raises(Killed):
        prepared_from(coco.TRAIN, source, out, progress=killed_after(5))
    prepared_from(
        coco.TRAIN, source, out, progress=lambda read, total, kept: seen.append((read, total))
    )
    assert seen[0] == (48, 70)
    assert seen[-1] == (70, 70)


def test_a_prepare_that_was_killed_while_it_moved_parts_goes_on(source, tmp_path, monkeypatch):
    out = tmp_path / "out"
    moved = []
    real = Path.replace

    def replace(self, target):
        if Path(target).parent == out and self.name.startswith("part-"):
            moved.append(target)
            if len(moved) == 3:
                raise Killed
        return real(self, target)

    monkeypatch.setattr(Path, "replace", replace)
    with pytest.raises(Killed):
        prepared_from(coco.TRAIN, source, out)
    monkeypatch.undo()
    made = prepared_from(coco.TRAIN, source, out)
    assert made == prepared_from(coco.TRAIN, source, tmp_path / "whole")
    assert everything(out) == everything(tmp_path / "whole")


def test_every_row_is_kept_filtered_or_wrong(source, tmp_path):
    made = prepared_from(coco.TRAIN, source, tmp_path / "out")
    lost = made.dropped
    assert lost.filters == {"no boxes": 10}
    assert set(lost.bad) == {"broken image"}
    assert made.rows + 10 + lost.bad["broken image"] == made.read == 70
    assert len(lost.rows) == lost.bad["broken image"]
    assert len(PreparedRows(tmp_path / "out")) == made.rows == sum(p.rows for p in made.parts)


def test_the_same_command_again_does_nothing(source, tmp_path):
    out, again = tmp_path / "out", []
    made = prepared_from(coco.TRAIN, source, out)
    before = {path: path.stat().st_mtime_ns for path in out.iterdir()}
    assert prepared_from(coco.TRAIN, source, out, progress=lambda *now: again.append(now)) == made
    assert again == []
    assert {path: path.stat().st_mtime_ns for path in out.iterdir()} == before


def test_a_folder_of_something_else_is_left_alone(source, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "thesis.txt").write_text("…")
    with pytest.raises(DataError, match="not empty"):
        prepared_from(coco.TRAIN, source, out)
    made = tmp_path / "made"
    prepared_from(coco.TRAIN, source, made)
    with pytest.raises(DataError, match="in another way"):
        prepared_from(coco.TRAIN, source, made, coordinates="pixels")
    begun = tmp_path / "begun"
    with pytest.raises(Killed):
        prepared_from(coco.TRAIN, source, begun, progress=killed_after(2))
    with pytest.raises(DataError, match="other limit"):
        prepared_from(coco.TRAIN, source, begun, limit=5)


def test_a_damaged_finished_folder_is_told(source, tmp_path):
    out = tmp_path / "out"
    made = prepared_from(coco.TRAIN, source, out)
    part = out / made.parts[1].file
    part.write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"part-00001\.parquet is damaged"):
        prepared_from(coco.TRAIN, source, out)
    with pytest.raises(DataError, match="missing or damaged"):
        PreparedRows(out)


def test_two_rows_of_one_id_are_one_row_and_a_wrong_one(tmp_path):
    row = {
        "question": "How many?",
        "answers": ["4", "four"],
        "answer_type": ["single span"],
        "image": embedded(png()),
    }
    ids = [str(i) for i in range(20)]
    ids[17] = ids[2]
    rows = [row | {"questionId": name} for name in ids]
    write_parquet(tmp_path / "source/InfographicVQA/validation-0.parquet", "infovqa", rows)
    made = prepared_from(infovqa.TEST, tmp_path / "source", tmp_path / "out")
    assert made.dropped.bad == {"duplicate id": 1}
    assert (made.dropped.rows[0].id, made.dropped.rows[0].detail) == ("infovqa-17", "2")


def test_a_source_of_nothing_good_says_why(tmp_path):
    write_parquet(tmp_path / "s/train-0.parquet", "coco", [coco_row(solution="No Objects")] * 3)
    with pytest.raises(DataError, match=r"no row of s is good \(3 no boxes\)"):
        prepared_from(coco.TRAIN, tmp_path / "s", tmp_path / "out")


def test_a_limit_keeps_a_subset_and_the_rest_is_not_on_disk(source, tmp_path):
    made = prepared_from(coco.TRAIN, source, tmp_path / "out", limit=5)
    assert made.subset == manifest.Subset(limit=5, of=54)
    rows = list(PreparedRows(tmp_path / "out"))
    assert len(rows) == made.rows == sum(part.rows for part in made.parts) == 5
    whole = prepared_from(coco.TRAIN, source, tmp_path / "whole")
    picked = PreparedRows(tmp_path / "whole").subset(5)
    assert whole.rows == 54
    assert [row.id for row in picked] == [row.id for row in rows]


def test_a_manifest_says_nothing_of_the_place_or_the_time(source, tmp_path):
    made = prepared_from(coco.TRAIN, source, tmp_path / "one")
    copy = shutil.copytree(source, tmp_path / "elsewhere" / source.name)
    again = prepared_from(coco.TRAIN, copy, tmp_path / "two")
    assert made == again
    assert str(tmp_path) not in made.model_dump_json()


def test_other_programs_read_the_parts_as_a_dataset_with_images(source, tmp_path):
    made = prepared_from(coco.TRAIN, source, tmp_path / "out")
    files = [str(tmp_path / "out" / part.file) for part in made.parts]
    rows = load_dataset("parquet", data_files=files, split="train", streaming=True)
    assert rows.features == FEATURES
    first = next(iter(rows))
    assert first["images"][0].size == (40, 20)
    assert first["answer"] == PreparedRows(tmp_path / "out")[0].answer


def test_rows_come_by_index_from_any_part(source, tmp_path):
    prepared_from(coco.TRAIN, source, tmp_path / "out")
    rows = PreparedRows(tmp_path / "out", domain="things")
    assert [rows[i].id for i in range(len(rows))] == [row.id for row in rows]
    assert rows[-1].id == rows[len(rows) - 1].id
    assert [row.id for row in rows[5:20:3]] == [rows[i].id for i in (5, 8, 11, 14, 17)]
    assert rows[0].domain == "things"
    with pytest.raises(IndexError):
        rows[len(rows)]


def test_a_source_that_breaks_off_says_how_to_go_on(tmp_path):
    folder = tmp_path / "s"
    write_parquet(folder / "train-0.parquet", "coco", [coco_row(image=embedded(jpeg()))] * 20)
    write_parquet(folder / "train-1.parquet", "coco", [coco_row()] * 20)
    second = folder / "train-1.parquet"
    data = bytearray(second.read_bytes())
    data[4:200] = bytes(196)
    second.write_bytes(data)
    with pytest.raises(DataError, match="broke off after 20 records"):
        prepared_from(coco.TRAIN, folder, tmp_path / "out")
    assert (tmp_path / "out" / manifest.PROGRESS / "report-00001.json").exists()
