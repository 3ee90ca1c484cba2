"""A table of real RL runs of the offline world: many mixtures, two seeds, and merged prices.

`python -m bench.world_table make --out FOLDER [--shard 0/2]` makes rows, and goes on where it was
when it is started again after any end; shards may run side by side. `status` says how far it is,
`pack` writes what there is into bench/data/world (its README says what the columns are), `unpack`
begins a folder with what lies there.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

# A run is one thread, here as in the tests, so that its figures are the same.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import typer

from bench.tiny_world import DOMAINS, UNIFORM
from bench.world_mixtures import corner, mixtures
from bench.world_rows import Row, Rows, Task, aggregate
from trainer.job import Job
from trainer.recipe import Checkpoints, Evaluation, Recipe
from trainer.storage import files as storage_files

SEEDS = (500, 501)
"""Training seeds; no other bench uses them."""
POINTS = (6, 12, 18)
SCALES = tuple(1 + 0.25 * i for i in range(13))
"""Values of `lambda_u` that the uniform mixture is priced at: 1 to 4."""
MATCHED = "out"
"""The score whose price at uniform is to meet the real run's."""

Shard = tuple[int, int]
PACKED = Path(__file__).parent / "data" / "world"
cli = typer.Typer(add_completion=False)


def recipe() -> Recipe:
    """The offline world's own, scored on the way; its last checkpoint stays where a folder is."""
    default = Recipe()
    evaluation = Evaluation(**(default.evaluation.model_dump() | {"at": POINTS}))
    checkpoints = Checkpoints(every=default.steps, keep=1)
    return default.model_copy(update={"evaluation": evaluation, "checkpoints": checkpoints})


def tasks() -> list[Task]:
    """All rows of the table, in the order they are made in."""
    return [Task("base", "", 0), *tasks_of(mixtures(), SEEDS)]


def tasks_of(names: Iterable[str], seeds: Sequence[int]) -> list[Task]:
    """Runs and prices of these mixtures."""
    ordered = []
    for name in names:
        for seed in seeds:
            ordered.append(Task("run", name, seed))
            if name == UNIFORM:
                ordered += [Task("scale", name, seed, scale) for scale in SCALES]
            ordered.append(Task("merged", name, seed))
    return ordered


def shard_of(text: str) -> Shard:
    """`1/3` as (1, 3).

    Raises:
        typer.BadParameter: there is no such part.
    """
    part, _, parts = text.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise typer.BadParameter(f"{text!r} is not a part of a whole, as 0/2 and 1/2 are")
    return int(part), int(parts)


def share(shard: Shard) -> list[Task]:
    """A shard's tasks. A mixture's are all in one, and the last comes after those it waits for."""
    part, parts = shard
    place = {name: i for i, name in enumerate(mixtures())}
    return [task for task in tasks() if place.get(task.mixture, 0) % parts == part]


@cli.command()
def make(
    out: Annotated[Path, typer.Option(help="folder of the rows and of the experts' weights")],
    shard: Annotated[str, typer.Option(help="which part of how many, from 0")] = "0/1",
    limit: Annotated[int | None, typer.Option(help="rows to make now; all by default")] = None,
) -> None:
    part, parts = shard_of(shard)
    lock = storage_files.hold(out / f"shard-{part}-of-{parts}")
    if lock is None:
        raise typer.BadParameter(f"another process makes shard {shard} in {out}")
    with lock:
        wanted = share((part, parts))
        rows = Rows(out, f"shard-{part}-of-{parts}")
        for _ in islice(made(rows, wanted, out, recipe()), limit):
            pass
        for task in (task for task in wanted if task not in rows.known):
            print(f"{task} waits for runs of another shard; start again when they are there")


def made(rows: Rows, wanted: Sequence[Task], out: Path, trained_by: Recipe) -> Iterator[Row]:
    """Makes what is not there yet, in order, and what waits for other rows as soon as they are
    there; each is kept, and said, before the next."""
    for row in _made(rows, wanted, out, trained_by):
        rows.append(row)
        print(f"{len(rows.known)} {row.task}: {_said(row)}", flush=True)
        yield row


def _made(rows: Rows, wanted: Sequence[Task], out: Path, trained_by: Recipe) -> Iterator[Row]:
    pricer: Pricer | None = None
    waiting = [task for task in wanted if task not in rows.known]
    while waiting:
        rows.read()  # what other shards have made
        task = next((task for task in waiting if _is_ready(rows, task, out)), None)
        if task is None:
            return
        waiting.remove(task)
        if task.kind == "run":
            yield _run(task, out, trained_by)
            continue
        pricer = pricer or Pricer(trained_by)
        needed = _needed(rows, task, out)
        yield pricer.base() if needed is None else pricer.price(task, *needed)


def _is_ready(rows: Rows, task: Task, out: Path) -> bool:
    return task.kind in ("base", "run") or _needed(rows, task, out) is not None


def _run(task: Task, out: Path, trained_by: Recipe) -> Row:
    from trainer.run.run import train_and_score

    weights = mixtures()[task.mixture]
    # Only the experts' weights are needed again.
    folder = _folder(out, task) if max(weights) == 1 else None
    curve: dict[int, dict[str, float]] = {}

    def report(progress: Any) -> None:
        steps = {**progress.past, progress.step: progress.metrics}
        curve.update({step: metrics for step, metrics in steps.items() if "reward" in metrics})

    started = time.process_time()
    job = Job(dict(zip(DOMAINS, weights, strict=True)), trained_by, task.seed, folder=folder)
    outcome = train_and_score(job, report)
    return Row(
        task,
        _scores(outcome.measurements),
        time.process_time() - started,
        steps=outcome.steps,
        exhausted=outcome.exhausted or "",
        samples=outcome.counts,
        curve={
            step: {key: value for key, value in metrics.items() if not key.startswith("step_")}
            for step, metrics in sorted(curve.items())
        },
        software=outcome.made_with["software"],
    )


def _scores(measurements: Any) -> dict[int, dict[str, float]]:
    """By step and benchmark, under the paper's rule, which is this world's."""
    found: dict[int, dict[str, float]] = {}
    for one in measurements:
        if one.rule == "paper":
            found.setdefault(one.step, {})[one.benchmark] = one.score
    return found


def _folder(out: Path, task: Task) -> Path:
    return out / "experts" / f"seed-{task.seed}" / task.mixture.replace(" ", "-")


@dataclass(frozen=True)
class Experts:
    """Where the experts' weights lie, and the steps each was trained, in order of `DOMAINS`."""

    folders: list[Path]
    steps: list[int]


def _needed(rows: Rows, task: Task, out: Path) -> tuple[Experts, float] | None:
    """The experts and `lambda_u` of a row of merged weights; None where they are not there yet, and
    for any other row."""
    from trainer.storage.run_folder import RunFolder

    if task.kind not in ("scale", "merged"):
        return None

    folders, steps = [], []
    for domain in DOMAINS:
        single = Task("run", corner(domain), task.seed)
        folder = RunFolder(_folder(out, single))
        if single not in rows.known or not (there := folder.checkpoints()):
            return None
        folders.append(folder.checkpoint(there[-1]))
        steps.append(rows.known[single].steps)
    if task.kind == "scale":
        return Experts(folders, steps), task.scale
    from trainer.run import task_arithmetic  # with torch, which names and rows do without

    tried = [Task("scale", UNIFORM, task.seed, scale) for scale in SCALES]
    truth = Task("run", UNIFORM, task.seed)
    if any(one not in rows.known for one in (*tried, truth)):
        return None
    prices = [rows.known[one].final[MATCHED] for one in tried]
    return Experts(folders, steps), task_arithmetic.scale_at_uniform(
        SCALES, prices, rows.known[truth].final[MATCHED]
    )


class Pricer:
    """The base model and the experts, loaded once, and scores of what is merged of them."""

    def __init__(self, trained_by: Recipe) -> None:
        import torch

        from trainer.run import models, task_arithmetic

        self._arithmetic = task_arithmetic
        self._recipe = trained_by
        torch.set_num_threads(self._recipe.threads)
        self._model, self._processor = models.load(self._recipe)
        self._base = {k: v.clone() for k, v in self._model.state_dict().items()}
        self._experts: dict[int, list[Mapping[str, Any]]] = {}

    def base(self) -> Row:
        started = time.process_time()
        self._model.load_state_dict(self._base)
        return self._scored(Task("base", "", 0), started)

    def price(self, task: Task, experts: Experts, at_uniform: float) -> Row:
        started = time.process_time()
        if task.seed not in self._experts:
            self._experts[task.seed] = [self._weights(folder) for folder in experts.folders]
        weights = mixtures()[task.mixture]
        factors = self._arithmetic.coefficients(
            weights,
            [self._arithmetic.rate_sum(self._recipe, steps) for steps in experts.steps],
            self._arithmetic.rate_sum(self._recipe, self._recipe.steps),
            at_uniform,
        )
        state = dict(self._arithmetic.merged(self._base, self._experts[task.seed], factors))
        self._model.load_state_dict(state)
        return self._scored(task, started, self._arithmetic.scale(weights, at_uniform))

    def _weights(self, folder: Path) -> Mapping[str, Any]:
        model = type(self._model).from_pretrained(folder, dtype=self._model.dtype)
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def _scored(self, task: Task, started: float, scale: float = 0.0) -> Row:
        from trainer.data import benchmark_sets
        from trainer.run.evaluate import evaluate

        sets = benchmark_sets(self._recipe, Path())
        found = evaluate(self._model, self._processor, sets, self._recipe, step=0)
        return Row(task, _scores(found), time.process_time() - started, scale=scale)


def _said(row: Row) -> str:
    final = aggregate(row.scores[max(row.scores)])
    said = f"In {100 * final['in']:.1f}, Out {100 * final['out']:.1f}, {row.cpu_s:.0f} CPU-seconds"
    return f"{said}, lambda {row.scale:.2f}" if row.scale else said


@cli.command()
def status(out: Annotated[Path, typer.Option()]) -> None:
    known = Rows(out).known
    for kind in ("base", "run", "scale", "merged"):
        wanted = [task for task in tasks() if task.kind == kind]
        there = [known[task] for task in wanted if task in known]
        seconds = sum(row.cpu_s for row in there)
        print(f"{kind}: {len(there)} of {len(wanted)}, {seconds / 60:.0f} CPU-minutes so far")


@cli.command()
def pack(
    out: Annotated[Path, typer.Option()],
    into: Annotated[Path, typer.Option()] = PACKED,
) -> None:
    from bench.world_rows import write_tables

    known = Rows(out).known
    ordered = [known[task] for task in tasks() if task in known]
    made_with = {"recipe": recipe().model_dump(mode="json"), "seeds": list(SEEDS)}
    for file in write_tables(ordered, mixtures(), made_with, into):
        print(f"{file}: {file.stat().st_size:,} bytes")


@cli.command()
def unpack(
    out: Annotated[Path, typer.Option()],
    source: Annotated[Path, typer.Option(help="folder of packed tables")] = PACKED,
) -> None:
    """Takes over packed rows that are not in the folder, but for the experts' runs: their weights
    are needed again, and are not packed."""
    from bench.world_rows import read_tables

    rows = Rows(out, "packed")
    experts = {Task("run", corner(domain), seed) for domain in DOMAINS for seed in SEEDS}
    new = [row for row in read_tables(source) if row.task not in {*rows.known, *experts}]
    for row in new:
        rows.append(row)
    print(f"{len(new)} rows taken over, {len(rows.known)} there")


if __name__ == "__main__":
    cli()
