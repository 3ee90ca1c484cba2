"""A fixed part of a dataset that keeps the shares of its kinds of questions."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence


def stratified(ids: Sequence[str], strata: Sequence[str], n: int) -> list[int]:
    """Indices of `n` rows, in order; all rows where there are no more.

    Every stratum gets its share, rounded by largest remainder. Which rows of a stratum are taken
    depends on their ids alone, so the draw is the same on every machine, in every order of rows,
    and a larger draw of the same strata holds most of a smaller one.

    Raises:
        ValueError: `n` is below 1, or the two sequences differ in length.
    """
    if n < 1:
        raise ValueError(f"a subset has at least 1 row, not {n}")
    members: dict[str, list[int]] = defaultdict(list)
    for index, stratum in enumerate(strata):
        members[stratum].append(index)
    if sum(map(len, members.values())) != len(ids):
        raise ValueError(f"{len(ids)} ids, but {len(strata)} strata")
    if n >= len(ids):
        return list(range(len(ids)))
    quotas = _quotas({stratum: len(rows) for stratum, rows in members.items()}, n)
    chosen = []
    for stratum, rows in members.items():
        rows.sort(key=lambda index: hashlib.sha256(ids[index].encode()).digest())
        chosen += rows[: quotas[stratum]]
    return sorted(chosen)


def _quotas(sizes: dict[str, int], n: int) -> dict[str, int]:
    total = sum(sizes.values())
    quotas = {stratum: n * size // total for stratum, size in sizes.items()}
    left = n - sum(quotas.values())
    by_remainder = sorted(sizes, key=lambda stratum: (-(n * sizes[stratum] % total), stratum))
    for stratum in by_remainder[:left]:
        quotas[stratum] += 1
    return quotas
