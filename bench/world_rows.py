"""Rows of the table of real runs: on disk as they are made, and packed for others to read."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from bench.tiny_world import DOMAINS
from trainer.tiny.world import BENCHMARKS

Kind = Literal["base", "run", "scale", "merged"]
SCORE_DIGITS, CURVE_DIGITS = 5, 4
SHARES = 18_000
"""A score is a multiple of one of these: points of 300 or 500 items, some of which are given in
halves, thirds or quarters."""
CURVE = (
    "reward",
    "reward_std",
    "loss",
    "grad_norm",
    "completions/mean_length",
    "completions/clipped_ratio",
    *(f"reward/{domain}" for domain in DOMAINS),
)


@dataclass(frozen=True, order=True)
class Task:
    """What a row is of.

    Attributes:
        kind: the base model; a training run; the uniform mixture merged at a tried `lambda_u`; or a
            mixture merged at the `lambda_u` that was chosen.
        seed: of the run, or of the runs that the experts are from.
        scale: the `lambda_u` that was tried.
    """

    kind: Kind
    mixture: str
    seed: int
    scale: float = 0.0

    def __str__(self) -> str:
        tried = f" at lambda_u {self.scale}" if self.scale else ""
        return f"{self.kind} {self.mixture}, seed {self.seed}{tried}".replace(" ,", ",")


@dataclass(frozen=True)
class Row:
    """One run or one merged model.

    Attributes:
        scores: by step and benchmark, between 0 and 1; step 0 of what was not trained.
        cpu_s: seconds of the processor, training and scoring.
        scale: `lambda(w)` that weights were merged with.
        steps, exhausted, samples, curve, software: as in `trainer.job.Outcome`.
    """

    task: Task
    scores: dict[int, dict[str, float]]
    cpu_s: float
    scale: float = 0.0
    steps: int = 0
    exhausted: str = ""
    samples: dict[str, int] = field(default_factory=dict)
    curve: dict[int, dict[str, float]] = field(default_factory=dict)
    software: dict[str, str] = field(default_factory=dict)

    @property
    def final(self) -> dict[str, float]:
        """Scores of the last step, with the two aggregates."""
        return aggregate(self.scores[max(self.scores)])

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> Row:
        raw: dict[str, Any] = json.loads(line)
        raw["task"] = Task(**raw["task"])
        for name in ("scores", "curve"):
            raw[name] = {int(step): values for step, values in raw[name].items()}
        return cls(**raw)


def aggregate(scores: Mapping[str, float]) -> dict[str, float]:
    """The scores with In-Score and Out-Score (`in`, `out`): means weighted by samples."""
    found = dict(scores)
    for group in ("in", "out"):
        shares = {name: n for name, (of, n) in BENCHMARKS.items() if of == group}
        found[group] = sum(scores[name] * n for name, n in shares.items()) / sum(shares.values())
    return found


class Rows:
    """The rows in a folder, a JSON line each: every process appends to a file of its own.

    Args:
        name: of this process's file; None only reads.
    """

    def __init__(self, folder: Path, name: str | None = None) -> None:
        self._folder = folder
        self._file = None if name is None else folder / f"{name}.jsonl"
        if self._file is not None:
            folder.mkdir(parents=True, exist_ok=True)
            self._file.touch()
            _cut_half_a_line(self._file)
        self.read()

    def read(self) -> None:
        """Takes in what other processes have added."""
        self.known: dict[Task, Row] = {}
        for file in sorted(self._folder.glob("*.jsonl")):
            for line in file.read_text().splitlines(keepends=True):
                if line.endswith("\n"):  # else it is being written
                    row = Row.from_json(line)
                    self.known[row.task] = row

    def append(self, row: Row) -> None:
        assert self._file is not None
        with self._file.open("a") as out:
            out.write(row.to_json() + "\n")
        self.known[row.task] = row


def _cut_half_a_line(file: Path) -> None:
    """Removes what a killed process had begun to write."""
    whole = file.read_bytes()
    end = whole.rfind(b"\n") + 1
    if end < len(whole):
        with file.open("r+b") as out:
            out.truncate(end)


def write_tables(
    rows: Sequence[Row],
    mixtures: Mapping[str, Sequence[float]],
    made_with: Mapping[str, Any],
    into: Path,
) -> list[Path]:
    """Writes `mixtures.csv`, `scores.csv`, `runs.csv`, `curves.csv.gz` and `made.json`; the files.

    The same rows give the same bytes.
    """
    into.mkdir(parents=True, exist_ok=True)
    runs = [row for row in rows if row.task.kind == "run"]
    there = {row.task.mixture for row in rows}
    tables = {
        "mixtures.csv": [
            ("mixture", *DOMAINS),
            *((name, *weights) for name, weights in mixtures.items() if name in there),
        ],
        "scores.csv": [
            ("mixture", "kind", "seed", "step", "is_last", "lambda", "in", "out", *BENCHMARKS),
            *(line for row in rows for line in _score_lines(row)),
        ],
        "runs.csv": [
            ("mixture", "seed", "steps", "exhausted", *DOMAINS, "cpu_s"),
            *(
                (
                    row.task.mixture,
                    row.task.seed,
                    row.steps,
                    row.exhausted,
                    *(row.samples.get(domain, 0) for domain in DOMAINS),
                    round(row.cpu_s, 1),
                )
                for row in runs
            ),
        ],
        "curves.csv.gz": [
            ("mixture", "seed", "step", *CURVE),
            *(
                (row.task.mixture, row.task.seed, step, *(_short(metrics.get(k)) for k in CURVE))
                for row in runs
                for step, metrics in row.curve.items()
            ),
        ],
    }
    files = []
    for name, lines in tables.items():
        content = _csv(lines)
        data = gzip.compress(content, mtime=0) if name.endswith(".gz") else content
        (into / name).write_bytes(data)
        files.append(into / name)
    software = runs[-1].software if runs else {}
    made = {**made_with, "software": software}
    (into / "made.json").write_text(json.dumps(made, indent=1) + "\n")
    return [*files, into / "made.json"]


def read_tables(folder: Path) -> list[Row]:
    """Rows of packed tables. Packed again they are the same bytes."""
    software = json.loads((folder / "made.json").read_text())["software"]
    scores: dict[Task, dict[int, dict[str, float]]] = {}
    scales: dict[Task, float] = {}
    for line in _lines(folder / "scores.csv"):
        scale = float(line["lambda"] or 0)
        tried = scale if line["kind"] == "scale" else 0.0
        task = Task(cast(Kind, line["kind"]), line["mixture"], int(line["seed"]), tried)
        # Known beyond the digits that were kept.
        found = {name: round(float(line[name]) * SHARES) / SHARES for name in BENCHMARKS}
        scores.setdefault(task, {})[int(line["step"])] = found
        scales[task] = scale
    curves: dict[Task, dict[int, dict[str, float]]] = {}
    for line in _lines(folder / "curves.csv.gz"):
        task = Task("run", line["mixture"], int(line["seed"]))
        told = {key: float(line[key]) for key in CURVE if line[key]}
        curves.setdefault(task, {})[int(line["step"])] = told
    rows = {task: Row(task, of, 0.0, scales[task]) for task, of in scores.items()}
    for line in _lines(folder / "runs.csv"):
        task = Task("run", line["mixture"], int(line["seed"]))
        rows[task] = Row(
            task,
            scores[task],
            float(line["cpu_s"]),
            steps=int(line["steps"]),
            exhausted=line["exhausted"],
            samples={domain: int(line[domain]) for domain in DOMAINS},
            curve=curves[task],
            software=software,
        )
    return [*rows.values()]


def _lines(file: Path) -> list[dict[str, str]]:
    data = file.read_bytes()
    text = (gzip.decompress(data) if file.suffix == ".gz" else data).decode()
    return [*csv.DictReader(io.StringIO(text))]


def _score_lines(row: Row) -> list[tuple[Any, ...]]:
    task, last = row.task, max(row.scores)
    return [
        (
            task.mixture,
            task.kind,
            task.seed,
            step,
            int(step == last),
            round(row.scale, 4) if row.scale else "",
            *(round(aggregate(scores)[key], SCORE_DIGITS) for key in ("in", "out", *BENCHMARKS)),
        )
        for step, scores in sorted(row.scores.items())
    ]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.{CURVE_DIGITS}g}"


def _csv(lines: Iterable[Sequence[Any]]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue().encode()
