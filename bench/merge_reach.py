"""How far merged experts foretell real runs when runs are longer or rates are larger.

`python -m bench.merge_reach [--out FOLDER]`

The offline world's recipe, three times its learning rate, and three times its steps on three times
the data: experts, runs and merged prices of the same mixtures with one seed. The first is in the
table of real runs, the others are made as `bench.world_table` makes that. A folder is gone on with;
without one the figures alone are kept.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any
from unittest.mock import patch

import numpy as np
import typer

from bench import world_table
from bench.report import machine, read_results, table, write_results, write_section
from bench.tiny_world import DOMAINS, INSIDE, UNIFORM
from bench.world_mixtures import corner
from bench.world_rows import Row, Rows, Task, read_tables
from trainer.recipe import Recipe
from trainer.tiny.sizes import DOMAIN_SIZES

SEED = world_table.SEEDS[0]
TIMES = 3
MIXTURES = (UNIFORM, *INSIDE)
AS_IT_IS = "the recipe"
SCORE = "out"


@dataclass(frozen=True)
class Condition:
    """How runs differ from the offline world's: `data` is how many times its samples there are."""

    recipe: Recipe
    data: int = 1


def conditions() -> dict[str, Condition]:
    """Those that are not in the table."""
    default = Recipe()
    longer = {"steps": TIMES * default.steps}
    faster = {"learning_rate": TIMES * default.learning_rate}
    return {
        f"{TIMES} times the rate": Condition(_kept(default.model_copy(update=faster))),
        f"{TIMES} times the steps": Condition(_kept(default.model_copy(update=longer)), TIMES),
    }


def _kept(recipe: Recipe) -> Recipe:
    """With its last checkpoint alone, which an expert's weights are."""
    last = recipe.checkpoints.model_copy(update={"every": recipe.steps, "keep": 1})
    return recipe.model_copy(update={"checkpoints": last})


def main(
    out: Annotated[Path | None, typer.Option(help="Folder of rows and of experts.")] = None,
    only: Annotated[str, typer.Option(help="Conditions, with semicolons; all if empty.")] = "",
) -> None:
    names = [name for name in only.split(";") if name] or list(conditions())
    _keep(AS_IT_IS, {row.task: row for row in read_tables(world_table.PACKED)})
    with tempfile.TemporaryDirectory() as folder:
        for name in names:
            rows = make(conditions()[name], (out or Path(folder)) / name.replace(" ", "-"))
            _keep(name, rows.known)


def _keep(name: str, rows: Mapping[Task, Row]) -> None:
    # Read again, as conditions may be made side by side.
    known = read_results("merge_reach") | {name: figures(rows)}
    write_results("merge_reach", known)
    write_section("merge_reach", report(known))


def make(condition: Condition, folder: Path) -> Rows:
    """All rows of a condition, in the folder."""
    rows = Rows(folder, "rows")
    names = (UNIFORM, *map(corner, DOMAINS), *(name for name in MIXTURES if name != UNIFORM))
    wanted = [Task("base", "", 0), *world_table.tasks_of(names, [SEED])]
    # A longer run takes further samples of the same kinds, which are drawn when they are asked for.
    with patch.dict(DOMAIN_SIZES, {k: condition.data * n for k, n in DOMAIN_SIZES.items()}):
        for _ in world_table.made(rows, wanted, folder, condition.recipe):
            pass
    return rows


def figures(known: Mapping[Task, Row]) -> dict[str, Any]:
    """Scores in points of 100: of the base, and of each mixture's run and merged model."""
    scores = {
        kind: {name: 100 * known[Task(kind, name, SEED)].final[SCORE] for name in MIXTURES}
        for kind in ("run", "merged")
    }
    return {
        "base": 100 * known[Task("base", "", 0)].final[SCORE],
        "lambda_u": known[Task("merged", UNIFORM, SEED)].scale,
        **scores,
    }


def report(known: Mapping[str, Mapping[str, Any]]) -> str:
    head = [
        "runs",
        "base",
        "real, from to",
        "lambda_u",
        "Spearman",
        "Pearson",
        "RMSE",
        "sd of real",
    ]
    lines = [[name, *_cells(known[name])] for name in (AS_IT_IS, *conditions()) if name in known]
    return f"""
Merged experts of five single-domain runs against real runs of {len(MIXTURES)} mixtures, Out-Score
in points of 100, one seed: uniform and those of `bench.tiny_world` inside. The recipe's are in the
table of real runs.
{TIMES} times the steps has {TIMES} times the samples, of the same kinds. `lambda_u` is where the
price of uniform is that of its run, or nearest. An RMSE below the sd of the real scores says more
than their mean.

{table(head, lines)}

Made on {machine()}.
"""


def _cells(found: Mapping[str, Any]) -> list[str]:
    from scipy import stats  # takes a second, which tests that collect this do without

    real, price = (np.array([found[kind][name] for name in MIXTURES]) for kind in ("run", "merged"))
    return [
        f"{found['base']:.1f}",
        f"{real.min():.1f} to {real.max():.1f}",
        f"{found['lambda_u']:.2f}",
        f"{stats.spearmanr(real, price).statistic:.2f}",
        f"{np.corrcoef(real, price)[0, 1]:.2f}",
        f"{np.sqrt(np.mean((real - price) ** 2)):.1f}",
        f"{real.std(ddof=1):.1f}",
    ]


if __name__ == "__main__":
    typer.run(main)
