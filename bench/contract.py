"""Does every answer of the service keep to its own OpenAPI description? Made-up calls say.

`python -m bench.contract [--cases 20000] [--databases sqlite,postgresql] [--seed 1]`

schemathesis makes calls up from the description, valid and invalid, single ones and chains, and
checks statuses, bodies, headers and media types of the answers.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bench.report import table, write_results, write_section
from bench.service import database_of, service
from tests import contract
from tests.contract import Outcome

PHASES = "examples,coverage,fuzzing,stateful"
CASES_AN_EXAMPLE = 45
"""About how many cases come of one more example of each operation; a round adds what is missing."""


def main(
    cases: Annotated[int, typer.Option(help="Calls on each database at least.")] = 20_000,
    databases: Annotated[str, typer.Option()] = "sqlite,postgresql",
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    os.environ["MODOMODO_CALLS_PER_S"] = "0"
    found: dict[str, Outcome] = {}
    for kind in databases.split(","):
        with database_of(kind) as url, service(url) as (address, _, _):
            contract.fill(address)
            found[kind] = rounds(address, cases, seed)
        print(kind, found[kind], flush=True)
    write_results("contract", {kind: asdict(outcome) for kind, outcome in found.items()})
    head = ["database", "calls of the interface", "cases", "failures", "minutes"]
    rows = [
        [kind, str(x.operations), f"{x.cases:,}", str(len(x.failures)), f"{x.seconds / 60:.1f}"]
        for kind, x in found.items()
    ]
    write_section("contract", table(head, rows))
    if any(outcome.failures for outcome in found.values()):
        raise SystemExit(1)


def rounds(address: str, cases: int, seed: int) -> Outcome:
    """As many rounds, each with a seed of its own, as it takes."""
    outcomes: list[Outcome] = []
    while (missing := cases - sum(outcome.cases for outcome in outcomes)) > 0:
        examples = max(10, min(300, missing // CASES_AN_EXAMPLE))
        with tempfile.TemporaryDirectory(prefix="contract-") as folder:
            outcomes.append(
                contract.run(
                    address,
                    Path(folder),
                    examples=examples,
                    seed=seed + len(outcomes),
                    phases=PHASES,
                )
            )
        print(f"  {sum(outcome.cases for outcome in outcomes):,} cases", flush=True)
        print(outcomes[-1].said, end="", flush=True)
    return Outcome(
        cases=sum(outcome.cases for outcome in outcomes),
        operations=outcomes[0].operations,
        failures={kind: on for outcome in outcomes for kind, on in outcome.failures.items()},
        seconds=sum(outcome.seconds for outcome in outcomes),
    )


if __name__ == "__main__":
    typer.run(main)
