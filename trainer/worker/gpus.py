"""How busy and how full the GPUs are, by NVIDIA's management library (extra `gpu`).

Nothing is shown where the library, its driver or a GPU is missing.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

try:
    import pynvml
except ImportError:
    pynvml = None


@dataclass(frozen=True, slots=True)
class GpuUse:
    """One GPU now: bytes, and the share of the last moments in which it computed anything."""

    device: str
    used: int
    total: int
    busy: float | None
    """None where the driver does not tell, as of a part of a GPU (MIG)."""


class Gpus:
    """The GPUs that a run may see.

    Args:
        devices: as in `CUDA_VISIBLE_DEVICES`: numbers or UUIDs with commas between; None for that
            variable, and all where it is not set. Numbers count by PCI bus, as CUDA does with
            `CUDA_DEVICE_ORDER=PCI_BUS_ID`.
    """

    def __init__(self, devices: str | None = None) -> None:
        self._handles: dict[str, Any] = {}
        if pynvml is None:
            return
        try:
            pynvml.nvmlInit()
            wanted = os.environ.get("CUDA_VISIBLE_DEVICES") if devices is None else devices
            if wanted is None:
                wanted = ",".join(map(str, range(pynvml.nvmlDeviceGetCount())))
            for device in filter(None, map(str.strip, wanted.split(","))):
                self._handles[device] = _handle(device)
        except pynvml.NVMLError:
            self._handles = {}

    @property
    def count(self) -> int:
        """How many there are; 0 also where that cannot be told."""
        return len(self._handles)

    def read(self) -> list[GpuUse]:
        """Their use now; one that cannot be read is left out."""
        return [use for name, handle in self._handles.items() if (use := _read(name, handle))]


def metrics(uses: list[GpuUse]) -> dict[str, float]:
    """What heartbeats carry: the fullest GPU's share of memory, and how busy all are on average."""
    if not uses:
        return {}
    found = {"gpu/memory": max(use.used / use.total for use in uses)}
    busy = [use.busy for use in uses if use.busy is not None]
    return found | ({"gpu/busy": sum(busy) / len(busy)} if busy else {})


def _handle(device: str) -> Any:
    if device.isdecimal():
        return pynvml.nvmlDeviceGetHandleByIndex(int(device))
    return pynvml.nvmlDeviceGetHandleByUUID(device)


def _read(device: str, handle: Any) -> GpuUse | None:
    try:
        memory = pynvml.nvmlDeviceGetMemoryInfo(handle)
    except pynvml.NVMLError:
        return None
    try:
        busy = pynvml.nvmlDeviceGetUtilizationRates(handle).gpu / 100
    except pynvml.NVMLError:
        busy = None
    return GpuUse(device, memory.used, memory.total, busy)
