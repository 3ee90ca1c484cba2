"""The table of real runs: which mixtures it has, and that it goes on where it was killed."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest

from bench import world, world_table
from bench.tiny_world import DOMAINS
from bench.world_mixtures import corner, mixtures
from bench.world_rows import Row, Rows, Task, aggregate, read_tables, write_tables
from trainer.recipe import Recipe
from trainer.tiny.world import BENCHMARKS

SCORES = {name: i / 10 for i, name in enumerate(BENCHMARKS)}
FIRST = Task("run", "uniform", 500)


def row(task: Task, **more: object) -> Row:
    return Row(task, {6: SCORES, 24: {**SCORES, "lisa": 1.0}}, 12.5, **more)  # type: ignore[arg-type]


def test_there_are_200_mixtures_spread_over_the_simplex() -> None:
    weights = np.array(list(mixtures().values()))

    assert len(weights) >= 200
    assert weights.min() >= 0
    np.testing.assert_allclose(weights.sum(axis=1), 1, atol=1e-12)
    assert all(mixtures()[corner(domain)][i] == 1 for i, domain in enumerate(DOMAINS))
    assert len({tuple(w) for w in weights}) == len(weights)
    # Whatever mixture is asked for, one of the table is near: 0.25 of the weight moved at most.
    asked = np.random.default_rng(0).dirichlet(np.ones(len(DOMAINS)), 300)
    apart = 0.5 * np.abs(asked[:, None] - weights[None]).sum(axis=2).min(axis=1)
    assert apart.max() < 0.25


def test_the_mixtures_are_the_same_every_time() -> None:
    assert list(mixtures().items()) == list(mixtures().items())
    assert mixtures()["flat 000"] == (0.016, 0.52, 0.02, 0.255, 0.189)
    assert mixtures()["sparse 001"] == (0.014, 0.272, 0.092, 0.03, 0.592)


def test_the_shards_make_every_row_once() -> None:
    parts = [world_table.share((part, 3)) for part in range(3)]

    assert sorted(task for part in parts for task in part) == sorted(world_table.tasks())
    assert len(set(world_table.tasks())) == len(world_table.tasks())


@pytest.mark.parametrize("text", ["1", "2/2", "-1/2", "a/b", "0/0"])
def test_a_shard_that_is_no_part_is_refused(text: str) -> None:
    with pytest.raises(world_table.typer.BadParameter):
        world_table.shard_of(text)


def test_a_row_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = row(FIRST, steps=24, exhausted="lisa", curve={1: {"reward": 0.25}})
    Rows(tmp_path, "a").append(written)

    assert Rows(tmp_path).known == {FIRST: written}


def test_half_a_row_of_a_killed_process_is_made_again(tmp_path: Path) -> None:
    Rows(tmp_path, "a").append(row(FIRST))
    file = tmp_path / "a.jsonl"
    whole = file.read_bytes()
    file.write_bytes(whole + whole[: len(whole) // 2])

    assert set(Rows(tmp_path).known) == {FIRST}
    again = Rows(tmp_path, "a")
    again.append(row(Task("run", "uniform", 501)))

    assert set(Rows(tmp_path).known) == {FIRST, Task("run", "uniform", 501)}


def test_rows_that_are_there_are_not_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = [Task("run", name, 500) for name in list(mixtures())[:3]]
    monkeypatch.setattr(world_table, "share", lambda shard: wanted)
    made: list[Task] = []

    def run(task: Task, out: Path, trained_by: Recipe) -> Row:
        made.append(task)
        return row(task)

    monkeypatch.setattr(world_table, "_run", run)
    world_table.make(tmp_path, "0/1", limit=2)
    assert made == wanted[:2]
    world_table.make(tmp_path, "0/1", limit=None)
    assert made == wanted
    world_table.make(tmp_path, "0/1", limit=None)
    assert made == wanted


def test_prices_are_made_as_soon_as_their_runs_are_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[str] = []

    def run(task: Task, out: Path, trained_by: Recipe) -> Row:
        made.append(f"run {task.mixture}")
        return row(task)

    class Pricer:
        def __init__(self, trained_by: Recipe) -> None: ...

        def price(self, task: Task) -> Row:
            made.append(f"price {task.mixture}")
            return row(task)

    def needed(rows: Rows, task: Task, out: Path) -> tuple[()] | None:
        is_there = task.kind == "merged" and Task("run", "b", 1) in rows.known
        return () if is_there else None

    wanted = [Task("merged", "a", 1), *(Task("run", name, 1) for name in "abc")]
    monkeypatch.setattr(world_table, "share", lambda shard: wanted)
    for name, value in (("_run", run), ("_needed", needed), ("Pricer", Pricer)):
        monkeypatch.setattr(world_table, name, value)
    world_table.make(tmp_path, "0/1", limit=None)

    assert made == ["run a", "run b", "price a", "run c"]


def test_prices_wait_for_the_experts_of_other_shards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(world_table, "share", lambda shard: [Task("merged", "uniform", 500)])

    world_table.make(tmp_path, "0/2", limit=None)

    assert "waits for runs of another shard" in capsys.readouterr().out


def test_two_processes_do_not_make_the_same_shard(tmp_path: Path) -> None:
    with (
        world_table.storage_files.hold(tmp_path / "shard-0-of-1"),  # type: ignore[union-attr]
        pytest.raises(world_table.typer.BadParameter, match="another process makes shard 0/1"),
    ):
        world_table.make(tmp_path, "0/1", limit=None)


def test_aggregates_weigh_benchmarks_by_samples() -> None:
    found = aggregate({name: float(group == "in") for name, (group, _) in BENCHMARKS.items()})

    assert (found["in"], found["out"]) == (1.0, 0.0)


def test_the_packed_table_is_the_same_bytes_for_the_same_rows(tmp_path: Path) -> None:
    rows = [row(FIRST, steps=24, samples={"sat": 3}, curve={1: {"reward": 0.123456}})]
    known: Mapping[str, tuple[float, ...]] = mixtures()

    files = write_tables(rows, known, {"seeds": [500]}, tmp_path / "a")
    again = write_tables(rows, known, {"seeds": [500]}, tmp_path / "b")

    assert [f.read_bytes() for f in files] == [f.read_bytes() for f in again]
    with (tmp_path / "a" / "scores.csv").open() as text:
        scores = list(csv.DictReader(text))
    assert [(line["step"], line["is_last"], line["lisa"]) for line in scores] == [
        ("6", "0", str(SCORES["lisa"])),
        ("24", "1", "1.0"),
    ]
    with (tmp_path / "a" / "mixtures.csv").open() as text:
        assert [line["mixture"] for line in csv.DictReader(text)] == ["uniform"]
    with gzip.open(tmp_path / "a" / "curves.csv.gz", "rt") as text:
        assert next(csv.DictReader(text))["reward"] == "0.1235"


def test_packed_rows_are_unpacked_but_for_the_experts_whose_weights_are_not(
    tmp_path: Path,
) -> None:
    world_table.unpack(tmp_path, world_table.PACKED)

    known = Rows(tmp_path).known
    packed = {row.task for row in read_tables(world_table.PACKED)}
    experts = {Task("run", corner(d), seed) for d in DOMAINS for seed in world_table.SEEDS}
    assert set(known) == packed - experts
    assert experts <= packed


def test_tables_that_were_read_are_packed_to_the_same_bytes(tmp_path: Path) -> None:
    made = json.loads((world_table.PACKED / "made.json").read_text())

    for file in write_tables(read_tables(world_table.PACKED), mixtures(), made, tmp_path):
        assert file.read_bytes() == (world_table.PACKED / file.name).read_bytes(), file.name


def test_a_beginning_of_the_table_is_a_table() -> None:
    weights, scored = world.load(first=world.BEGINNING)
    every, models = world.load()

    assert list(weights) == list(every)[: world.BEGINNING] == list(mixtures())[: world.BEGINNING]
    assert scored == [one for one in models if one.mixture in weights]
    runs = {(one.mixture, one.seed) for one in scored if one.kind == "run" and one.is_last}
    assert len(runs) == 2 * world.BEGINNING
