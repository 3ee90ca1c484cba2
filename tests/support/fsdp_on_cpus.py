"""One process of a run whose model FSDP shards, on CPUs; started as a program, once a process.

Trains, then forgets the responses and starts the finished run again on its folder. Prints the
first process's responses of both times as JSON, and whether the model was sharded.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

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
    from trainer import run
    from trainer.job import Job
    from trainer.recipe import Recipe

    job = Job({"sat": 1.0}, Recipe.parse(recipe), seed=3, folder=folder)
    found = []
    for _ in range(2):
        run.train_and_score(job)
        state = PartialState()
        state.wait_for_everyone()
        if state.is_main_process:
            found.append(responses(folder))
            shutil.rmtree(folder / "responses")
        state.wait_for_everyone()
    if PartialState().is_main_process:
        is_sharded = AcceleratorState().distributed_type == DistributedType.FSDP
        print(json.dumps({"responses": found, "is_sharded": is_sharded}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), json.loads(sys.argv[2]))
