"""What `bench.service` measures, what of that is to be reached, and the section that says so."""

from __future__ import annotations

import os
from typing import Any

from bench.report import table

DOMAINS = ("a", "b", "c", "d", "e")
PAUSE_S = 1.0
AT_ONCE = 8
"""Workers without a pause, for the most trials a second; as many processes with Optuna."""
MOST_FOR_OPTUNA = 1000
"""It takes minutes to store more."""
LARGE_DOMAINS, LARGE_TRIALS, LARGE_LOOKAHEAD = 17, 500, 4

NEXT_P99_MS = {100: 50.0, 500: 250.0}
"""Of the call that most wait for, by the number of workers."""
TIMES_BEFORE = {"sqlite": 5.0, "postgresql": 3.0}
"""Trials a second beside the version before the workers' calls were written by a few threads."""
PROPOSED_WITHIN_S = 60.0
TIMES_OPTUNA = 6.0


def section(
    loads: list[float],
    start_s: list[float],
    service: list[dict[str, Any]],
    optuna: list[dict[str, Any]],
    before: list[dict[str, Any]],
    proposed: dict[str, float],
) -> str:
    """The section's text.

    Args:
        loads: the machine's load average before and after.
    """
    rows, peers = service, optuna
    rates = [
        [
            peer["database"],
            str(peer["stored"]),
            f"{own['trials_s']:.0f}",
            f"{peer['trials_s']:.1f}",
            f"{own['trials_s'] / peer['trials_s']:.1f}",
        ]
        for peer in peers
        for own in rows
        if own["pause_s"] == 0
        and (own["database"], own["stored"]) == (peer["database"], peer["stored"])
    ]
    calls = ("next", "heartbeat", "result")
    paced = [
        [
            row["database"],
            str(row["stored"]),
            str(row["workers"]),
            f"{row['calls_s']:.0f}",
            *(" / ".join(f"{row.get(f'{c}_p{q}', 0):.0f}" for q in (50, 95, 99)) for c in calls),
            str(row["memory_mib"]),
            str(row["failed"]),
        ]
        for row in rows
        if row["pause_s"]
    ]
    heads = [f"{call}, p50/95/99 ms" for call in calls]
    at_first, at_last = loads
    return "\n\n".join(
        [
            f"Service, database and workers share {os.cpu_count()} cores. The machine's load "
            f"average was {at_first:.1f} before the bench began and {at_last:.1f} at its end; what "
            "was there before was other work, which makes every figure worse. The service answered "
            f"{min(start_s):.1f} to {max(start_s):.1f} s after its start (aim: 3).",
            aims(rows, peers, before, proposed),
            f"Trials a second (claim, heartbeat, result) over HTTP by {AT_ONCE} workers that never "
            f"pause, beside {AT_ONCE} processes with Optuna's RDB storage (ask, tell); mixtures of "
            f"{len(DOMAINS)} domains:",
            table(["database", "stored trials", "service", "Optuna", "times"], rates),
            "Of the processor that takes, in milliseconds a trial, and what that allows where "
            "nothing else runs; SQLite is a part of the service, whose Python uses one core:",
            table(
                [
                    "database",
                    "stored trials",
                    "service",
                    "workers",
                    "PostgreSQL",
                    f"trials/s of {os.cpu_count()} cores",
                    "trials/s of the service's core",
                ],
                _processor(rows),
            ),
            f"Workers that pause {PAUSE_S:g} s between calls, each anywhere in its round of three:",
            table(
                ["database", "stored", "workers", "calls/s", *heads, "service MiB", "failed"], paced
            ),
        ]
    )


def _processor(rows: list[dict[str, Any]]) -> list[list[str]]:
    """What a trial of workers that never pause costs whom."""
    found = []
    for row in rows:
        if row["pause_s"]:
            continue
        of = row["cpu_ms"]
        most, alone = 1000 * (os.cpu_count() or 1) / sum(of.values()), 1000 / of["service"]
        costs = [f"{of[who]:.1f}" for who in ("service", "workers", "database")]
        found.append([row["database"], str(row["stored"]), *costs, f"{most:.0f}", f"{alone:.0f}"])
    return found


def aims(
    rows: list[dict[str, Any]],
    peers: list[dict[str, Any]],
    before: list[dict[str, Any]],
    proposed: dict[str, float],
) -> str:
    """What the service is to reach, and whether it did."""
    said = []
    for (kind, n), found in _next_p99(rows).items():
        is_met = max(found) <= NEXT_P99_MS[n]
        said.append(
            f"p99 of `next` at {n} workers on {kind}: {min(found):.0f} to {max(found):.0f} ms "
            f"(aim {NEXT_P99_MS[n]:g}: {'met' if is_met else 'NOT met'})."
        )
    for earlier in before:
        kind, stored = earlier["database"], earlier["stored"]
        times = _at_once(rows, kind, stored) / earlier["trials_s"]
        said.append(
            f"Trials a second beside the version before at {stored} stored on {kind}: {times:.1f} "
            f"times its {earlier['trials_s']:.0f} (aim {TIMES_BEFORE[kind]:g}: "
            f"{'met' if times >= TIMES_BEFORE[kind] else 'NOT met'})."
        )
    for kind in dict.fromkeys(row["database"] for row in rows):
        fewest, *_, most = [
            row
            for row in rows
            if (row["database"], row["workers"]) == (kind, 100) and row["pause_s"]
        ]
        times = most["next_p50"] / fewest["next_p50"]
        said.append(
            f"Median time of `next` at 100 workers with {most['stored']} stored trials on {kind}: "
            f"{times:.2f} times that with {fewest['stored']} (aim: no growth)."
        )
    for peer in peers:
        if peer["stored"] != MOST_FOR_OPTUNA:
            continue
        own = _at_once(rows, peer["database"], peer["stored"])
        times = own / peer["trials_s"]
        said.append(
            f"Trials a second beside Optuna at {MOST_FOR_OPTUNA} stored on {peer['database']}: "
            f"{times:.1f} times (aim {TIMES_OPTUNA:g}: "
            f"{'met' if times >= TIMES_OPTUNA else 'NOT met'})."
        )
    for kind, seconds in proposed.items():
        is_met = seconds <= PROPOSED_WITHIN_S
        said.append(
            f"{LARGE_LOOKAHEAD} proposals by `auto` for a study with {LARGE_TRIALS} trials of "
            f"{LARGE_DOMAINS} domains on {kind}: {seconds:.0f} s after it was resumed "
            f"(aim {PROPOSED_WITHIN_S:g}: {'met' if is_met else 'NOT met'})."
        )
    return "\n".join(f"- {line}" for line in said)


def _next_p99(rows: list[dict[str, Any]]) -> dict[tuple[str, int], list[float]]:
    """By database and number of workers, of those that there is an aim for."""
    found: dict[tuple[str, int], list[float]] = {}
    for row in rows:
        if row["pause_s"] and row["workers"] in NEXT_P99_MS:
            found.setdefault((row["database"], row["workers"]), []).append(row["next_p99"])
    return found


def _at_once(rows: list[dict[str, Any]], kind: str, stored: int) -> float:
    """Trials a second of workers that never pause."""
    rate: float = next(
        row["trials_s"]
        for row in rows
        if row["pause_s"] == 0 and (row["database"], row["stored"]) == (kind, stored)
    )
    return rate
