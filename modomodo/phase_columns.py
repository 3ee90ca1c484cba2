"""Runs whose mixture changed on the way, in a file of runs: columns `w1_<domain>`, `w2_<domain>`
and so on, one for each domain in each phase. A row without them stayed the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

from modomodo.errors import CommandFailed
from service.notation.columns import weight_in
from service.notation.table_text import Table

_COLUMN = re.compile(r"w([1-9])_(.+)")


def heads_of(table: Table, domains: Sequence[str]) -> list[dict[str, str]]:
    """The column of each domain's weights, phase by phase; nothing where a file has none.

    Args:
        domains: of the mean mixtures; where there are none, the phases say which there are.

    Raises:
        CommandFailed: a domain lacks its column in a phase.
    """
    found: dict[int, dict[str, str]] = {}
    for head in table.heads:
        match = _COLUMN.fullmatch(head)
        if match is not None and (not domains or match[2] in domains):
            found.setdefault(int(match[1]), {})[match[2]] = head
    if not found:
        return []
    names = domains or list(dict.fromkeys(name for phase in found.values() for name in phase))
    wanted = [weight_in(p, name) for p in range(1, max(2, *found) + 1) for name in names]
    lacking = [head for head in wanted if head not in table.heads]
    if lacking:
        raise CommandFailed(
            f"{table.name}, line 1: no column {lacking[0]!r}; each domain needs one in each phase, "
            "as w1_coco,w1_sat,w2_coco,w2_sat"
        )
    return [{name: found[p][name] for name in names} for p in sorted(found)]


def shares_of(table: Table, n_phases: int, asked: tuple[float, ...]) -> tuple[float, ...]:
    """What part of the steps each phase has: as it is asked for, else equal parts; nothing where
    there are no schedules.

    Raises:
        CommandFailed: the file has columns of another number of phases, or of too many.
    """
    if n_phases == 0:
        return asked
    from service.schemas.spec import MOST_PHASES

    if n_phases > MOST_PHASES:
        raise CommandFailed(
            f"{table.name} has columns of {n_phases} phases; {MOST_PHASES} at most can be searched"
        )
    if asked and len(asked) != n_phases:
        raise CommandFailed(
            f"{table.name} has columns of {n_phases} phases, and {len(asked)} are asked for"
        )
    return asked or (1 / n_phases,) * n_phases
