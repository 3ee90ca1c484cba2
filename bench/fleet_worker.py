"""Simulated workers of a fleet: each claims one trial as `modomodo worker --max-trials 1` does,
beats while it sleeps, posts a score, and ends. Many of them share a process: a place."""

from __future__ import annotations

import asyncio
import random
import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

import httpx

from bench.service_load import BENCHMARK, STUDY


@dataclass(slots=True)
class Seen:
    """What the workers of a place saw.

    Attributes:
        held: for each trial when it was claimed, and when its result was taken; None before that.
        calls: by name, when each began and how many seconds it took.
        failed: answers other than 2xx, and calls without an answer.
    """

    held: list[tuple[float, float | None]] = field(default_factory=list)
    calls: dict[str, list[tuple[float, float]]] = field(default_factory=lambda: defaultdict(list))
    failed: int = 0


class Place:
    """A process in which workers live, as coroutines.

    Args:
        trial_s: how long a trial takes on average; each between half and one and a half of it.
    """

    def __init__(self, url: str, trial_s: float) -> None:
        self._url, self._trial_s, self._seen = url, trial_s, Seen()

    async def work(self, name: str) -> None:
        """The life of one worker."""
        chance = random.Random(name)
        async with httpx.AsyncClient(
            base_url=self._url,
            timeout=60,
            trust_env=False,
            verify=False,  # noqa: S501 - plain HTTP
        ) as client:
            answer = await self._call(client, "next", "/trials/next", {"worker": name})
            if not answer or answer["trial"] is None:
                return
            place, lease = len(self._seen.held), answer["lease"]
            self._seen.held.append((time.time(), None))
            path = f"/trials/{answer['trial']['id']}"
            ends = time.time() + chance.uniform(0.5, 1.5) * self._trial_s
            every_s = lease["heartbeat_s"]
            while (left_s := ends - time.time()) > 0:
                await asyncio.sleep(min(every_s, left_s))
                beat = {"token": lease["token"], "step": 1, "total_steps": 2}
                told = await self._call(client, "heartbeat", f"{path}/heartbeat", beat)
                every_s = told.get("heartbeat_s", every_s)
            score = {"benchmark": BENCHMARK, "score": chance.random(), "samples": 100}
            body = {"token": lease["token"], "measurements": [score]}
            await self._call(client, "result", f"{path}/result", body)
            self._seen.held[place] = (self._seen.held[place][0], time.time())

    async def seen(self) -> Seen:
        return self._seen

    async def _call(
        self, client: httpx.AsyncClient, name: str, path: str, body: dict[str, object]
    ) -> dict[str, Any]:
        began = time.time()
        try:
            answer = await client.post(
                path, json=body | ({"study": STUDY} if name == "next" else {})
            )
        except httpx.TransportError:
            self._seen.failed += 1
            return {}
        self._seen.calls[name].append((began, time.time() - began))
        if not answer.is_success:
            self._seen.failed += 1
            return {}
        found: dict[str, Any] = answer.json()
        return found
