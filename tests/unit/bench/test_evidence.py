"""The bench of cheap evidence: what it fits to and what it keeps to be foreseen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bench import evidence, world
from bench.world_mixtures import mixtures
from bench.world_rows import Row, Task, write_tables
from trainer.tiny.world import BENCHMARKS


@pytest.fixture
def table(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Forty mixtures, two seeds each, whose scores tell what they are of."""
    names = list(mixtures())[:40]

    def row(kind: str, i: int, seed: int, steps: tuple[int, ...]) -> Row:
        told = i / 50 + (seed - 500) / 1e4
        scores = {s: dict.fromkeys(BENCHMARKS, told + s / 1000) for s in steps}
        return Row(Task(kind, names[i], seed), scores, 1.0)  # type: ignore[arg-type]

    rows = [row("run", i, s, (6, 12, 18, 24)) for i in range(40) for s in (500, 501)]
    rows += [row("merged", i, s, (0,)) for i in range(40) for s in (500, 501)]
    write_tables(rows, mixtures(), {}, tmp_path)
    read = world.load(tmp_path)
    monkeypatch.setattr(world, "load", lambda: read)
    return names


def test_the_table_is_read_as_it_was_written(table: list[str]) -> None:
    weights, scored = world.load()

    assert weights == {name: mixtures()[name] for name in table}
    assert len(scored) == 40 * 2 * 5
    assert sum(one.is_last for one in scored if one.kind == "run") == 80


def test_full_runs_share_their_number_with_their_own_early_scores(table: list[str]) -> None:
    runs, _, _ = evidence._of_world("", 5, "out", "step-6", np.random.default_rng(0))

    early = runs.channels["step-6"]
    assert len(runs) == 5
    assert len(early) == 15
    for i in range(5):
        same = early.run == runs.run[i]
        assert early.score[same] + 0.018 == pytest.approx(runs.score[[i]], abs=2e-5)


def test_scores_come_with_the_sampling_errors_of_their_items(table: list[str]) -> None:
    runs, _, _ = evidence._of_world("", 5, "out", "merged", np.random.default_rng(0))

    for part in (runs, runs.channels["merged"]):
        p, n = part.score, 1600  # of four benchmarks, weighted by the paper's numbers of samples
        assert (part.noise_sd > np.sqrt(p * (1 - p) / n)).all()
        assert (part.noise_sd < 2 * np.sqrt((p + 0.01) / n)).all()


def test_no_run_that_was_started_is_foreseen(table: list[str]) -> None:
    for kind in evidence.WORLD_KINDS:
        runs, X, actual = evidence._of_world("", 4, "out", kind, np.random.default_rng(1))

        assert len(X) == len(actual) == 2 * (40 - 12)
        started = np.vstack(
            [runs.weights, *(c.weights for n, c in runs.channels.items() if n[0] == "s")]
        )
        assert np.abs(X[:, None] - started[None]).sum(axis=2).min() > 0


def test_every_kind_is_tested_on_the_same_runs(table: list[str]) -> None:
    tested = [
        evidence._of_world("", 4, "in", kind, np.random.default_rng(2))[2].tolist()
        for kind in evidence.WORLD_KINDS
    ]

    assert all(one == tested[0] for one in tested)


def test_regmix_tests_the_same_runs_with_cheap_ones_and_without() -> None:
    told = [
        evidence._of_regmix("1B", 8, "pile_cc", kind, np.random.default_rng(3))
        for kind in ("none", "60M")
    ]

    assert told[0][2].tolist() == told[1][2].tolist()
    assert not told[0][0].channels
    assert len(told[1][0].channels["60M"]) == evidence.N_CHEAP
