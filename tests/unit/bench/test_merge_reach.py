"""The bench of merged experts of other recipes: what is made, and what its table says."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from bench import merge_reach
from bench.merge_reach import MIXTURES, SEED, conditions, figures, make, report
from bench.tiny_world import DOMAINS, UNIFORM
from bench.world_mixtures import corner, mixtures
from bench.world_rows import Row, Rows, Task
from trainer.recipe import Recipe
from trainer.tiny.sizes import DOMAIN_SIZES
from trainer.tiny.world import BENCHMARKS


def row(task: Task, score: float, scale: float = 0.0) -> Row:
    return Row(task, {24: dict.fromkeys(BENCHMARKS, score)}, 1.0, scale)


def test_conditions_change_one_thing_each_and_have_samples_enough() -> None:
    faster, longer = (one.recipe for one in conditions().values())
    plain = Recipe()

    assert faster.learning_rate == 3 * plain.learning_rate
    assert faster.steps == plain.steps
    assert longer.learning_rate == plain.learning_rate
    assert longer.steps == 3 * plain.steps
    assert longer.checkpoints.every == longer.steps
    for condition in conditions().values():
        for name in MIXTURES:
            samples = condition.recipe.steps * condition.recipe.prompts_per_step
            for domain, weight in zip(DOMAINS, mixtures()[name], strict=True):
                assert weight * samples < 0.9 * condition.data * DOMAIN_SIZES[domain], name


def test_runs_and_prices_of_all_mixtures_are_made_with_more_samples_where_runs_are_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []

    def made(rows: Rows, wanted: Sequence[Task], out: Path, trained_by: Recipe) -> Iterator[Row]:
        sizes.append(DOMAIN_SIZES["lisa"])
        for task in wanted:
            rows.append(row(task, 0.5))
            yield rows.known[task]

    monkeypatch.setattr(merge_reach.world_table, "made", made)
    before = DOMAIN_SIZES["lisa"]
    for condition in conditions().values():
        rows = make(condition, tmp_path / str(len(sizes)))
        assert {Task("run", corner(domain), SEED) for domain in DOMAINS} <= {*rows.known}
        assert figures(rows.known)["run"] == dict.fromkeys(MIXTURES, 50.0)

    assert sizes == [before, 3 * before]
    assert DOMAIN_SIZES["lisa"] == before


def test_the_table_tells_how_prices_and_runs_agree(tmp_path: Path) -> None:
    rows = Rows(tmp_path, "rows")
    rows.append(row(Task("base", "", 0), 0.25))
    for i, name in enumerate(MIXTURES):
        rows.append(row(Task("run", name, SEED), 0.5 + i / 100))
        rows.append(row(Task("merged", name, SEED), 0.52 + i / 100, scale=2.25))
    assert MIXTURES[0] == UNIFORM

    (line,) = (
        line for line in report({"the recipe": figures(rows.known)}).splitlines() if "2.25" in line
    )

    assert line.split(" | ")[1:7] == ["25.0", "50.0 to 59.0", "2.25", "1.00", "1.00", "2.0"]
