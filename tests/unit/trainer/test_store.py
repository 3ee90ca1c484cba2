"""Checkpoints in a store that several nodes share, and what happens when it fails."""

from __future__ import annotations

import threading
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.local import LocalFileSystem
from structlog.testing import capture_logs

from trainer.job import Job
from trainer.recipe import Recipe
from trainer.storage.remote import MANIFEST, Store, StoredRun, StoreError
from trainer.storage.run_folder import RunFolder
from trainer.storage.sync import StoreSync
from trainer.storage.work_folder import TrialFolder


class Flaky(LocalFileSystem):
    """A store on this disk that breaks off after so many files, or waits before each."""

    protocol = "flaky"
    cachable = False
    files_left: int | None = None
    gate: threading.Event | None = None

    def put_file(self, *arguments, **options):
        if Flaky.gate is not None:
            assert Flaky.gate.wait(30)
        if Flaky.files_left is not None:
            if Flaky.files_left == 0:
                raise ConnectionError("the store is gone")
            Flaky.files_left -= 1
        return super().put_file(*arguments, **options)


fsspec.register_implementation("flaky", Flaky, clobber=True)


@pytest.fixture(autouse=True)
def _works_again():
    yield
    Flaky.files_left = Flaky.gate = None


@pytest.fixture
def stored(tmp_path) -> StoredRun:
    return Store(f"flaky://{tmp_path}/store").of("vlm", 7)


def a_folder(path: Path, step: int) -> Path:
    (path / "inner").mkdir(parents=True)
    (path / "inner/weights").write_text(f"weights of {step}")
    (path / "state").write_text(f"state of {step}")
    return path


def put(stored: StoredRun, folder: Path, *steps: int) -> None:
    for step in steps:
        stored.put(a_folder(folder / f"step-{step}", step), step)


def test_the_newest_checkpoint_is_fetched_as_it_was(stored, tmp_path):
    put(stored, tmp_path, 5, 20, 10)
    into = tmp_path / "into"
    assert stored.fetch(into, after=0) == 20
    assert (into / "inner/weights").read_text() == "weights of 20"
    assert sorted(p.name for p in into.rglob("*") if p.is_file()) == ["state", "weights"]
    assert stored.fetch(tmp_path / "other", after=20) is None


def test_a_trial_is_found_by_its_study_and_id_alone(stored, tmp_path):
    put(stored, tmp_path, 5)
    store = Store(f"{tmp_path}/store/")
    assert store.of("vlm", 7).fetch(tmp_path / "into", after=0) == 5
    assert store.of("vlm", 8).fetch(tmp_path / "no", after=0) is None
    assert store.of("vlm", 7).final == f"file://{tmp_path}/store/vlm/trial-7/final"


@pytest.mark.parametrize("files", [0, 1])
def test_a_torn_upload_is_never_taken_and_goes_when_a_later_one_is_whole(stored, tmp_path, files):
    put(stored, tmp_path, 5)
    Flaky.files_left = files
    with pytest.raises(ConnectionError):
        put(stored, tmp_path, 10)
    Flaky.files_left = None
    assert stored.fetch(tmp_path / "into", after=0) == 5
    put(stored, tmp_path, 15)
    stored.prune(keep=2)
    left = [path.name[:8] for path in (tmp_path / "store/vlm/trial-7/checkpoints").iterdir()]
    assert sorted(left) == ["00000005", "00000015"]


def test_a_damaged_checkpoint_is_passed_over_for_an_older_one(stored, tmp_path):
    put(stored, tmp_path, 5, 10)
    [newest] = (tmp_path / "store").rglob("00000010-*")
    (newest / "state").write_text("state of 11")
    assert stored.fetch(tmp_path / "into", after=0) == 5
    (newest / "state").unlink()
    assert stored.fetch(tmp_path / "again", after=0) == 5


def test_a_manifest_that_leads_out_of_the_folder_is_not_followed(stored, tmp_path):
    put(stored, tmp_path, 5)
    [manifest] = (tmp_path / "store").rglob(MANIFEST)
    (tmp_path / "store/vlm/trial-7/secret").write_text("x")
    manifest.write_text(manifest.read_text().replace('"state"', '"../../secret"'))
    assert stored.fetch(tmp_path / "into", after=0) is None


def test_only_the_newest_stay_and_none_of_a_trial_that_is_over(stored, tmp_path):
    put(stored, tmp_path, 5, 10, 15)
    stored.prune(keep=2)
    kept = tmp_path / "store/vlm/trial-7/checkpoints"
    assert sorted(path.name[:8] for path in kept.iterdir()) == ["00000010", "00000015"]
    stored.put_final(a_folder(tmp_path / "finished", 15), 15)
    stored.forget()
    assert list(kept.iterdir()) == []
    assert (tmp_path / "store/vlm/trial-7/final" / MANIFEST).exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("memory://runs", "no other node sees it"),
        ("nosuch://bucket", "cannot use store 'nosuch://bucket'"),
    ],
)
def test_what_other_nodes_cannot_reach_is_refused(url, said):
    with pytest.raises(StoreError, match=said):
        Store(url)


# The sync: what a worker does with a store.


def a_job(folder: TrialFolder, seed: int = 0) -> Job:
    return Job({"coco": 1.0}, Recipe(steps=9), seed, folder=folder.run)


def a_run(path: Path, *steps: int) -> TrialFolder:
    """A run that has got so far, without its training."""
    folder = TrialFolder(path)
    run = RunFolder(folder.run)
    job = a_job(folder)
    run.claim(job, job.run_seed)
    for step in steps:
        a_folder(run.checkpoint(step), step)
        run.add_metrics(step, {"reward": 0.5})
    responses = run.responses(steps[0], "chart")
    responses.parent.mkdir(parents=True)
    responses.write_text("responses")
    return folder


def after(sync: StoreSync) -> None:
    sync.join(30)
    assert not sync.is_busy


def test_another_node_goes_on_with_all_that_a_run_needs(stored, tmp_path):
    here, there = a_run(tmp_path / "a", 3, 6), TrialFolder(tmp_path / "b")
    first, second = StoreSync(stored, here), StoreSync(stored, there)
    first.look()
    after(first)
    second.fetch(a_job(there))
    after(second)
    second.adopt()
    assert RunFolder(there.run).checkpoints() == [6]
    for name in ("run.json", "metrics.jsonl", "responses/step-3/chart.parquet"):
        assert (there.run / name).read_bytes() == (here.run / name).read_bytes()
    assert not there.incoming.exists()
    assert not here.outgoing.exists()


def test_what_is_further_here_is_not_fetched(stored, tmp_path):
    first = StoreSync(stored, a_run(tmp_path / "a", 3))
    first.look()
    after(first)
    ahead = a_run(tmp_path / "b", 4)
    second = StoreSync(stored, ahead)
    second.fetch(a_job(ahead))
    after(second)
    second.adopt()
    assert RunFolder(ahead.run).checkpoints() == [4]


def test_another_runs_checkpoint_is_not_gone_on_with(stored, tmp_path):
    first, there = StoreSync(stored, a_run(tmp_path / "a", 3)), TrialFolder(tmp_path / "b")
    first.look()
    after(first)
    second = StoreSync(stored, there)
    second.fetch(a_job(there, seed=1))
    after(second)
    second.adopt()
    assert RunFolder(there.run).checkpoints() == []


def test_a_store_that_fails_only_warns_and_the_next_checkpoint_is_tried(stored, tmp_path):
    folder = a_run(tmp_path / "a", 3)
    Flaky.files_left = 2
    with capture_logs() as logged:
        sync = StoreSync(stored, folder)
        sync.look()
        after(sync)
    assert [(line["log_level"], line["error"]) for line in logged] == [
        ("warning", "ConnectionError: the store is gone")
    ]
    Flaky.files_left = None
    sync.look()
    assert not sync.is_busy, "one that failed is not tried over and over"
    a_folder(RunFolder(folder.run).checkpoint(6), 6)
    sync.look()
    after(sync)
    assert stored.fetch(tmp_path / "into", after=0) == 6


def test_a_checkpoint_that_the_run_prunes_while_it_is_uploaded_arrives_whole(stored, tmp_path):
    folder = a_run(tmp_path / "a", 3)
    sync = StoreSync(stored, folder)
    Flaky.gate = threading.Event()
    sync.look()
    wait_until_linked = threading.Event()
    while not (folder.outgoing / "checkpoints/checkpoint-3/state").exists():
        assert not wait_until_linked.wait(0.01)
    run = RunFolder(folder.run)
    (run.staging / "checkpoint-6").mkdir(parents=True)
    run.publish(6)
    assert run.checkpoints() == [6]
    Flaky.gate.set()
    after(sync)
    into = tmp_path / "into"
    assert stored.fetch(into, after=0) == 3
    assert (into / "checkpoints/checkpoint-3/inner/weights").read_text() == "weights of 3"


def test_a_finished_run_is_public_once_it_is_there_whole(stored, tmp_path):
    folder = a_run(tmp_path / "a", 9)
    checkpoint = RunFolder(folder.run).checkpoint(9)
    (checkpoint / "model.safetensors").write_text("weights")
    (checkpoint / "optimizer.pt").write_text("moments")
    sync = StoreSync(stored, folder)
    Flaky.files_left = 1
    sync.publish(9)
    after(sync)
    assert not sync.is_public
    Flaky.files_left = None
    sync.publish(9)
    after(sync)
    assert sync.is_public
    final = Path(sync.final.removeprefix("file://").removeprefix("flaky://"))
    assert (final / "model/model.safetensors").exists()
    assert (final / "responses/step-9/chart.parquet").exists()
    assert not (final / "model/optimizer.pt").exists(), "nobody trains on from it"
