"""A TCP proxy that loses and delays answers."""

from __future__ import annotations

import asyncio
import random
import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Weather:
    """How often faults happen: shares of the pieces of traffic, each in its turn."""

    refuse: float = 0.01
    lose_answer: float = 0.03
    delay: float = 0.05
    delay_s: float = 0.5


CALM = Weather(0.0, 0.0, 0.0)


class Proxy:
    """Listens on a free port and passes each connection on to one of several services."""

    def __init__(self, ports: Sequence[int], weather: Weather, seed: int) -> None:
        self.weather = weather
        self.faults: Counter[str] = Counter()
        self._left: dict[str, int] = {}
        self.port = 0
        self._ports, self._chance = ports, random.Random(seed)
        self._loop = asyncio.new_event_loop()
        self._is_up = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        self._is_up.wait()

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        start = asyncio.start_server(self._connected, "127.0.0.1", 0)
        server = self._loop.run_until_complete(start)
        self.port = server.sockets[0].getsockname()[1]
        self._is_up.set()
        self._loop.run_forever()

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._happens("refuse", self.weather.refuse):
            writer.transport.abort()
            return
        try:
            port = self._chance.choice(self._ports)
            upstream, back = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            writer.transport.abort()
            return
        directions = (self._requests(reader, back), self._answers(upstream, writer))
        tasks = [asyncio.ensure_future(direction) for direction in directions]
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for end in (writer, back):
            end.transport.abort()

    async def _requests(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while data := await self._read(reader):
            out.write(data)

    async def _answers(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter) -> None:
        while data := await self._read(reader):
            if self._happens("lose_answer", self.weather.lose_answer):
                return
            if self._happens("delay", self.weather.delay):
                await asyncio.sleep(self._chance.uniform(0, self.weather.delay_s))
            out.write(data)

    async def _read(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.read(CHUNK)
        except OSError:
            return b""

    def _happens(self, what: str, share: float) -> bool:
        """Whether this piece's turn has come: a random number of pieces after the last one, at most
        twice the mean, so that no run is without."""
        if not share:
            return False
        left = self._left.get(what) or self._chance.randint(1, max(1, round(2 / share) - 1))
        self._left[what] = left - 1
        self.faults[what] += left == 1
        return left == 1
