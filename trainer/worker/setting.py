"""What a worker's attempts have of its machine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from trainer.storage.remote import Store
from trainer.worker.beats import Beats
from trainer.worker.deadline import Deadline
from trainer.worker.gpus import Gpus


@dataclass(frozen=True, slots=True)
class Setting:
    """What an attempt has of this machine.

    Attributes:
        data: folder of prepared datasets.
        commands: folder of the executables that recipes of back end `command` may name.
        devices: the CUDA devices a run may see, such as `0,1`; None leaves them as they are.
        gpus: what tells of their use.
        stalled_s: a run that reports nothing for so long is taken to hang, and is stopped.
        grace_s: time that a run has for its checkpoint when the worker is asked to stop.
        store: where runs are kept for other nodes; None keeps them here only.
        experts: where experts' weights are kept for the next merged model; None merges none.
        make_room: removes what is not needed until so many bytes are free on the disk, and tells
            how many are; None does not look whether there is room for a run's checkpoints.
        deadline: when the machine is taken away; None where nobody has said that.
        beats: what sends heartbeats for all workers of the process; None where it has one.
    """

    data: Path = Path()
    commands: Path | None = None
    devices: str | None = None
    gpus: Gpus = field(default_factory=Gpus)
    stalled_s: float = 3600.0
    grace_s: float = 60.0
    store: Store | None = None
    make_room: Callable[[int], int] | None = None
    deadline: Deadline | None = None
    experts: Path | None = None
    beats: Beats | None = None

    @property
    def n_gpus(self) -> int:
        """GPUs that a run has to itself here; 1 also where there is none."""
        return max(1, self.gpus.count) if self.devices is None else n_devices(self.devices)


def n_devices(devices: str) -> int:
    """How many CUDA devices a list like `0,1` names."""
    return devices.count(",") + 1
