"""Workers that train the real miniature, are stopped and killed, and lose not a step."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import httpx
import pytest
from safetensors.numpy import load_file

from modomodo.local import free_port
from service.client import Client
from service.schemas import Trial, TrialCreate
from tests.support import TRAINING_S, forks
from tests.support.polling import until
from tests.support.serving import service
from tests.support.warm import Command
from trainer.job import Job, Outcome, Progress
from trainer.recipe import Recipe
from trainer.tiny.study import study_spec
from trainer.worker.child import Child

pytestmark = pytest.mark.timeout(TRAINING_S)

STEPS = 40
SEED = 5
MIXTURE = {"coco": 0.5, "sat": 0.5}
RECIPE = Recipe.parse(
    {
        "steps": STEPS,
        "seed": SEED,
        "prompts_per_step": 2,
        "generations": 2,
        "max_completion_tokens": 8,
        "checkpoints": {"every": 5, "keep": 2},
        "evaluation": {"limit": 4, "batch_size": 4, "at": [5]},
    }
)
"""Long enough that a run which was seen to train can be stopped before it ends."""
WITHIN_S = 120.0


@pytest.fixture
def client(database_url) -> Iterator[Client]:
    port = free_port()
    with service(database_url, port), Client(f"http://127.0.0.1:{port}") as client:
        yield client


def queue(client: Client, lease_s: float) -> Trial:
    spec = study_spec("training", recipe=RECIPE, budget=1, strategy="seed")
    client.create_study(spec.model_copy(update={"lease_s": lease_s}))
    return client.add_trial("training", TrialCreate(mixture=MIXTURE))


def worker(client: Client, *arguments: str | Path, stderr: IO[bytes] | None = None) -> Command:
    return Command(
        *("worker", "--url", client.url, "--max-trials", "1", *arguments),
        environment=forks.environment(),
        stderr=stderr,
    )


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, Outcome]:
    """The same run as nobody disturbs it: its folder and what came out."""
    folder = tmp_path_factory.mktemp("undisturbed")
    with forks.shared():
        child = Child(Job(MIXTURE, RECIPE, SEED, folder=folder))
        while isinstance(message := child.hear(), Progress):
            pass
        child.stop()
    assert isinstance(message, Outcome)
    return folder, message


def curve(run: Path) -> list[dict[str, float]]:
    """What a run has noted of its steps, but for their time."""
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{name: v for name, v in line.items() if name != "step_s"} for line in lines]


@pytest.mark.slow
def test_a_run_that_is_stopped_on_one_node_goes_on_there_as_if_nothing_had_been(
    client, undisturbed, tmp_path
):
    trial = queue(client, lease_s=30)
    place = ("--folder", tmp_path / "node")
    with worker(client, *place) as process:
        until(lambda: client.trial(trial.id), lambda now: (now.step or 0) >= 1, WITHIN_S)
        process.send_signal(signal.SIGTERM)
        assert process.wait(WITHIN_S) == 0
    back = client.trial(trial.id)
    assert (back.state, back.worker, back.attempts) == ("queued", None, 0), "nothing counts"
    [run] = (tmp_path / "node").glob("*/trial-*/run")
    before = (run / "metrics.jsonl").read_text()
    checkpoints = run.glob("checkpoints/checkpoint-*")
    kept = max(int(path.name.removeprefix("checkpoint-")) for path in checkpoints)
    assert len(before.splitlines()) == kept < STEPS
    with worker(client, *place) as process:
        assert process.wait(WITHIN_S) == 0
    done = client.trial(trial.id)
    assert done.state == "completed"
    assert (run / "metrics.jsonl").read_text().startswith(before), "no step was done again"
    folder, outcome = undisturbed
    assert curve(run) == curve(folder), "bit by bit"
    assert {(m.benchmark, m.rule, m.step, m.score) for m in done.measurements} == {
        (m.benchmark, m.rule, m.step, m.score) for m in outcome.measurements
    }
    told = httpx.get(f"{client.url}/trials/{trial.id}/curve", trust_env=False).json()
    assert told["steps"] == list(range(1, STEPS + 1)), "every step is in the service"
    losses = [line["loss"] for line in curve(run)]
    assert told["metrics"]["loss"] == pytest.approx(losses, rel=1e-4, abs=1e-6), "rounded"
    assert {"rule/format", "learning_rate", "step_s"} <= set(told["names"])


def test_a_run_that_is_killed_is_finished_by_another_node_from_the_store(
    client, undisturbed, tmp_path
):
    trial = queue(client, lease_s=3)
    store = tmp_path / "store"
    stored = "*/trial-*/checkpoints/*/manifest.json"
    shared = ("--store", store.as_uri())
    with worker(client, *shared, "--folder", tmp_path / "first") as first:
        until(lambda: list(store.glob(stored)), within_s=WITHIN_S)
        until(lambda: client.trial(trial.id).measurements, within_s=WITHIN_S)
        first.kill()
        first.wait()
    assert {m.step for m in client.trial(trial.id).measurements} == {5}, "scored on the way"
    log = tmp_path / "log"
    with (
        log.open("wb") as stderr,
        worker(client, *shared, "--folder", tmp_path / "second", stderr=stderr) as second,
    ):
        assert second.wait(WITHIN_S) == 0
    assert "going on from the store" in log.read_text()
    done = client.trial(trial.id)
    assert (done.state, done.attempts) == ("completed", 2)
    measured = [(m.benchmark, m.rule, m.step) for m in done.measurements]
    assert len(set(measured)) == len(measured), "each point once"
    assert {m.step for m in done.measurements} == {5, STEPS}
    final = Path(str(done.artifacts["store"]).removeprefix("file://"))
    folder, _ = undisturbed
    assert curve(final) == curve(folder)
    there, here = (final / "model", folder / f"checkpoints/checkpoint-{STEPS}")
    weights = [load_file(folder / "model.safetensors") for folder in (there, here)]
    assert all(bool((weights[0][name] == weights[1][name]).all()) for name in weights[1])
    assert not list(store.glob("*/trial-*/checkpoints/*")), "no one needs them any more"
    assert not list((tmp_path / "second").glob("*/trial-*/run/checkpoints")), "nor here"
