"""GPU use, from a stand-in with the documented functions of NVIDIA's management library."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from service.schemas import NextRequest
from trainer.worker import gpus
from trainer.worker.capabilities import of_this_machine
from trainer.worker.gpus import Gpus, GpuUse, metrics


class NVMLError(Exception):
    pass


class Library:
    """Three GPUs, the last of them part of one (MIG); bytes used and percent busy of each."""

    NVMLError = NVMLError
    USED = (8e9, 61e9, 10e9)
    BUSY = (0, 87, None)

    def nvmlInit(self) -> None:  # noqa: N802
        pass

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return 3

    def nvmlDeviceGetHandleByIndex(self, index: int) -> int:  # noqa: N802
        if index > 2:
            raise NVMLError("invalid argument")
        return index

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> int:  # noqa: N802
        return {"GPU-0a": 0, "MIG-2c": 2}[uuid]

    def nvmlDeviceGetMemoryInfo(self, handle: int) -> SimpleNamespace:  # noqa: N802
        return SimpleNamespace(used=int(self.USED[handle]), total=int(80e9), free=0)

    def nvmlDeviceGetUtilizationRates(self, handle: int) -> SimpleNamespace:  # noqa: N802
        if self.BUSY[handle] is None:
            raise NVMLError("not supported")
        return SimpleNamespace(gpu=self.BUSY[handle], memory=5)


@pytest.fixture
def library(monkeypatch) -> Library:
    library = Library()
    monkeypatch.setattr(gpus, "pynvml", library)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    return library


def test_the_gpus_of_a_run_are_told_with_memory_and_how_busy_they_are(library):
    assert Gpus("1").read() == [GpuUse("1", 61 * 10**9, 80 * 10**9, 0.87)]
    assert [use.device for use in Gpus("GPU-0a, MIG-2c").read()] == ["GPU-0a", "MIG-2c"]
    assert [use.device for use in Gpus().read()] == ["0", "1", "2"]


def test_without_a_choice_the_environment_has_it(library, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,0")
    assert [use.device for use in Gpus().read()] == ["2", "0"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert Gpus().read() == []


def test_a_part_of_a_gpu_does_not_tell_how_busy_it_is(library):
    [use] = Gpus("MIG-2c").read()
    assert (use.busy, use.used) == (None, 10 * 10**9)
    assert metrics([use]) == {"gpu/memory": 0.125}


def test_heartbeats_carry_the_fullest_memory_and_the_mean_of_how_busy(library):
    assert metrics(Gpus("0,1").read()) == {"gpu/memory": 61 / 80, "gpu/busy": 0.435}


def test_nothing_is_told_where_there_is_no_such_gpu_driver_or_library(library, monkeypatch):
    assert Gpus("7").read() == []
    monkeypatch.setattr(library, "nvmlInit", lambda: (_ for _ in ()).throw(NVMLError("no driver")))
    assert Gpus("0").read() == []
    monkeypatch.setattr(gpus, "pynvml", None)
    assert Gpus("0").read() == []
    assert metrics([]) == {}


def test_a_worker_says_what_machine_it_is_on_with_the_least_memory_of_its_gpus(library):
    said = of_this_machine(Gpus("0,1"), [("rack", "7")])
    assert (said["gpus"], said["gpu_memory_gb"], said["labels"]) == (2, 80.0, {"rack": "7"})
    assert said["host"]
    assert said["cpus"] >= 1
    assert NextRequest(worker="w", capabilities=said).capabilities == said


def test_what_cannot_be_told_of_gpus_is_left_out(monkeypatch):
    monkeypatch.setattr(gpus, "pynvml", None)
    assert of_this_machine(Gpus()).keys() == {"host", "cpus"}
