"""Real workers, a real service, real training runs, and what happens when they are killed."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, TypeVar

import httpx
import psutil
import pytest
from safetensors.torch import load_file

from modomodo.local import LocalFleet, free_port
from service.schemas import (
    Measurement,
    NextRequest,
    Result,
    Trial,
    TrialCreate,
    last_measurements,
)
from trainer.client import Client, ServiceError
from trainer.job import Job
from trainer.recipe import Checkpoints, Evaluation, Recipe
from trainer.run import train_and_score
from trainer.tiny.study import study_spec

T = TypeVar("T")

SHORT = Recipe(
    steps=2, prompts_per_step=2, generations=2, evaluation=Evaluation(limit=4, batch_size=4)
)
MEDIUM = SHORT.model_copy(update={"steps": 100})
"""Long enough to be stopped after it was seen to train, on a fast machine too; it also ends."""
KILLS = 12
HASTY = ("--patience", "0.5s")
LONG = SHORT.model_copy(update={"steps": 400})
"""Longer than any test waits: such a run is only ever interrupted."""


@pytest.fixture
def fleet(tmp_path) -> Iterator[LocalFleet]:
    with LocalFleet(tmp_path, port=0) as fleet:
        yield fleet


@pytest.fixture
def client(fleet) -> Iterator[Client]:
    with Client(fleet.url) as client:
        yield client


@contextmanager
def service(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A service that a test may kill; ready when it is handed over."""
    url = f"http://127.0.0.1:{port}/readyz"
    database = f"sqlite:///{folder / 'modomodo.db'}"
    command = [sys.executable, "-m", "modomodo", "serve", "--port", str(port)]
    process = subprocess.Popen([*command, "--database", database], stderr=subprocess.DEVNULL)
    try:
        until(lambda: is_ready(url), bool)
        yield process
    finally:
        process.kill()
        process.wait()


def is_ready(url: str) -> bool:
    try:
        return httpx.get(url, trust_env=False).is_success
    except httpx.TransportError:
        return False


@contextmanager
def worker(
    client: Client, *arguments: str, stderr: IO[bytes] | int = subprocess.DEVNULL
) -> Iterator[subprocess.Popen[bytes]]:
    """`modomodo worker`, in a folder of its own where none is named; killed at the end."""
    command = [sys.executable, "-m", "modomodo", "worker", "--url", client.url, *arguments]
    with TemporaryDirectory() as own:
        if "--folder" not in arguments:
            command += ["--folder", own]
        process = subprocess.Popen(command, stderr=stderr)
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def children_of(pid: int) -> list[psutil.Process]:
    with suppress(psutil.NoSuchProcess):
        return psutil.Process(pid).children(recursive=True)
    return []


def is_run(process: psutil.Process) -> bool:
    """Whether it trains: a child of the server that training processes are forked from."""
    with suppress(psutil.NoSuchProcess):
        parent = process.parent()
        return parent is not None and "forkserver" in " ".join(parent.cmdline())
    return False


def until(read: Callable[[], T], is_reached: Callable[[T], bool], within_s: float = 180) -> T:
    """Polls until the state is reached; the deadline is generous because machines are slow."""
    deadline = time.monotonic() + within_s
    while not is_reached(state := read()):
        assert time.monotonic() < deadline, f"not reached in {within_s} s: {state}"
        time.sleep(0.1)
    return state


def is_training(trial: Trial) -> bool:
    return trial.state == "running" and (trial.step or 0) >= 1


def study_with(
    client: Client, recipe: Recipe, *, lease_s: float = 60, budget: int = 1, max_attempts: int = 3
) -> str:
    spec = study_spec("acceptance", recipe=recipe, budget=budget, strategy="seed")
    changes = {"lease_s": lease_s, "max_attempts": max_attempts}
    return client.create_study(spec.model_copy(update=changes)).name


def test_a_trial_killed_in_the_middle_is_taken_up_by_another_worker_and_finishes(client):
    study = study_with(client, MEDIUM, lease_s=3)
    with worker(client, "--name", "first") as first:
        trial = until(lambda: client.trials(study), lambda trials: any(map(is_training, trials)))[0]
        assert trial.worker == "first"
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    with worker(client, "--name", "second"):
        done = until(lambda: client.trial(trial.id), lambda now: now.state == "completed")
    assert (done.worker, done.attempts) == ("second", trial.attempts + 1)
    assert done.step == done.total_steps == MEDIUM.steps
    assert done.scores.out_score


def test_a_result_that_is_due_while_the_service_is_down_is_delivered_when_it_is_back(tmp_path):
    port, log = free_port(), tmp_path / "worker.log"
    with service(tmp_path, port) as first, Client(f"http://127.0.0.1:{port}") as client:
        study = study_with(client, SHORT)
        with log.open("wb") as stderr, worker(client, *HASTY, stderr=stderr):
            # Not before: the answer that gives the trial away may still be under way.
            until(log.read_text, lambda text: "run started" in text)
            [trial] = [trial for trial in client.trials(study) if trial.worker]
            first.kill()
            until(log.read_text, lambda text: "result not delivered" in text)
            with service(tmp_path, port):
                done = until(lambda: client.trial(trial.id), lambda now: now.state == "completed")
    assert done.attempts == 1
    assert len(last_measurements(done.measurements)) == 7


def curve(run: Path) -> list[dict[str, float]]:
    """What a run has noted of its steps, but for their time."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: v for name, v in line.items() if name != "step_s"} for line in lines]


def test_sigterm_hands_the_trial_back_and_its_run_goes_on_as_if_nothing_had_been(client, tmp_path):
    study = study_with(client, MEDIUM, lease_s=6)
    place = ("--folder", str(tmp_path / "node"))
    with worker(client, *place) as process:
        trial = until(lambda: client.trials(study), lambda trials: any(map(is_training, trials)))[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(90) == 0
    back = client.trial(trial.id)
    assert (back.state, back.worker) == ("queued", None)
    assert back.attempts == trial.attempts - 1, "nothing counts against it"
    [run] = (tmp_path / "node").glob("*/trial-*/run")
    assert MEDIUM.checkpoints.every is None
    [kept] = (run / "checkpoints").glob("checkpoint-*")
    before = (run / "metrics.jsonl").read_text()
    assert len(before.splitlines()) == int(kept.name.removeprefix("checkpoint-")) < MEDIUM.steps
    with worker(client, *place):
        done = until(lambda: client.trial(trial.id), lambda now: now.state == "completed")
    assert (run / "metrics.jsonl").read_text().startswith(before), "no step was done again"
    undisturbed = Job(trial.mixture, MEDIUM, trial.seed, folder=tmp_path / "undisturbed")
    scores = train_and_score(undisturbed).measurements
    assert curve(run) == curve(tmp_path / "undisturbed"), "bit by bit"
    told = httpx.get(f"{client.url}/trials/{trial.id}/curve", trust_env=False).json()
    assert told["steps"] == list(range(1, MEDIUM.steps + 1)), "every step is in the service"
    losses = [line["loss"] for line in curve(run)]
    assert told["metrics"]["loss"] == pytest.approx(losses, rel=1e-4, abs=1e-6), "rounded"
    assert {"rule/format", "learning_rate", "step_s"} <= set(told["names"])
    assert {(m.benchmark, m.rule, m.score) for m in done.measurements} == {
        (m.benchmark, m.rule, m.score) for m in scores
    }


def test_a_worker_that_starts_again_goes_on_with_its_trial_and_its_lease(client, tmp_path):
    study = study_with(client, MEDIUM, lease_s=60)
    place = ("--folder", str(tmp_path / "node"))
    with worker(client, *place) as first:
        trial = until(lambda: client.trials(study), lambda trials: any(map(is_training, trials)))[0]
        first.kill()
        first.wait()
    with worker(client, *place):
        done = until(lambda: client.trial(trial.id), lambda now: now.state == "completed")
    assert (done.attempts, done.worker) == (trial.attempts, trial.worker), "the same lease"


def test_a_killed_run_goes_on_from_its_checkpoint_with_scores_of_every_point(client, tmp_path):
    recipe = MEDIUM.model_copy(
        update={
            "checkpoints": Checkpoints(every=10),
            "evaluation": Evaluation(limit=4, batch_size=4, at=(10,)),
        }
    )
    study = study_with(client, recipe, lease_s=60)
    place = ("--folder", str(tmp_path / "node"))
    with worker(client, *place) as first:
        trial = until(
            lambda: client.trials(study), lambda trials: any(t.measurements for t in trials)
        )[0]
        checkpoints = "*/trial-*/run/checkpoints/checkpoint-*"
        until(lambda: list((tmp_path / "node").glob(checkpoints)), bool)
        first.kill()
        first.wait()
    assert {m.step for m in client.trial(trial.id).measurements} == {10}, "scored on the way"
    kept = max(
        int(path.name.removeprefix("checkpoint-")) for path in (tmp_path / "node").glob(checkpoints)
    )
    assert kept >= 10
    with worker(client, *place):
        done = until(lambda: client.trial(trial.id), lambda now: now.state == "completed")
        left = (tmp_path / "node").glob
        until(lambda: list(left("*/trial-*/run/checkpoints")), lambda found: not found)
    measured = [(m.benchmark, m.rule, m.step) for m in done.measurements]
    assert len(set(measured)) == len(measured), "each point once"
    assert {m.step for m in done.measurements} == {10, MEDIUM.steps}
    lines = next((tmp_path / "node").glob("*/trial-*/run/metrics.jsonl")).read_text().splitlines()
    assert [json.loads(line)["step"] for line in lines] == list(range(1, MEDIUM.steps + 1)), (
        "no step twice"
    )


def test_another_node_goes_on_from_the_store_and_ends_with_the_weights_of_an_undisturbed_run(
    client, tmp_path
):
    recipe = MEDIUM.model_copy(update={"checkpoints": Checkpoints(every=10, keep=2)})
    study = study_with(client, recipe, lease_s=3)
    store = tmp_path / "store"
    shared = ("--store", store.as_uri(), "--max-trials", "1")
    with worker(client, *shared) as first:
        until(lambda: list(store.glob("*/trial-*/checkpoints/*/manifest.json")), bool)
        [trial] = client.trials(study)
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
    log = tmp_path / "log"
    with log.open("wb") as stderr, worker(client, *shared, stderr=stderr) as second:
        done = until(lambda: client.trial(trial.id), lambda now: now.state == "completed")
        assert second.wait(60) == 0
    assert "going on from the store" in log.read_text()
    assert isinstance(done.artifacts["store"], str)
    final = Path(done.artifacts["store"].removeprefix("file://"))
    undisturbed = Job(trial.mixture, recipe, trial.seed, folder=tmp_path / "undisturbed")
    train_and_score(undisturbed)
    assert curve(final) == curve(tmp_path / "undisturbed")
    there, here = (final / "model", tmp_path / "undisturbed/checkpoints/checkpoint-100")
    weights = [load_file(folder / "model.safetensors") for folder in (there, here)]
    assert all(bool((weights[0][name] == weights[1][name]).all()) for name in weights[1])
    assert not list(store.glob("*/trial-*/checkpoints/*")), "no one needs them any more"


def test_a_result_that_a_worker_could_not_deliver_is_delivered_by_its_successor(tmp_path):
    port, log = free_port(), tmp_path / "worker.log"
    place = ("--folder", str(tmp_path / "node"))
    with service(tmp_path, port) as first, Client(f"http://127.0.0.1:{port}") as client:
        study = study_with(client, SHORT, lease_s=3)
        with log.open("wb") as stderr, worker(client, *place, *HASTY, stderr=stderr) as process:
            # Not before: the answer that gives the trial away may still be under way.
            until(log.read_text, lambda text: "run started" in text)
            [trial] = [trial for trial in client.trials(study) if trial.worker]
            first.kill()
            until(log.read_text, lambda text: "result not delivered" in text)
            process.kill()
            process.wait()
        with service(tmp_path, port), worker(client, *place):
            done = until(lambda: client.trial(trial.id), lambda now: now.state == "completed")
    assert len(last_measurements(done.measurements)) == 7
    assert done.attempts == 1, "trained once"


def test_two_trials_at_a_time_each_with_its_own_share_of_the_gpus(client, tmp_path):
    study = study_with(client, SHORT, budget=2)
    place = ("--folder", str(tmp_path / "node"), "--until-done")
    with worker(client, *place, "--gpus", "0,1", "--name", "node", "--study", study) as process:
        assert process.wait(240) == 0
    trials = client.trials(study)
    assert [trial.state for trial in trials] == ["completed", "completed"]
    assert {trial.worker for trial in trials} <= {"node-1", "node-2"}
    assert {path.name for path in (tmp_path / "node").iterdir()} == {"1", "2"}


def test_a_second_signal_ends_a_worker_at_once(tmp_path):
    with (
        Client("http://127.0.0.1:9", patience_s=1) as nowhere,
        worker(nowhere, "--folder", str(tmp_path)) as process,
    ):
        until(lambda: list(tmp_path.glob("1/lock")), bool)
        process.send_signal(signal.SIGTERM)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) in (0, 128 + signal.SIGTERM)


@pytest.mark.timeout(900)
def test_whatever_is_killed_no_trial_is_lost_and_none_is_scored_twice(client, tmp_path):
    """Twenty short trials; workers and training processes are killed at random moments of them."""
    study = study_with(client, SHORT, lease_s=2, budget=20, max_attempts=100)
    place = ("--folder", str(tmp_path / "node"), "--until-done", "--study", study)
    rng, kills = random.Random(0), {"worker": 0, "run": 0}

    def finished() -> list[Trial]:
        return [trial for trial in client.trials(study) if trial.state == "completed"]

    with ExitStack() as stack:
        workers = [stack.enter_context(worker(client, *place)) for _ in range(2)]

        def tend() -> list[psutil.Process]:
            """Starts dead workers again; the training processes of all."""
            for i, process in enumerate(workers):
                if process.poll() is not None:
                    workers[i] = stack.enter_context(worker(client, *place))
            children = [c for w in workers for c in children_of(w.pid)]
            return [child for child in children if is_run(child)]

        while sum(kills.values()) < KILLS:
            done = len(finished())
            runs = until(tend, lambda runs: runs or len(finished()) > done)  # noqa: B023
            time.sleep(rng.uniform(0, 1.5))  # anywhere in its start, its steps or its scoring
            if rng.random() < 0.5:
                rng.choice(workers).kill()
                kills["worker"] += 1
            elif runs:
                with suppress(psutil.NoSuchProcess):
                    rng.choice(runs).kill()
                    kills["run"] += 1
        until(lambda: (tend(), finished())[1], lambda done: len(done) >= 20, within_s=600)
    assert min(kills.values()) >= 3, kills
    trials = client.trials(study)
    assert len(finished()) == 20
    assert all(trial.state in ("completed", "cancelled") for trial in trials), "none was lost"
    for trial in finished():
        measured = [(m.benchmark, m.rule, m.step) for m in trial.measurements]
        assert len(set(measured)) == len(measured), "scored once"
        assert len(last_measurements(trial.measurements)) == 7


def test_two_workers_finish_a_study_and_never_run_the_same_trial(client, fleet):
    study = study_with(client, SHORT, budget=6)
    fleet.start_workers(2, study)
    trials = until(
        lambda: client.trials(study),
        lambda trials: sum(trial.state == "completed" for trial in trials) == 6,
    )
    assert all(trial.attempts == 1 for trial in trials)
    assert {len(last_measurements(trial.measurements)) for trial in trials} == {7}
    assert all(trial.scores.in_score and trial.scores.out_score for trial in trials)
    assert any(trial.metrics.get("reward") is not None for trial in trials)


def test_a_cancelled_trial_stops_its_run_and_the_worker_takes_the_next(client):
    study = study_with(client, LONG, budget=2)
    with worker(client):
        trial = next(
            filter(
                is_training,
                until(lambda: client.trials(study), lambda ts: any(map(is_training, ts))),
            )
        )
        client.cancel(trial.id)
        until(
            lambda: client.trials(study),
            lambda trials: any(is_training(other) and other.id != trial.id for other in trials),
        )
    assert client.trial(trial.id).state == "cancelled"


def test_a_recipe_that_cannot_run_fails_its_trial_once_and_says_why(client):
    spec = study_spec("acceptance", recipe=SHORT, budget=1, strategy="seed")
    client.create_study(spec.model_copy(update={"recipe": {"learning_rat": 1}}))
    with worker(client, "--max-trials", "1") as process:
        assert process.wait(60) == 0
    failed = [t for t in client.trials("acceptance") if t.state == "failed"]
    assert len(failed) == 1
    assert "unknown key 'learning_rat'" in (failed[0].error or "")


def test_a_result_posted_twice_changes_nothing(client):
    study = study_with(client, SHORT)
    answer = until(
        lambda: client.next(NextRequest(worker="by hand", study=study)),
        lambda answer: answer.trial is not None,
    )
    assert answer.trial
    assert answer.lease
    measurements = [
        Measurement(benchmark=benchmark.name, score=0.5, samples=100)
        for benchmark in client.study(study).benchmarks
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


def test_a_run_queued_by_hand_is_trained_like_any_other(client):
    study = study_with(client, SHORT, budget=1)
    queued = client.add_trial(
        study, TrialCreate(mixture={"coco": 0.25, "sat": 0.75}, note="a hunch")
    )
    with worker(client):
        done = until(lambda: client.trial(queued.id), lambda trial: trial.state == "completed")
    assert done.mixture["sat"] == 0.75
