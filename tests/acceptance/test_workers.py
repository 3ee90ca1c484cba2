"""Real workers, a real service, and what happens when they are killed.

What they run trains nothing (`tests.support.toy`): leases, kills and deliveries are the same.
`test_workers_training.py` has the real miniature.
"""

from __future__ import annotations

import random
import signal
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO

import psutil
import pytest

from modomodo import local
from modomodo.local import LocalFleet, free_port
from service.client import Client, ServiceError
from service.schemas import (
    Measurement,
    NextRequest,
    Result,
    StudyPatch,
    StudySpec,
    Trial,
    TrialCreate,
)
from tests.support import forked, forks, toy
from tests.support.polling import until
from tests.support.serving import service
from tests.support.warm import Command
from trainer.storage import files as storage_files

HASTY = ("--patience", "0.5s")
KILLS = {"worker": 3, "run": 3}
TRIALS = 10


@pytest.fixture
def commands(tmp_path) -> Path:
    return toy.install(tmp_path / "commands")


@pytest.fixture
def go(tmp_path) -> Path:
    """What trials wait for that are told to."""
    return tmp_path / "go"


@pytest.fixture
def client(database_url) -> Iterator[Client]:
    port = free_port()
    with service(database_url, port), Client(f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
def worker(commands, tmp_path):
    """Starts `modomodo worker`; it is killed at the end of the block. Its runs are forked from a
    server that all share, unless it is to be alone."""

    @contextmanager
    def start(
        client: Client,
        *arguments: str,
        stderr: IO[bytes] | None = None,
        is_alone: bool = False,
    ) -> Iterator[Command]:
        options = ["--url", client.url, "--commands", str(commands), *arguments]
        with TemporaryDirectory() as own:
            if "--folder" not in arguments:
                options += ["--folder", own]
            environment = {} if is_alone else forks.environment("command")
            with Command("worker", *options, environment=environment, stderr=stderr) as process:
                yield process

    return start


def create(client: Client, trials: int = 1, **changes: object) -> None:
    """A study with its trials queued by hand, so that no one waits for proposals."""
    client.create_study(StudySpec.model_validate(toy.study(budget=trials, **changes)))
    for i in range(trials):
        share = i / trials
        client.add_trial("toys", TrialCreate(mixture={"coco": share, "sat": 1 - share}))


def trials(client: Client) -> list[Trial]:
    return client.trials("toys")


def in_training(client: Client) -> list[Trial]:
    return [t for t in trials(client) if t.state == "running" and (t.step or 0) >= 1]


def completed(client: Client) -> list[Trial]:
    return [t for t in trials(client) if t.state == "completed"]


def test_a_trial_killed_in_the_middle_is_taken_up_by_another_worker_and_finishes(
    client, worker, go
):
    create(client, waits_for=go, lease_s=1)
    with worker(client, "--name", "first") as first:
        [trial] = until(lambda: in_training(client))
        assert trial.worker == "first"
        first.kill()
    go.touch()
    with worker(client, "--name", "second"):
        [done] = until(lambda: completed(client))
    assert (done.id, done.worker, done.attempts) == (trial.id, "second", trial.attempts + 1)
    assert done.step == done.total_steps == toy.STEPS
    assert done.scores.out_score


def test_a_result_that_is_due_while_the_service_is_down_is_delivered_when_it_is_back(
    database_url, worker, go, tmp_path
):
    port, log = free_port(), tmp_path / "worker.log"
    with service(database_url, port) as first, Client(f"http://127.0.0.1:{port}") as client:
        create(client, waits_for=go)
        with log.open("wb") as stderr, worker(client, *HASTY, stderr=stderr):
            until(lambda: in_training(client))
            first.kill()
            go.touch()
            until(log.read_text, lambda text: "result not delivered" in text)
            with service(database_url, port):
                [done] = until(lambda: completed(client))
    assert done.attempts == 1
    assert {m.benchmark for m in done.measurements} == set(toy.BENCHMARKS)


def test_a_worker_that_starts_again_goes_on_with_its_trial_and_its_lease(
    client, worker, go, tmp_path
):
    create(client, waits_for=go)
    place = ("--folder", str(tmp_path / "node"))
    with worker(client, *place) as first:
        [trial] = until(lambda: in_training(client))
        first.kill()
    go.touch()
    with worker(client, *place):
        [done] = until(lambda: completed(client))
    assert (done.attempts, done.worker) == (trial.attempts, trial.worker), "the same lease"


def test_a_result_that_a_worker_could_not_deliver_is_delivered_by_its_successor(
    database_url, worker, go, tmp_path
):
    port, log = free_port(), tmp_path / "worker.log"
    place = ("--folder", str(tmp_path / "node"))
    with service(database_url, port) as first, Client(f"http://127.0.0.1:{port}") as client:
        create(client, waits_for=go, lease_s=2)
        with log.open("wb") as stderr, worker(client, *place, *HASTY, stderr=stderr) as process:
            until(lambda: in_training(client))
            first.kill()
            go.touch()
            until(log.read_text, lambda text: "result not delivered" in text)
            process.kill()
            process.wait()
        with service(database_url, port), worker(client, *place):
            [done] = until(lambda: completed(client))
    assert {m.benchmark for m in done.measurements} == set(toy.BENCHMARKS)
    assert done.attempts == 1, "trained once"


def test_two_trials_at_a_time_each_with_its_own_share_of_the_gpus(client, worker, go, tmp_path):
    create(client, 2, waits_for=go)
    node = tmp_path / "node"
    options = ("--folder", str(node), "--until-done", "--study", "toys")
    with worker(client, *options, "--gpus", "0,1", "--name", "node") as process:
        both = until(lambda: in_training(client), lambda trials: len(trials) == 2)
        go.touch()
        assert process.wait(45) == 0
    assert {trial.worker for trial in both} == {"node-1", "node-2"}
    assert len(completed(client)) == 2
    shares = {file.parents[2].name: file.read_text() for file in node.glob("*/trial-*/run/devices")}
    assert shares == {"1": "0\n", "2": "1\n"}


def test_a_second_signal_ends_a_worker_at_once(worker, tmp_path):
    with (
        Client("http://127.0.0.1:9", patience_s=1) as nowhere,
        worker(nowhere, "--folder", str(tmp_path / "node")) as process,
    ):
        until(lambda: list(tmp_path.glob("node/1/lock")))
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) in (0, 128 + signal.SIGTERM)


def test_whatever_is_killed_no_trial_is_lost_and_none_is_scored_twice(client, worker, tmp_path):
    """Short trials; workers and training processes are killed at random moments of them."""
    create(client, TRIALS, waits_for="anywhile", lease_s=1, max_attempts=100)
    options = ("--folder", str(tmp_path / "node"), "--study", "toys")
    rng, due = random.Random(0), [what for what, n in KILLS.items() for _ in range(n)]
    rng.shuffle(due)
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(client, *options)) for _ in range(2)]

        def tend() -> None:
            for i, process in enumerate(workers):
                if process.poll() is not None:
                    workers[i] = stack.enter_context(worker(client, *options))

        def runs() -> list[psutil.Process]:
            tend()
            return forks.runs("command")

        for what in due:
            run = rng.choice(until(runs))
            if what == "worker":
                rng.choice(workers).kill()
            else:
                with suppress(psutil.NoSuchProcess):
                    run.kill()

        def finished() -> bool:
            tend()
            return len(completed(client)) >= TRIALS

        until(finished)
    assert len(completed(client)) == TRIALS
    assert all(trial.state in ("completed", "cancelled") for trial in trials(client)), "none lost"
    for trial in completed(client):
        measured = [(m.benchmark, m.rule, m.step) for m in trial.measurements]
        assert sorted(m[0] for m in measured) == sorted(toy.BENCHMARKS), "each scored once"


@pytest.mark.parametrize("are_forked", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_two_workers_finish_a_study_and_never_run_the_same_trial(
    commands, tmp_path, monkeypatch, are_forked
):
    if are_forked:
        monkeypatch.setattr(local, "subprocess", forked.subprocess_with(forked.start))
    for name, value in forks.environment("command").items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MODOMODO_COMMANDS", str(commands))
    with LocalFleet(tmp_path / "fleet", port=0) as fleet, Client(fleet.url) as client:
        spec = StudySpec.model_validate(toy.study("anywhile", budget=6))
        client.create_study(spec)
        by_hand = client.add_trial("toys", TrialCreate(mixture={"coco": 0.25, "sat": 0.75}))
        assert storage_files.hold(tmp_path / "fleet") is None, "its folder is its own"
        fleet.start_workers(2, "toys")
        done = until(lambda: completed(client), lambda done: len(done) == 6)
        until(lambda: not fleet.check())
    released = storage_files.hold(tmp_path / "fleet")
    assert released is not None
    released.close()
    assert by_hand.id in {trial.id for trial in done}, "trained like those that were proposed"
    assert all(trial.attempts == 1 for trial in done)
    assert all(len(trial.measurements) == len(toy.BENCHMARKS) for trial in done)
    assert all(trial.scores.in_score and trial.scores.out_score for trial in done)
    assert all(trial.metrics["reward"] == 0.3 for trial in done)


def test_a_cancelled_trial_stops_its_run_and_the_worker_takes_the_next(client, worker, go):
    create(client, 2, waits_for=go)
    with worker(client):
        [trial] = until(lambda: in_training(client))
        stopped = forks.runs("command")
        client.cancel(trial.id)
        until(lambda: any(t.id != trial.id for t in in_training(client)))
        assert psutil.wait_procs(stopped, timeout=30)[1] == []
    assert client.trial(trial.id).state == "cancelled"


def test_a_study_whose_recipe_cannot_be_read_is_refused_before_a_worker_hears_of_it(client):
    with pytest.raises(ServiceError, match="unknown key 'learning_rat'; did you mean"):
        create(client, recipe={"learning_rat": 1})
    assert client.studies() == []


def test_a_result_posted_twice_changes_nothing(client):
    create(client)
    answer = client.next(NextRequest(worker="by hand"))
    measurements = [
        Measurement(benchmark=benchmark, score=0.5, samples=100) for benchmark in toy.BENCHMARKS
    ]
    result = Result(token=answer.lease.token, measurements=measurements)
    first = client.result(answer.trial.id, result)
    again = client.result(answer.trial.id, result)
    assert first == again
    assert again.state == "completed"
    better = result.model_copy(
        update={"measurements": [m.model_copy(update={"score": 0.9}) for m in measurements]}
    )
    with pytest.raises(ServiceError) as refused:
        client.result(answer.trial.id, better)
    assert refused.value.status == 409
    assert client.trial(answer.trial.id).measurements == first.measurements


def test_a_worker_of_a_study_of_commands_imports_no_torch(client, worker, go):
    create(client, waits_for=go)
    with worker(client, is_alone=True) as process:
        until(lambda: in_training(client))
        everyone = [process.pid, *(p.pid for p in psutil.Process(process.pid).children(True))]
        assert len(everyone) >= 4, "the worker, its fork server, a run, its program"
        for pid in everyone:
            with suppress(FileNotFoundError):  # the program's pauses come and go
                assert "libtorch" not in Path(f"/proc/{pid}/maps").read_text()


def test_a_worker_that_gets_no_trial_for_so_long_ends_and_has_said_what_machine_it_is(
    client, worker
):
    create(client)
    client.patch_study("toys", StudyPatch(state="paused"))
    with worker(client, "--idle-after", "0.1s", "--name", "idle", "--label", "rack=7") as process:
        assert process.wait(30) == 0
    [seen] = client.workers()
    assert (seen.name, seen.trial, seen.capabilities["labels"]) == ("idle", None, {"rack": "7"})
    assert seen.capabilities["host"]
