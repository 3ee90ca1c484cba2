"""The engine `kubernetes`: a Job a worker, by `kubectl`.

`kubectl` and not a client library: whoever runs a cluster has it, with contexts and ways to sign
in; in a pod it takes the service account's. Jobs and not a StatefulSet: a worker ends with its
trial, and one that waits for a GPU is what cluster autoscalers and Kueue go by.
"""

from __future__ import annotations

import json
import os
import secrets
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import structlog

from modomodo.errors import CommandFailed
from modomodo.fleet.engines import Setup, Started
from modomodo.fleet.manifests import FLEET_LABEL, STUDY_NOTE, WORKER_LABEL, Pods, job

ANSWER_S = 60.0
AT_ONCE = 100
"""Jobs that one call of kubectl makes: it starts slowly, and is to answer in time."""


@dataclass(frozen=True, slots=True)
class _Pod:
    """A worker's pod, as long as it has not ended."""

    node: str
    is_running: bool


class Kubernetes:
    """Jobs of a namespace, by the label of the fleet.

    Args:
        namespace: None for that of kubectl's context.
    """

    def __init__(self, fleet: str, setup: Setup, pods: Pods, namespace: str | None = None) -> None:
        self.fleet, self._setup, self._pods = fleet, setup, pods
        self._where = [] if namespace is None else [f"--namespace={namespace}"]

    def workers(self) -> list[Started]:
        found = self._list("jobs,pods")
        pods = _pods(found)
        workers = []
        for item in found:
            if item["kind"] != "Job" or _has_ended(item):
                continue
            name = item["metadata"]["labels"].get(WORKER_LABEL, "")
            study = item["metadata"].get("annotations", {}).get(STUDY_NOTE)
            pod = pods.get(name)
            if pod is not None and pod.is_running:
                workers.append(Started(_name(item), study, "running", name, pod.node))
            elif "deletionTimestamp" not in item["metadata"]:
                workers.append(Started(_name(item), study, "pending"))
        return workers

    def start(self, study: str | None, n: int) -> None:
        made = [
            job(self.fleet, secrets.token_hex(4), study, self._setup, self._pods, os.environ)
            for _ in range(n)
        ]
        for first in range(0, n, AT_ONCE):
            lines = "\n".join(map(json.dumps, made[first : first + AT_ONCE]))
            _call("create", *self._where, "--filename=-", "--output=name", text=lines)

    def cancel(self, worker: Started) -> None:
        # In the foreground the Job stays until its pod has ended, which has its grace for that.
        how = ["--cascade=foreground", "--wait=false", "--ignore-not-found"]
        _call("delete", *self._where, f"job/{worker.id}", *how)

    def lost(self, names: Sequence[str]) -> list[str]:
        if not names:
            return []
        pods = _pods(self._list("pods"))
        at = {name: pods[name].node for name in names if name in pods and pods[name].node}
        if not at:
            return []
        try:
            listed = json.loads(_call("get", "nodes", "--output=json"))["items"]
        except CommandFailed as error:
            structlog.get_logger().warning("dead nodes are not seen", error=str(error))
            return []
        well = {_name(node) for node in listed if _is_heard_of(node)}
        return [name for name, node in at.items() if node not in well]

    def _list(self, kinds: str) -> list[dict[str, Any]]:
        """Objects of the fleet."""
        label = f"--selector={FLEET_LABEL}={self.fleet}"
        found: list[dict[str, Any]] = json.loads(
            _call("get", kinds, *self._where, label, "--output=json")
        )["items"]
        return found


def _name(item: Mapping[str, Any]) -> str:
    return str(item["metadata"]["name"])


def _pods(found: Sequence[Mapping[str, Any]]) -> dict[str, _Pod]:
    """By worker; none of those that have ended."""
    return {
        pod["metadata"]["labels"].get(WORKER_LABEL, ""): _Pod(
            pod["spec"].get("nodeName", ""), pod["status"].get("phase") == "Running"
        )
        for pod in found
        if pod["kind"] == "Pod" and pod["status"].get("phase") not in ("Succeeded", "Failed")
    }


def _has_ended(item: Mapping[str, Any]) -> bool:
    conditions = item.get("status", {}).get("conditions", [])
    return any(c["type"] in ("Complete", "Failed") and c["status"] == "True" for c in conditions)


def _is_heard_of(node: Mapping[str, Any]) -> bool:
    """Its kubelet reports, be it that it is not ready; `Unknown` means silence."""
    conditions = node.get("status", {}).get("conditions", [])
    return all(c["type"] != "Ready" or c["status"] != "Unknown" for c in conditions)


def _call(verb: str, *arguments: str, text: str = "") -> str:
    """What kubectl prints.

    Raises:
        CommandFailed: it is not there, does not answer, or refuses.
    """
    try:
        done = subprocess.run(  # noqa: S603 - the operator's own program
            ["kubectl", verb, *arguments],  # noqa: S607
            input=text,
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandFailed(
            "there is no kubectl here; install it, or run this where it is"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"kubectl {verb} did not answer within {ANSWER_S:g} s") from error
    if done.returncode:
        raise CommandFailed(f"kubectl {verb} failed: {done.stderr.strip() or done.returncode}")
    return done.stdout
