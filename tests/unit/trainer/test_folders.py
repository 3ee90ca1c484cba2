"""What a worker keeps on disk, so that it may be killed at any moment."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import UTC, datetime

import pytest

from service.schemas import Lease, Measurement, NextAnswer, Result
from tests.unit.cli.test_summary import trial
from trainer.storage.work_folder import FolderError, WorkFolder

TRIAL = trial(7, {"coco": 1.0}, 0.5)
ANSWER = NextAnswer(
    trial=TRIAL,
    lease=Lease(token="t" * 32, until=datetime(2026, 1, 1, tzinfo=UTC), duration_s=60),
    recipe={"steps": 3},
)
RESULT = Result(
    token="t" * 32, measurements=[Measurement(benchmark="chart", score=0.5, samples=100)]
)
URL = "http://service:8765"


@pytest.fixture
def place(tmp_path):
    place = WorkFolder(tmp_path)
    yield place
    place.close()


def test_every_worker_gets_a_folder_of_its_own_and_the_first_free_one(tmp_path):
    first, second = WorkFolder(tmp_path), WorkFolder(tmp_path)
    assert [first.path.name, second.path.name] == ["1", "2"]
    first.close()
    third = WorkFolder(tmp_path)
    assert third.path.name == "1"
    second.close()
    third.close()


def test_the_folder_of_a_killed_worker_is_free(tmp_path):
    code = (
        "import os, signal\n"
        "from pathlib import Path\n"
        "from trainer.storage.work_folder import WorkFolder\n"
        f"place = WorkFolder(Path({str(tmp_path)!r}))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == -9
    place = WorkFolder(tmp_path)
    assert place.path.name == "1"
    place.close()


def test_a_folder_that_cannot_be_made_is_refused_in_words(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(FolderError, match="cannot use folder"):
        WorkFolder(tmp_path / "file")


def test_what_is_owed_is_found_until_it_is_settled(place):
    folder = place.of(URL, TRIAL)
    assert list(place.unsettled()) == []
    folder.begin(ANSWER)
    assert list(place.unsettled()) == [folder]
    assert folder.answer() == ANSWER
    assert folder.result() is None
    folder.keep(RESULT)
    assert folder.result() == RESULT
    folder.settle(is_over=True)
    assert list(place.unsettled()) == []
    assert folder.result() is None


def test_a_lease_is_readable_by_this_user_only(place):
    folder = place.of(URL, TRIAL)
    folder.begin(ANSWER)
    mode = stat.S_IMODE((folder.path / "lease.json").stat().st_mode)
    assert mode == 0o600


def test_half_a_file_is_no_file(place):
    folder = place.of(URL, TRIAL)
    folder.begin(ANSWER)
    text = (folder.path / "lease.json").read_text()
    (folder.path / "lease.json").write_text(text[: len(text) // 2])
    assert folder.answer() is None


def test_checkpoints_stay_for_a_trial_that_may_come_again(place):
    folder = place.of(URL, TRIAL)
    folder.begin(ANSWER)
    checkpoint = folder.run / "checkpoints" / "checkpoint-2"
    checkpoint.mkdir(parents=True)
    folder.settle(is_over=False)
    assert checkpoint.exists()
    folder.settle(is_over=True)
    assert not checkpoint.exists()


def test_trials_of_two_services_with_the_same_id_do_not_meet(place):
    assert place.of(URL, TRIAL) != place.of("http://other:8765", TRIAL)


def test_a_study_that_was_renamed_has_its_folders_as_before(place):
    renamed = TRIAL.model_copy(update={"study": "other"})
    assert place.of(URL, renamed) != place.of(URL, TRIAL)
    assert place.of(URL, renamed, TRIAL.study) == place.of(URL, TRIAL)


def test_old_finished_runs_are_removed_and_open_ones_never(place):
    opened = place.of(URL, TRIAL.model_copy(update={"id": 999}))
    opened.begin(ANSWER)
    for number in range(6):
        folder = place.of(URL, TRIAL.model_copy(update={"id": number}))
        folder.begin(ANSWER)
        os.utime(folder.path, (number, number))
        folder.settle(is_over=True)
        os.utime(folder.path, (number, number))
    os.utime(opened.path, (0, 0))
    place.prune(keep=2)
    left = sorted(path.name.split("-")[1] for path in place.path.glob("trial-*"))
    assert left == ["4", "5", "999"]


def finished_run(place, number, size):
    folder = place.of(URL, TRIAL.model_copy(update={"id": number}))
    (folder.run / "checkpoints").mkdir(parents=True)
    (folder.run / "checkpoints/weights").write_bytes(b"x" * size)
    os.utime(folder.path, (number, number))
    return folder


def test_room_is_made_by_removing_finished_runs_also_of_workers_that_are_gone(
    tmp_path, monkeypatch
):
    gone, place, busy = (WorkFolder(tmp_path) for _ in range(3))
    runs = [finished_run(place, number, 100) for number in (1, 2, 3)]
    left, kept = finished_run(gone, 4, 100), finished_run(busy, 5, 100)
    gone.close()

    def free(self):
        return 1000 - sum(f.stat().st_size for f in tmp_path.rglob("weights"))

    monkeypatch.setattr(WorkFolder, "free_bytes", free)
    assert place.make_room(600) == 600
    assert [folder.path.exists() for folder in runs] == [False, True, True], "the oldest first"
    assert place.make_room(900) == 900
    assert [f.path.exists() for f in (*runs, left, kept)] == [False, False, False, False, True]
    assert place.make_room(10**6) == 900
    place.close()
    busy.close()


def test_a_refused_result_outlives_all_pruning(place):
    folder = place.of(URL, TRIAL)
    folder.begin(ANSWER)
    (folder.run / "checkpoints").mkdir()
    folder.refuse(RESULT)
    folder.settle(is_over=False)
    assert (folder.run / "checkpoints").exists()
    place.prune(keep=0)
    assert not folder.run.exists()
    [kept] = place.refused()
    assert (kept.result(), kept.answer()) == (RESULT, ANSWER)
    assert list(place.unsettled()) == []
