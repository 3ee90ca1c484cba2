"""A fleet on a real Ray cluster of this machine: nodes, controllers and heads that die in
mid-trial. Nothing is lost, doubled or stuck, and no process is left behind.

    make test-fleet
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from modomodo.local import free_port
from service.client import Client
from service.schemas import StudySpec, Trial, TrialCreate
from tests.support import toy, warm
from tests.support.polling import until
from tests.support.serving import service
from tests.support.warm import Command

pytest.importorskip("ray", reason="NOT RUN on Ray: pip install 'modomodo[ray]'")
from ray.cluster_utils import Cluster

pytestmark = [pytest.mark.fleet, pytest.mark.timeout(300)]

SOON_S = 90.0
"""A head and its nodes take half a minute on a busy machine."""

MEMORY = 80 * 2**20
HASTY = {
    "gcs_rpc_server_reconnect_timeout_s": 5,
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 500,
    "health_check_failure_threshold": 3,
}
"""Dead nodes and heads are noticed within seconds, not minutes."""

FLEET = f"ray-test-{os.getpid()}"


class RayHere:
    """A head without GPUs, and nodes with one each that is none."""

    def __init__(self, nodes: int) -> None:
        self.cluster = Cluster(
            initialize_head=True,
            head_node_args={
                "num_cpus": 1,
                "num_gpus": 0,
                "include_dashboard": False,
                "object_store_memory": MEMORY,
                "_system_config": HASTY,
            },
        )
        self.nodes = [self.add() for _ in range(nodes)]

    def add(self) -> object:
        return self.cluster.add_node(num_cpus=1, num_gpus=1, object_store_memory=MEMORY)


@pytest.fixture
def ray_here() -> Iterator[list[RayHere]]:
    """Clusters, the newest last."""
    found = [RayHere(2)]
    yield found
    for here in found:
        here.cluster.shutdown()


@pytest.fixture
def client(database_url) -> Iterator[Client]:
    port = free_port()
    with service(database_url, port), Client(f"http://127.0.0.1:{port}") as client:
        yield client


@pytest.fixture
def go(tmp_path) -> Path:
    return tmp_path / "go"


@pytest.fixture
def controller(client, tmp_path, ray_here):
    """Starts a controller on the newest cluster."""
    environment = {
        "MODOMODO_COMMANDS": str(toy.install(tmp_path / "commands")),
        "MODOMODO_FOLDER": str(tmp_path / "workers"),
        "PYTHONPATH": str(warm.ROOT),
    }
    started: list[Command] = []

    def start(*arguments: str) -> Command:
        options = ["--engine", "ray", "--address", ray_here[-1].cluster.address, "--name", FLEET]
        options += ["--url", client.url, "--every", "0.5s", *arguments]
        log = (tmp_path / f"controller-{len(started)}.log").open("wb")
        started.append(Command("fleet", *options, environment=environment, stderr=log))
        return started[-1]

    yield start
    for process in started:
        process.kill()


def create(client: Client, trials: int, go: Path) -> None:
    """One attempt a trial: any that counted would fail it."""
    body = toy.study(go, budget=trials, lease_s=120, max_attempts=1)
    client.create_study(StudySpec.model_validate(body))
    for i in range(trials):
        share = i / trials
        client.add_trial("toys", TrialCreate(mixture={"coco": share, "sat": 1 - share}))


def trials(client: Client) -> list[Trial]:
    """By number, but for proposals that were withdrawn for those made by hand."""
    found = [trial for trial in client.trials("toys") if trial.state != "cancelled"]
    return sorted(found, key=lambda trial: trial.number)


def in_training(client: Client, n: int, without: tuple[str, ...] = ()) -> list[Trial]:
    """`n` trials at once, none of them with one of these workers."""

    def found() -> list[Trial]:
        return [t for t in trials(client) if t.state == "running" and (t.step or 0) >= 1]

    return until(
        found,
        lambda held: len(held) == n and not {trial.worker for trial in held} & {*without},
        SOON_S,
    )


def all_complete(client: Client, n: int) -> list[Trial]:
    return until(
        lambda: trials(client),
        lambda found: [trial.state for trial in found] == ["completed"] * n,
        SOON_S,
    )


def processes() -> list[list[str]]:
    """Workers of the fleet that are there."""
    found = []
    for process in psutil.process_iter(["cmdline"]):
        words = process.info["cmdline"] or []
        if "worker" in words and any(word.startswith(f"{FLEET}.") for word in words):
            found.append(words)
    return found


def nobody_is_left() -> None:
    until(processes, lambda found: not found, SOON_S)


def test_a_node_that_is_removed_in_mid_trial_costs_no_attempt_and_another_goes_on(
    client, controller, ray_here, go
):
    create(client, 3, go)
    controller("--max", "3")
    lost, other = in_training(client, 2)
    here = ray_here[0]
    node = next(n for n in here.nodes if n.node_id.startswith(lost.worker.split(".")[1]))
    here.cluster.remove_node(node, allow_graceful=False)
    here.add()
    in_training(client, 2, without=(lost.worker,))
    go.touch()
    done = all_complete(client, 3)
    by_id = {trial.id: trial for trial in done}
    assert by_id[lost.id].worker != lost.worker
    assert (by_id[other.id].worker, by_id[other.id].attempts) == (other.worker, other.attempts)
    nobody_is_left()


def test_workers_go_on_while_a_controller_is_dead_and_the_next_one_knows_them(
    client, controller, go
):
    create(client, 3, go)
    first = controller("--max", "2")
    both = in_training(client, 2)
    first.kill()
    first.wait()
    second, third = (controller("--max", "2", "--until-done") for _ in range(2))
    assert len(processes()) == 2
    go.touch()
    done = all_complete(client, 3)
    assert [trial.attempts for trial in done] == [1, 1, 1]
    assert {trial.worker for trial in both} < {trial.worker for trial in done}
    assert [second.wait(60), third.wait(60)] == [0, 0]
    nobody_is_left()


def test_a_head_that_is_restarted_loses_its_workers_and_none_of_their_trials(
    client, controller, ray_here, go
):
    create(client, 2, go)
    first = controller("--max", "2")
    before = in_training(client, 2)
    old = ray_here[0].cluster
    old.remove_node(old.head_node, allow_graceful=False)
    first.kill()
    first.wait()
    # Workers may outlive their head; what the next head does not know is gone, and hears so.
    ray_here.append(RayHere(2))
    controller("--max", "2")
    after = in_training(client, 2, without=tuple(str(trial.worker) for trial in before))
    until(processes, lambda found: len(found) == 2, SOON_S)
    assert {trial.id for trial in after} == {trial.id for trial in before}
    go.touch()
    done = all_complete(client, 2)
    assert {trial.worker for trial in done} == {trial.worker for trial in after}
    nobody_is_left()
