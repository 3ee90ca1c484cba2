"""What a run leaves on disk, so that it can go on after it was killed.

    run.json                            which run it is: mixture, schedule, recipe, seed
    metrics.jsonl                       a line a step: the learning curve
    checkpoints/checkpoint-<step>/      whole ones only: written beside, then renamed
    responses/step-<step>/<benchmark>.parquet

Everything appears under its name in one rename, so whatever is there is whole.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from trainer.job import Job
from trainer.storage import files as storage_files

PREFIX = "checkpoint-"
RUN = "run.json"
SPREADS = "spreads.json"
OF_TRAINING = frozenset({".pt", ".pth", ".bin"})
"""Endings of what only going on needs: optimizer, schedule, random numbers, settings."""


class FolderTaken(ValueError):  # noqa: N818 - it is what was wrong
    """The folder belongs to another run."""


class RunFolder:
    """The folder of one run.

    Args:
        path: made when it is not there.
        keep: newest checkpoints that stay.
    """

    def __init__(self, path: Path, keep: int = 1) -> None:
        self.path, self._keep = path, keep
        self.staging = path / "checkpoints" / "unfinished"
        self.metrics = path / "metrics.jsonl"

    def claim(self, job: Job, seed: int) -> None:
        """Makes the folder this run's, or sees that it is.

        Raises:
            FolderTaken: another run's; names what differs.
        """
        self.staging.parent.mkdir(parents=True, exist_ok=True)
        different = self.differs_in(job, seed)
        if different is not None:
            raise FolderTaken(
                f"{self.path} holds another run: {different}; give each run a folder of its own"
            )
        if not (self.path / RUN).exists():
            wanted = json.dumps(identity(job, seed), indent=1)
            storage_files.write_whole(self.path / RUN, wanted.encode())

    def differs_in(self, job: Job, seed: int) -> str | None:
        """What is different of the run that the folder is of, in words; None where it is this one,
        or none."""
        if not (self.path / RUN).exists():
            return None
        run = run_of(self.path)
        if run is None:
            return f"its {RUN} does not say which"
        found = _leaves(run)
        for key, value in ({"schedule": None} | _leaves(identity(job, seed))).items():
            if (there := found.get(key)) != value:
                return f"{key} is {there} there and {value} here"
        return None

    def checkpoints(self) -> list[int]:
        """Steps that have a checkpoint, rising."""
        names = (path.name for path in self.staging.parent.glob(f"{PREFIX}*"))
        steps = (name.removeprefix(PREFIX) for name in names)
        return sorted(int(step) for step in steps if step.isdecimal())

    def checkpoint(self, step: int) -> Path:
        """Where a step's checkpoint lies."""
        return self.staging.parent / f"{PREFIX}{step}"

    def clear_staging(self) -> None:
        """Removes what a killed run has begun."""
        shutil.rmtree(self.staging, ignore_errors=True)

    def publish(self, step: int) -> None:
        """Gives the checkpoint that was written into `staging` its name, and prunes old ones."""
        written = self.staging / f"{PREFIX}{step}"
        for file in (path for path in written.rglob("*") if path.is_file()):
            storage_files.settle(file)
        shutil.rmtree(self.checkpoint(step), ignore_errors=True)
        written.replace(self.checkpoint(step))
        storage_files.settle(self.staging.parent)
        self.clear_staging()
        for old in self.checkpoints()[: -self._keep]:
            shutil.rmtree(self.checkpoint(old), ignore_errors=True)

    def add_spreads(self, step: int, spreads: Sequence[Sequence[float]]) -> None:
        """Puts what weights have followed (`trainer/adaptive.py`) beside the checkpoint that was
        written into `staging`."""
        (self.staging / f"{PREFIX}{step}" / SPREADS).write_text(json.dumps(spreads))

    def spreads(self, step: int) -> list[list[float]]:
        """What a checkpoint has of them."""
        found: list[list[float]] = json.loads((self.checkpoint(step) / SPREADS).read_text())
        return found

    def copy_checkpoint(self, step: int, into: Path) -> None:
        """All that a run needs to go on from a step, as a run's folder of its own.

        Files that never change are linked: they stay there when they are pruned here.
        """
        self._copy_story(into)
        checkpoint = self.checkpoint(step)
        _link_all(checkpoint, into / checkpoint.relative_to(self.path))

    def copy_finished(self, step: int, into: Path) -> None:
        """What a finished run is kept for: learning curve, responses and, of its last checkpoint,
        the model."""
        self._copy_story(into)
        if step in self.checkpoints():
            _link_all(self.checkpoint(step), into / "model", without=OF_TRAINING)

    def _copy_story(self, into: Path) -> None:
        into.mkdir(parents=True)
        for name in (RUN, self.metrics.name):
            if (self.path / name).exists():
                shutil.copyfile(self.path / name, into / name)
        _link_all(self.path / "responses", into / "responses")

    def forget_after(self, step: int) -> None:
        """Removes the learning curve and the responses of steps that a resumed run does again."""
        for folder in (self.path / "responses").glob("step-*"):
            if int(folder.name.removeprefix("step-")) > step:
                shutil.rmtree(folder)
        if self.metrics.exists():
            lines = self.metrics.read_text().splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            storage_files.write_whole(self.metrics, "".join(f"{line}\n" for line in kept).encode())

    def add_metrics(self, step: int, metrics: dict[str, float]) -> None:
        """Appends a step to the learning curve."""
        with self.metrics.open("a") as out:
            out.write(json.dumps({"step": step, **metrics}) + "\n")

    def learning_curve(self) -> dict[int, dict[str, float]]:
        """Metrics by step."""
        if not self.metrics.exists():
            return {}
        lines = map(json.loads, self.metrics.read_text().splitlines())
        return {int(line.pop("step")): line for line in lines}

    def responses(self, step: int, benchmark: str) -> Path:
        """Where the responses to a benchmark at a step lie."""
        return self.path / "responses" / f"step-{step}" / f"{benchmark}.parquet"


def identity(job: Job, seed: int) -> dict[str, Any]:
    """What makes two runs the same one, as JSON; how fast it is computed is none of it."""
    found: dict[str, Any] = {
        "mixture": _weighed(job.mixture),
        "seed": seed,
        "recipe": job.recipe.model_dump(
            mode="json", exclude={"speed": True, "command": {"schedules"}}
        ),
    }
    if job.schedule:
        found["schedule"] = [
            {"share": phase.share, "mixture": _weighed(phase.mixture)} for phase in job.schedule
        ]
    return _of_its_domains(found)


def run_of(folder: Path) -> dict[str, Any] | None:
    """Which run a folder is of, as `identity` has it; None where its file does not say: a trainer
    of the user's may have written another of that name."""
    try:
        return _of_its_domains(json.loads((folder / RUN).read_bytes()))
    except (ValueError, LookupError, TypeError, AttributeError):
        return None


def _of_its_domains(run: dict[str, Any]) -> dict[str, Any]:
    """An identity with no data but that of the domains which the run draws from: others come and go
    while it is paused."""
    recipe = run["recipe"]
    data = recipe.get("data")
    if data is None:
        return run
    drawn = {name: folder for name, folder in data["domains"].items() if name in run["mixture"]}
    return run | {"recipe": recipe | {"data": data | {"domains": drawn}}}


def _weighed(mixture: Mapping[str, float]) -> dict[str, float]:
    return {name: w for name, w in sorted(mixture.items()) if w > 0}


def _link_all(folder: Path, into: Path, without: frozenset[str] = frozenset()) -> None:
    for path in folder.rglob("*"):
        if path.is_file() and path.suffix not in without and not path.name.endswith(".unfinished"):
            target = into / path.relative_to(folder)
            target.parent.mkdir(parents=True, exist_ok=True)
            target.hardlink_to(path)


def _step_of(line: str) -> float:
    try:
        return float(json.loads(line)["step"])
    except (ValueError, KeyError, TypeError):
        return float("inf")  # half a line of a run that was killed


def _leaves(tree: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in tree.items():
        if isinstance(value, dict) and value:
            flat |= _leaves(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = value
    return flat
