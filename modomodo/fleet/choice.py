"""Which fleet on which engine: the options that all commands of `modomodo fleet` share."""

from __future__ import annotations

import shlex
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from modomodo.errors import WrongUse
from modomodo.extras import need
from modomodo.fleet.engines import FLEET_NAME, Engine, Setup
from modomodo.fleet.manifests import Pods
from service.client import Client


class EngineName(StrEnum):
    """What runs the machines."""

    LOCAL = "local"
    RAY = "ray"
    SLURM = "slurm"
    KUBERNETES = "kubernetes"


EngineOption = Annotated[
    EngineName,
    typer.Option(
        "--engine",
        help="local: processes of this machine; ray: a Ray cluster; slurm: batch jobs; kubernetes: "
        "Jobs, by kubectl.",
    ),
]
NameOption = Annotated[
    str | None,
    typer.Option(
        "--name", help="Of the fleet, which its workers' names begin with. Default: by the engine."
    ),
]
AddressOption = Annotated[
    str | None,
    typer.Option("--address", envvar="RAY_ADDRESS", help="Of the Ray cluster, as HEAD:6379."),
]
FolderOption = Annotated[
    Path, typer.Option("--folder", file_okay=False, help="Where engine local keeps logs and runs.")
]
NamespaceOption = Annotated[
    str | None,
    typer.Option("--namespace", help="Of Kubernetes. Default: that of kubectl's context."),
]
StudiesOption = Annotated[
    list[str] | None,
    typer.Option("--study", help="Only work of this study; may be given again."),
]
MostOption = Annotated[int, typer.Option("--max", min=0, help="Workers at most.")]
LeastOption = Annotated[
    int, typer.Option("--min", min=0, help="Workers kept as long as anything is left to do.")
]
GpusOption = Annotated[int, typer.Option("--gpus-per-trial", min=0, help="GPUs of a worker.")]
MemoryOption = Annotated[
    float | None,
    typer.Option(
        "--gpu-memory-gb",
        min=0.001,
        help="Of each of these GPUs: no worker is started for a study that requires more.",
    ),
]
LabelsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--label", help="What workers say of themselves, as pool=a100; may be given again."
    ),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        envvar="MODOMODO_STORE", help="Where checkpoints are kept for all nodes, as s3://b/p."
    ),
]
ProgramOption = Annotated[
    str,
    typer.Option(help="What runs modomodo where workers run. Default: this very program."),
]
ImageOption = Annotated[
    str | None, typer.Option("--image", help="Kubernetes: what workers run in.")
]
SecretOption = Annotated[
    str,
    typer.Option(
        "--secret", help="Kubernetes: name of the Secret whose worker-key is the workers' key."
    ),
]
QueueOption = Annotated[
    str | None, typer.Option("--queue", help="Kubernetes: Kueue's queue that admits workers.")
]
PodOption = Annotated[
    Path | None,
    typer.Option(
        "--pod",
        dir_okay=False,
        help="Kubernetes: a YAML file with a pod template, whose first container is the worker.",
    ),
]

HERE = Path("runs/fleet")
DEFAULT_PODS = Pods()


def engine_of(
    engine: EngineName,
    name: str | None,
    setup: Setup,
    *,
    address: str | None = None,
    folder: Path = HERE,
    namespace: str | None = None,
    sbatch: str = "",
    pods: Pods = DEFAULT_PODS,
) -> Engine:
    """The engine, of which a fleet is called `name`.

    Raises:
        CommandFailed: it needs what is not here.
    """
    check(name)
    if engine is EngineName.RAY:
        need("ray")
        from modomodo.fleet.ray_cluster import RayCluster

        return RayCluster(name, setup, address)
    if engine is EngineName.SLURM:
        from modomodo.fleet.slurm import Slurm

        return Slurm(name or "modomodo", setup, shlex.split(sbatch))
    if engine is EngineName.KUBERNETES:
        from modomodo.fleet.kubernetes import Kubernetes

        return Kubernetes(name or "modomodo", setup, pods, namespace)
    need("trainer")
    from modomodo.fleet.local import Local

    return Local(name or "local", setup, folder)


def check(name: str | None) -> None:
    """Whether a fleet may be called so.

    Raises:
        WrongUse: it may not.
    """
    if name is not None and not FLEET_NAME.fullmatch(name):
        raise WrongUse(
            f"--name {name!r} is not 1 to 40 letters, digits, - and _, with a letter or digit at "
            "both ends"
        )


def service_url(url: str | None) -> str:
    """The service's address, for this process and for workers."""
    with Client(url) as client:
        return client.url
