"""Whether a disk has room for a run's checkpoints."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from trainer import troubles
from trainer.job import Job
from trainer.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global room
    from trainer.worker import room


PARAMETERS = 10**9


@pytest.fixture(autouse=True)
def _sizes(monkeypatch):
    shape = SimpleNamespace(parameters=PARAMETERS)
    monkeypatch.setattr(room, "shape_of", lambda model: shape)
    monkeypatch.setattr(room, "trained_parameters", lambda recipe, shape: PARAMETERS // 2)


def free(monkeypatch, bytes_free: float) -> None:
    monkeypatch.setattr(
        room.shutil, "disk_usage", lambda folder: SimpleNamespace(free=int(bytes_free))
    )


@pytest.mark.parametrize(
    ("recipe", "gigabytes"),
    [
        ({"dtype": "bfloat16", "checkpoints": {"every": 10, "keep": 2}}, 3 * 8 + 1),
        ({"dtype": "mixed", "checkpoints": {"every": 10, "keep": 1}}, 2 * 8 + 1),
        ({"dtype": "mixed", "adamw": {"offload": True}}, 10 + 1),
        ({"dtype": "bfloat16"}, 8 + 1),
        ({"dtype": "bfloat16", "lora": {}}, 6 + 1),
        ({"dtype": "bfloat16", "lora": {}, "adamw": {"offload": True}}, 8 + 1),
    ],
)
def test_room_is_needed_for_what_is_kept_and_what_is_being_written(recipe, gigabytes):
    assert room.needed_bytes(Recipe.parse(recipe)) == gigabytes * 10**9


def test_a_disk_without_that_room_is_the_machines_fault_and_says_what_is_needed(
    monkeypatch, tmp_path
):
    job = Job({"coco": 1.0}, Recipe.parse({"dtype": "bfloat16"}), 1, folder=tmp_path / "run")
    free(monkeypatch, 9.1e9)
    room.check(job)
    free(monkeypatch, 8.9e9)
    with pytest.raises(room.NoRoom, match=r"need 9\.0 GB, and 8\.9 GB are free") as short:
        room.check(job)
    assert short.value.needed_bytes == 9 * 10**9
    assert troubles.of_error(short.value) == "environment"


def test_what_a_run_that_goes_on_has_on_the_disk_is_not_needed_once_more(monkeypatch, tmp_path):
    (tmp_path / "checkpoint").write_bytes(b"x" * 1000)
    job = Job({"coco": 1.0}, Recipe.parse({"dtype": "bfloat16"}), 1, folder=tmp_path)
    free(monkeypatch, 9e9 - 1000)
    room.check(job)
