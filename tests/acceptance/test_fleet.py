"""`modomodo fleet` on this machine, with workers that train nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from modomodo.fleet.engines import Setup
from modomodo.fleet.local import Local
from modomodo.local import free_port
from service.client import Client
from service.schemas import StudySpec, TrialCreate
from tests.support import toy, warm
from tests.support.polling import until
from tests.support.processes import ends
from tests.support.serving import service
from tests.support.warm import Command

FLEET = f"test-{os.getpid()}"


@pytest.fixture
def client(database_url) -> Iterator[Client]:
    port = free_port()
    with service(database_url, port), Client(f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
def environment(tmp_path) -> dict[str, str]:
    return {"MODOMODO_COMMANDS": str(toy.install(tmp_path / "commands"))}


@pytest.fixture
def options(client, tmp_path):
    folder = str(tmp_path / "fleet")
    yield ["--engine", "local", "--url", client.url, "--name", FLEET, "--folder", folder]
    runs = Local(FLEET, Setup(client.url), Path(folder))
    for worker in runs.workers():
        os.kill(int(worker.id), 9)


def create(client: Client, trials: int, **changes: object) -> None:
    body = toy.study(budget=trials, **changes)
    client.create_study(StudySpec.model_validate(body))
    for i in range(trials):
        share = i / trials
        client.add_trial("toys", TrialCreate(mixture={"coco": share, "sat": 1 - share}))


def in_state(client: Client, state: str) -> list:
    return [trial for trial in client.trials("toys") if trial.state == state]


def test_a_fleet_does_the_work_and_ends_though_its_controller_is_killed_between(
    client, options, environment, tmp_path
):
    go = tmp_path / "go"
    create(client, 3, waits_for=go)
    said = warm.run("fleet", *options, "--max", "2", "--dry-run")
    assert json.loads(said.stdout)["start"] == 2, said.stderr
    with Command("fleet", *options, "--max", "2", environment=environment) as first:
        running = until(lambda: in_state(client, "running"), lambda found: len(found) == 2)
        first.kill()
    listed = json.loads(warm.run("fleet", "status", *options, "--json").stdout)
    shown = {(row["state"], row["trial"]) for row in listed["workers"]}
    assert shown == {("running", trial.number) for trial in running}
    go.touch()
    more = ["--max", "2", "--until-done", "--every", "0.2s"]
    with Command("fleet", *options, *more, environment=environment) as second:
        assert second.wait(45) == 0
    done = in_state(client, "completed")
    assert [trial.attempts for trial in done] == [1, 1, 1], "nothing lost, nothing doubled"
    assert len({trial.worker for trial in done}) == 3


def test_a_stopped_fleet_hands_its_trials_back(client, options, environment):
    create(client, 1, waits_for="never")
    with Command("fleet", *options, "--max", "1", environment=environment) as controller:
        [trial] = until(lambda: in_state(client, "running"))
        until(lambda: client.trial(trial.id).step)
        controller.terminate()
    [worker] = Local(FLEET, Setup(client.url), Path()).workers()
    assert warm.run("fleet", "stop", *options).returncode == 0
    assert ends(int(worker.id))
    assert len(in_state(client, "queued")) == 1
