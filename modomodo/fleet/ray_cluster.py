"""The engine `ray`: a detached actor of Ray Core a worker. Actors that wait for GPUs are what Ray's
autoscaler, and KubeRay's, goes by.

Detached, since tasks and other actors are killed with the driver that asked for them: a controller
that is started anew would cost the whole fleet its runs.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, GetTimeoutError, RayActorError

from modomodo.errors import CommandFailed
from modomodo.fleet import supervisor
from modomodo.fleet.engines import Setup, Started, node_of

ANSWER_S = 3.0
"""An actor that does not answer within so long still waits for a machine."""


class RayCluster:
    """Workers on the nodes of a Ray cluster.

    Args:
        fleet: None for one named after the cluster's address.
        address: of the cluster, as for `ray.init`; None for RAY_ADDRESS or the one on this machine.

    Raises:
        CommandFailed: there is no cluster.
    """

    def __init__(self, fleet: str | None, setup: Setup, address: str | None) -> None:
        self._setup = setup
        namespace = "modomodo"
        try:
            ray.init(
                address or "auto", namespace=namespace, log_to_driver=False, logging_level="ERROR"
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise CommandFailed(
                f"no Ray cluster at {address or 'this machine'}: {error}; give --address"
            ) from error
        where = ray.get_runtime_context().gcs_address
        self.fleet = fleet or "ray-" + "".join(c if c.isalnum() else "-" for c in where)
        ray.cloudpickle.register_pickle_by_value(supervisor)
        self._actor: Any = ray.remote(supervisor.Supervisor)

    def workers(self) -> list[Started]:
        handles = {}
        for listed in ray.util.list_named_actors():
            fleet, _, rest = listed.partition("/")
            if fleet == self.fleet:
                try:
                    handles[listed] = (ray.get_actor(listed), rest)
                except ValueError:  # it has ended since it was listed
                    continue
        asked = {listed: self._keep(h, rest) for listed, (h, rest) in handles.items()}
        if asked:
            ray.wait(list(asked.values()), num_returns=len(asked), timeout=ANSWER_S)
        found = []
        for listed, answer in asked.items():
            study = _study(handles[listed][1])
            try:
                said = ray.get(answer, timeout=0)
            except GetTimeoutError:
                found.append(Started(listed, study, "pending"))
            except ActorUnavailableError:  # its machine cannot be reached just now
                found.append(Started(listed, study, "running"))
            except RayActorError:  # it has ended
                continue
            else:
                where = f"{said['host']} {said['node'][:8]}"
                found.append(Started(listed, study, "running", said["name"], where))
        return found

    def start(self, study: str | None, n: int) -> None:
        for _ in range(n):
            self._start(study)

    def _start(self, study: str | None) -> None:
        rest = f"{study or ''}/{secrets.token_hex(4)}"
        self._actor.options(
            name=f"{self.fleet}/{rest}",
            lifetime="detached",
            num_gpus=self._setup.gpus,
            num_cpus=0,
            max_restarts=0,
            max_task_retries=0,
        ).remote()

    def cancel(self, worker: Started) -> None:
        try:
            actor = ray.get_actor(worker.id)
        except ValueError:
            return
        if worker.state == "pending":
            ray.kill(actor)
        else:
            actor.stop.remote()

    def lost(self, names: Sequence[str]) -> list[str]:
        alive = {node["NodeID"][:16] for node in ray.nodes() if node["Alive"]}
        return [
            name
            for name in names
            if (node := node_of(self.fleet, name)) is not None and node not in alive
        ]

    def _keep(self, actor: Any, rest: str) -> Any:
        """Has an actor start its worker, if it has none yet: whoever asked for it may have ended
        before there was a machine for it."""
        name = f"{self.fleet}.{{node}}.{rest.rpartition('/')[2]}"
        arguments = self._setup.arguments(name, _study(rest))
        return actor.keep.remote(name, self._setup.program, arguments, self._setup.environment())


def _study(rest: str) -> str | None:
    return rest.rpartition("/")[0] or None
