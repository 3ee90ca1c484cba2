"""Does every answer of the service keep to its own OpenAPI description? Made-up calls say.

`python -m bench.contract [--cases 20000] [--databases sqlite,postgresql] [--seed 1]`

schemathesis makes calls up from the description, valid and invalid, single ones and chains, and
checks statuses, bodies, headers and media types of the answers. Most are calls of someone who may
do everything; the last ones of callers with a key of each scope and with none, who call too often.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from bench.report import read_results, table, write_results, write_section
from bench.service import database_of, service
from db import keys
from db.sessions import Database
from tests.support import contract
from tests.support.contract import Outcome

PHASES = "examples,coverage,fuzzing,stateful"
OWN = "k" * 32
CALLS_PER_S = 50.0
"""Of one caller: fewer than are made, so that many are told to wait."""

CASES_AN_EXAMPLE = 45
"""About how many cases come of one more example of each operation; a round adds what is missing."""


def main(
    cases: Annotated[int, typer.Option(help="Calls on each database at least.")] = 20_000,
    databases: Annotated[str, typer.Option()] = "sqlite,postgresql",
    seed: Annotated[int, typer.Option()] = 1,
) -> None:
    found: dict[str, Outcome] = {}
    for kind in databases.split(","):
        with database_of(kind) as url:
            os.environ["MODOMODO_CALLS_PER_S"] = "0"
            os.environ.pop("MODOMODO_API_KEY", None)
            with service(url) as (address, _, _):
                contract.fill(address)
                outcomes = rounds(address, cases, seed)
            made = keys_of(url)
            os.environ |= {"MODOMODO_CALLS_PER_S": str(CALLS_PER_S), "MODOMODO_API_KEY": OWN}
            with service(url) as (address, _, _):
                outcomes += [once(address, 10, seed, key) for key in (None, *made, OWN)]
        found[kind] = together(outcomes)
        print(kind, found[kind], flush=True)
    # A database that was not asked for keeps the figures of its last run.
    found = {kind: Outcome(**kept) for kind, kept in read_results("contract").items()} | found
    write_results("contract", {kind: asdict(outcome) for kind, outcome in found.items()})
    head = ["database", "calls of the interface", "cases", "failures", "minutes"]
    rows = [
        [kind, str(x.operations), f"{x.cases:,}", str(len(x.failures)), f"{x.seconds / 60:.1f}"]
        for kind, x in found.items()
    ]
    write_section("contract", table(head, rows))
    if any(outcome.failures for outcome in found.values()):
        raise SystemExit(1)


def rounds(address: str, cases: int, seed: int) -> list[Outcome]:
    """As many rounds, each with a seed of its own, as it takes."""
    outcomes: list[Outcome] = []
    while (missing := cases - sum(outcome.cases for outcome in outcomes)) > 0:
        examples = max(10, min(300, missing // CASES_AN_EXAMPLE))
        outcomes.append(once(address, examples, seed + len(outcomes)))
        print(f"  {sum(outcome.cases for outcome in outcomes):,} cases", flush=True)
    return outcomes


def once(address: str, examples: int, seed: int, key: str | None = None) -> Outcome:
    """One round."""
    with tempfile.TemporaryDirectory(prefix="contract-") as folder:
        outcome = contract.run(
            address, Path(folder), examples=examples, seed=seed, phases=PHASES, key=key
        )
    print(outcome.said, end="", flush=True)
    return outcome


def keys_of(url: str) -> list[str]:
    """A key of each scope that does not allow everything."""
    database = Database(url)
    with database.write() as session:
        made = [keys.create(session, scope, scope) for scope in ("read", "worker")]
    database.close()
    return made


def together(outcomes: list[Outcome]) -> Outcome:
    """Several rounds as one."""
    return Outcome(
        cases=sum(outcome.cases for outcome in outcomes),
        operations=outcomes[0].operations,
        failures={kind: on for outcome in outcomes for kind, on in outcome.failures.items()},
        seconds=sum(outcome.seconds for outcome in outcomes),
    )


if __name__ == "__main__":
    typer.run(main)
