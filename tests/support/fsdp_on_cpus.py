"""One process of a run whose model FSDP shards, on CPUs; started as a program, once a process.

Trains, then forgets the responses and starts the finished run again on its folder; then another one
that is halted after its first step and goes on. Prints the responses of each as JSON, and whether
the model was sharded.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
from accelerate import PartialState
from accelerate.state import AcceleratorState
from accelerate.utils import DistributedType

_begin = PartialState.__init__


def _begin_shardable(state: Any, *arguments: Any, **options: Any) -> None:
    """accelerate has FSDP for many kinds of device, but not for several CPUs; torch has."""
    _begin(state, *arguments, **options)
    if state._shared_state.get("distributed_type") == DistributedType.MULTI_CPU:
        state._shared_state["distributed_type"] = DistributedType.MULTI_GPU


def responses(folder: Path) -> dict[str, list[str]]:
    import pyarrow.parquet as pq

    files = sorted((folder / "responses").rglob("*.parquet"))
    return {file.stem: pq.read_table(file)["response"].to_pylist() for file in files}


def main(folder: Path, recipe: dict[str, Any]) -> None:
    PartialState.__init__ = _begin_shardable  # type: ignore[method-assign]
    from trainer.job import Halted, Job
    from trainer.recipe import Recipe
    from trainer.run import run

    def train(name: str) -> dict[str, list[str]]:
        job = Job({"sat": 1.0}, Recipe.parse(recipe), seed=3, folder=folder / name)
        if name == "halted" and not (folder / name).exists():
            with pytest.raises(Halted):
                run.train_and_score(job, is_stopping=lambda: True)
        run.train_and_score(job)
        PartialState().wait_for_everyone()
        found = responses(folder / name)
        PartialState().wait_for_everyone()
        if PartialState().is_main_process:
            shutil.rmtree(folder / name / "responses")
        PartialState().wait_for_everyone()
        return found

    said: dict[str, Any] = {
        "first": train("run"),
        "again": train("run"),
        "halted": train("halted"),
        "is_sharded": AcceleratorState().distributed_type == DistributedType.FSDP,
    }
    if PartialState().is_main_process:
        print(json.dumps(said))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
