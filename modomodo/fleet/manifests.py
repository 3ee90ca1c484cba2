"""What Kubernetes is given: a Job a worker, and a RayJob that is a whole fleet.

Fields are those of batch/v1 (https://kubernetes.io/docs/concepts/workloads/controllers/job/), of
ray.io/v1 (https://docs.ray.io/en/latest/cluster/kubernetes/), and the label by which Kueue knows
its queue (https://kueue.sigs.k8s.io/docs/tasks/run/jobs/). They hold no key: that is a Secret's.
"""

from __future__ import annotations

import copy
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml  # type: ignore[import-untyped]
from pydantic import BaseModel, Field, ValidationError

from modomodo.errors import WrongUse, problems
from modomodo.fleet.engines import GRACE_S, WARNING_S, Setup
from service.notation import yaml_text

FLEET_LABEL, WORKER_LABEL, STUDY_NOTE = "modomodo/fleet", "modomodo/worker", "modomodo/study"
"""Labels by which a fleet's Jobs and pods are found, and the note of the study they work for."""
QUEUE_LABEL = "kueue.x-k8s.io/queue-name"

SECRET = "modomodo"  # noqa: S105 - its name
WORKER_KEY, ADMIN_KEY = "worker-key", "api-key"
"""The Secret's name and its keys, as `deploy/kubernetes/secret.example.yaml` has them."""

PLAIN = ("MODOMODO_DATA", "MODOMODO_COMMANDS", "MODOMODO_FOLDER")
"""Variables that workers get as they are here. Others may be secret, and manifests are not."""

KEPT_S = 600
"""How long a Job is kept after its end: `fleet status` and a person look at what happened."""

NODE: Mapping[str, Any] = {
    "name": "MODOMODO_NODE",
    "valueFrom": {"fieldRef": {"fieldPath": "spec.nodeName"}},
}
"""What a worker says of where it is: in a pod the host's name is the pod's."""

DEFAULT_POD: Mapping[str, Any] = {
    "spec": {
        "automountServiceAccountToken": False,
        # Else a Service called modomodo would set MODOMODO_PORT to its own address.
        "enableServiceLinks": False,
        "containers": [
            {
                "name": "worker",
                "volumeMounts": [
                    {"name": "data", "mountPath": "/data"},
                    {"name": "shared-memory", "mountPath": "/dev/shm"},  # noqa: S108
                ],
            }
        ],
        "volumes": [
            {"name": "data", "emptyDir": {}},
            {"name": "shared-memory", "emptyDir": {"medium": "Memory", "sizeLimit": "16Gi"}},
        ],
    }
}
"""Where the operator gives no template: data that a pod fetches and forgets."""


class _Resources(BaseModel):
    limits: dict[str, Any] | None = None


class _Variable(BaseModel):
    name: str


class _Container(BaseModel):
    env: list[_Variable] | None = None
    resources: _Resources | None = None


class _Metadata(BaseModel):
    labels: dict[str, str] | None = None


class _Spec(BaseModel):
    containers: Annotated[list[_Container], Field(min_length=1)]
    terminationGracePeriodSeconds: int | None = None  # noqa: N815 - Kubernetes' name


class _Template(BaseModel):
    """What is read and added to here of a pod template; the rest is for Kubernetes to judge."""

    metadata: _Metadata | None = None
    spec: _Spec


@dataclass(frozen=True, slots=True)
class Pods:
    """What pods of workers are made of.

    Attributes:
        image: what runs in their first container; None for the template's own.
        keys_from: name of the Secret that has the keys.
        queue: Kueue's, which admits them; None where there is no Kueue.
        template: a PodTemplateSpec, whose first container is the worker.
    """

    image: str | None = None
    keys_from: str = SECRET
    queue: str | None = None
    template: Mapping[str, Any] = field(default_factory=lambda: DEFAULT_POD)

    def labels(self, fleet: str) -> dict[str, str]:
        """Of what is queued and found as one piece: a Job, or a RayJob."""
        return {FLEET_LABEL: fleet} | ({QUEUE_LABEL: self.queue} if self.queue else {})

    def pod(
        self,
        labels: Mapping[str, str],
        env: Sequence[Mapping[str, Any]],
        *,
        gpus: int = 0,
        command: Sequence[str] | None = None,
    ) -> dict[str, Any]:
        """The template, with what makes it a worker. What it says itself stays, but its command.

        Raises:
            WrongUse: there is no image.
        """
        pod: dict[str, Any] = copy.deepcopy(dict(self.template))
        pod["metadata"] = metadata = dict(pod.get("metadata") or {})
        metadata["labels"] = (metadata.get("labels") or {}) | dict(labels)
        spec, worker = pod["spec"], pod["spec"]["containers"][0]
        worker.setdefault("name", "worker")
        if self.image is not None:
            worker["image"] = self.image
        if "image" not in worker:
            raise WrongUse("--image is needed: which image workers run in, as registry/worker:1.2")
        if command is not None:
            worker["command"] = list(command)
            worker.pop("args", None)
        said = worker.get("env") or []
        own = {variable["name"] for variable in said}
        worker["env"] = [*said, *(variable for variable in env if variable["name"] not in own)]
        worker["resources"] = resources = dict(worker.get("resources") or {})
        resources["limits"] = limits = dict(resources.get("limits") or {})
        if gpus and not any("gpu" in resource for resource in limits):
            limits["nvidia.com/gpu"] = gpus
        grace_s = spec.get("terminationGracePeriodSeconds") or 0
        spec["terminationGracePeriodSeconds"] = max(WARNING_S, grace_s)
        return pod


def read_template(file: Path) -> Mapping[str, Any]:
    """A PodTemplateSpec from a YAML file.

    Raises:
        WrongUse: there is none in it.
    """
    try:
        found = yaml_text.load(file.read_text())
        _Template.model_validate(found)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise WrongUse(f"--pod {file} cannot be read: {error}") from error
    except ValidationError as error:
        raise WrongUse(
            f"--pod {file} is no pod template, as under `template` of a Deployment: "
            f"{problems(error)}"
        ) from error
    template: Mapping[str, Any] = found
    return template


def job(
    fleet: str,
    number: str,
    study: str | None,
    setup: Setup,
    pods: Pods,
    here: Mapping[str, str],
    *,
    until_done: bool = False,
) -> dict[str, Any]:
    """A Job that is one worker; it is never started again, since the lease queues its trial.

    Args:
        number: tells the fleet's workers apart; the worker is called `FLEET.NUMBER.0`.
        here: variables of the environment, of which those of `PLAIN` are passed on.
        until_done: as for `Setup.arguments`.
    """
    name = f"{fleet}.{number}.0"
    words = [
        *(setup.program or ("modomodo",)),
        *setup.arguments(name, study, until_done=until_done),
    ]
    labels = {FLEET_LABEL: fleet, WORKER_LABEL: name}
    env = [*_plain(here), NODE, _secret("MODOMODO_API_KEY", pods.keys_from, WORKER_KEY)]
    pod = pods.pod(labels, env, gpus=setup.gpus, command=[*words, "--grace", f"{GRACE_S}s"])
    pod["spec"]["restartPolicy"] = "Never"
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            "name": f"{_dns(fleet)}-{number}",
            "labels": pods.labels(fleet) | {WORKER_LABEL: name},
            **({} if study is None else {"annotations": {STUDY_NOTE: study}}),
        },
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": KEPT_S, "template": pod},
    }


def ray_job(
    fleet: str,
    studies: Sequence[str],
    setup: Setup,
    pods: Pods,
    here: Mapping[str, str],
    *,
    most: int,
    least: int = 0,
) -> dict[str, Any]:
    """A RayJob of KubeRay: a cluster that grows with the actors that wait for GPUs, a controller on
    its head that ends when nothing is left, and the cluster with it.

    In a queue of Kueue's the cluster has its full size from the beginning: what is admitted does
    not grow.
    """
    words = [*(setup.program or ("modomodo",)), "fleet", "--engine", "ray", "--url", setup.url]
    words += ["--name", fleet, "--max", str(most), "--min", str(least)]
    words += ["--gpus-per-trial", str(setup.gpus), "--until-done"]
    words += [] if setup.store is None else ["--store", setup.store]
    if setup.gpu_memory_gb is not None:
        words += ["--gpu-memory-gb", f"{setup.gpu_memory_gb:g}"]
    words += [word for label in setup.labels.items() for word in ("--label", "=".join(label))]
    words += [word for study in studies for word in ("--study", study)]
    keys = [
        _secret("MODOMODO_API_KEY", pods.keys_from, ADMIN_KEY),
        _secret("MODOMODO_WORKER_KEY", pods.keys_from, WORKER_KEY),
    ]
    labels = {FLEET_LABEL: fleet}
    replicas = {"replicas": least, "minReplicas": least, "maxReplicas": most}
    growth: dict[str, Any] = {
        "enableInTreeAutoscaling": True,
        "autoscalerOptions": {"idleTimeoutSeconds": 60},
    }
    if pods.queue:
        replicas, growth = dict.fromkeys(replicas, most), {}
    return {
        "apiVersion": "ray.io/v1",
        "kind": "RayJob",
        "metadata": {"name": _dns(fleet), "labels": pods.labels(fleet)},
        "spec": {
            "entrypoint": shlex.join(words),
            "shutdownAfterJobFinishes": True,
            "ttlSecondsAfterFinished": KEPT_S,
            "rayClusterSpec": {
                **growth,
                "headGroupSpec": {
                    # No worker is to run on the head, whatever its node has.
                    "rayStartParams": {"num-gpus": "0"},
                    "template": pods.pod(labels, [*_plain(here), *keys]),
                },
                "workerGroupSpecs": [
                    {
                        "groupName": "workers",
                        **replicas,
                        "rayStartParams": {},
                        "template": pods.pod(labels, [NODE], gpus=setup.gpus),
                    }
                ],
            },
        },
    }


def _plain(here: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"name": name, "value": here[name]} for name in PLAIN if name in here]


def _secret(name: str, secret: str, key: str) -> dict[str, Any]:
    # Optional: a service without keys needs none, one with keys says what is missing.
    chosen = {"name": secret, "key": key, "optional": True}
    return {"name": name, "valueFrom": {"secretKeyRef": chosen}}


def _dns(fleet: str) -> str:
    """A fleet's name as names of Kubernetes' objects are: small letters, digits and -."""
    return fleet.lower().replace("_", "-").rstrip("-")
