"""What a worker says of where it runs: pages show it, and fleets group by it."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from typing import Any

from trainer.worker.gpus import Gpus

NODE = "MODOMODO_NODE"


def of_this_machine(gpus: Gpus, labels: Sequence[tuple[str, str]] = ()) -> dict[str, Any]:
    """Host, processors, the GPUs' number and the memory of the smallest, and the operator's labels.

    What cannot be told, such as GPUs without NVIDIA's library, is left out. In a pod, whose host's
    name is the pod's, MODOMODO_NODE says on which node it is.
    """
    found: dict[str, Any] = {"host": (os.environ.get(NODE) or socket.gethostname())[:200]}
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    found["cpus"] = usable
    uses = gpus.read()
    if uses:
        found["gpus"] = len(uses)
        found["gpu_memory_gb"] = round(min(use.total for use in uses) / 1e9, 1)
    return found | ({"labels": dict(labels)} if labels else {})
