"""Simulated workers: coroutines that claim, beat and post against a service on this machine."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field

import httpx

STUDY, BENCHMARK = "bench", "score"


@dataclass(slots=True)
class Load:
    """What one run of workers saw.

    Attributes:
        seconds: by call, how long each took, in order of their ends.
        failed: answers other than 2xx, and calls sent twice since the connection was lost.
    """

    trials: int = 0
    failed: int = 0
    took_s: float = 0.0
    seconds: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


async def work(url: str, n: int, for_s: float, pause_s: float) -> Load:
    """Has `n` workers at work.

    Args:
        pause_s: between two calls of a worker, on average; 0 means at once after the answer.
    """
    load = Load()
    began = time.perf_counter()
    await asyncio.gather(
        *(_worker(url, load, number, began + for_s, pause_s) for number in range(n))
    )
    load.took_s = time.perf_counter() - began
    return load


async def _worker(url: str, load: Load, number: int, until: float, pause_s: float) -> None:
    chance = random.Random(number)
    # Anywhere in a round of three calls, as in a fleet that has been at work for long.
    await asyncio.sleep(chance.uniform(0, 3 * pause_s))
    # Each has a client of its own, as in earnest: one for all of them looks through all its
    # connections at every call.
    async with httpx.AsyncClient(
        base_url=url,
        timeout=60,
        trust_env=False,
        verify=False,  # noqa: S501 - plain HTTP
    ) as client:
        await _rounds(client, load, number, chance, until, pause_s)


async def _rounds(
    client: httpx.AsyncClient,
    load: Load,
    number: int,
    chance: random.Random,
    until: float,
    pause_s: float,
) -> None:
    while time.perf_counter() < until:
        body = {"worker": f"w{number}", "study": STUDY}
        leased = await _call(client, load, "next", "/trials/next", body)
        if not leased or leased["trial"] is None:
            load.failed += 1
            return
        path, token = f"/trials/{leased['trial']['id']}", leased["lease"]["token"]
        await asyncio.sleep(chance.uniform(0, 2 * pause_s))
        await _call(client, load, "heartbeat", f"{path}/heartbeat", {"token": token, "step": 1})
        await asyncio.sleep(chance.uniform(0, 2 * pause_s))
        score = {"benchmark": BENCHMARK, "score": chance.random(), "samples": 100}
        body = {"token": token, "measurements": [score]}
        await _call(client, load, "result", f"{path}/result", body)
        load.trials += 1
        await asyncio.sleep(chance.uniform(0, 2 * pause_s))


async def _call(
    client: httpx.AsyncClient, load: Load, name: str, path: str, body: dict[str, object]
) -> dict[str, object]:
    began = time.perf_counter()
    try:
        answer = await client.post(path, json=body)
    except httpx.TransportError:
        # An idle connection that the service closed just then; a worker's client tries again.
        load.failed += 1
        answer = await client.post(path, json=body)
    load.seconds[name].append(time.perf_counter() - began)
    if not answer.is_success:
        load.failed += 1
        return {}
    found: dict[str, object] = answer.json()
    return found
