"""Clocks that are wrong, or are set while everything runs: leases go by the database's alone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import libfaketime
import pytest

from modomodo.local import free_port
from tests.support import serving
from tests.support.bodies import scores, study_body
from tests.support.polling import until
from tests.support.serving import is_ready

LEASE_S = 6.0
"""Of which a busy machine does not lose all between two beats."""
BEAT_S = 0.4
PRELOADED = Path(libfaketime.__file__).parent / "vendor/libfaketime/src/libfaketime.so.1"

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="NOT RUN: clocks are set apart on Linux only"
)


class Clock:
    """The wall clock of the processes that get its environment; stopwatches run on as they are."""

    def __init__(self, file: Path, hours: float) -> None:
        self._file = file
        self.environment = {
            "LD_PRELOAD": str(PRELOADED),
            "FAKETIME_TIMESTAMP_FILE": str(file),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "MODOMODO_UPKEEP_EVERY_S": "0.2",
        }
        self.set(hours)

    def set(self, hours: float) -> None:
        """Sets it so many hours off; processes see it within a second."""
        new = self._file.with_suffix(".new")
        new.write_text(f"{hours * 3600:+.0f}\n")
        new.replace(self._file)

    def now(self) -> float:
        """What a process under this clock takes the time for."""
        said = subprocess.check_output(
            [sys.executable, "-c", "import time; print(time.time())"],
            text=True,
            env=os.environ | self.environment,
        )
        return float(said)


class Desk:
    """Calls of workers to one service."""

    def __init__(self, port: int) -> None:
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30)

    def post(self, path: str, **body: object) -> httpx.Response:
        return self.http.post(path, json=body)

    def claim(self, worker: str) -> tuple[int, str]:
        answer = self.post("/trials/next", worker=worker).raise_for_status().json()
        assert 0 < answer["lease"]["duration_s"] <= LEASE_S
        return answer["trial"]["id"], answer["lease"]["token"]

    def beat(self, held: tuple[int, str]) -> httpx.Response:
        return self.post(f"/trials/{held[0]}/heartbeat", token=held[1])

    def finish(self, held: tuple[int, str]) -> httpx.Response:
        body = {"token": held[1], "measurements": scores()}
        return self.post(f"/trials/{held[0]}/result", **body)

    def attempts(self, trial: int) -> int:
        return int(self.http.get(f"/trials/{trial}").json()["attempts"])

    def state(self, trial: int) -> str:
        return str(self.http.get(f"/trials/{trial}").json()["state"])

    def queue(self, n: int) -> None:
        self.post("/studies", **study_body(lease_s=LEASE_S, lookahead=1)).raise_for_status()
        for i in range(n):
            mixture = {"coco": i / n, "lisa": 1 - i / n}
            self.post("/studies/vlm/trials", mixture=mixture).raise_for_status()


@contextmanager
def service(database: str, port: int, clock: Clock) -> Iterator[None]:
    """A service under a clock: the C library takes that over when a program is started."""
    process = subprocess.Popen(
        [sys.executable, "-m", "modomodo", "serve", "--port", str(port), "--database", database],
        env=os.environ | clock.environment,
        stderr=subprocess.DEVNULL,
    )
    try:
        until(lambda: process.poll() is not None or is_ready(port))
        yield
    finally:
        process.kill()
        process.wait()


def beats_through(desks: list[Desk], held: tuple[int, str], for_s: float) -> None:
    """Beats at each desk in turn; every one is answered as by a service that knows the time."""

    def beat() -> float:
        for desk in desks:
            assert desk.beat(held).json() | {"until": None} == {
                "until": None,
                "duration_s": LEASE_S,
                "heartbeat_s": LEASE_S / 3,
                "cancel": False,
                "action": "continue",
                "reason": "",
            }
        return time.monotonic() - began

    began = time.monotonic()
    until(beat, lambda passed: passed > for_s, every_s=BEAT_S)


def until_it_is_taken_away(desk: Desk, trial: int) -> float:
    """Seconds until the lease of a worker that died has ended."""
    began = time.monotonic()
    until(lambda: desk.state(trial) != "running", every_s=BEAT_S)
    return time.monotonic() - began


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    with ExitStack() as opened:
        yield opened


@pytest.mark.slow
@pytest.mark.backends("postgresql")
def test_services_whose_clocks_are_hours_apart_and_are_set_agree_on_every_lease(
    database_url, tmp_path, stack
):
    desks, clocks = [], []
    for number, hours in enumerate((5.0, -7.0)):
        clocks.append(Clock(tmp_path / f"clock{number}", hours))
        assert clocks[-1].now() == pytest.approx(time.time() + hours * 3600, abs=60)
        stack.enter_context(service(database_url, port := free_port(), clocks[-1]))
        desks.append(Desk(port))
    ahead, behind = desks
    ahead.queue(3)
    # Each service's reaper looks at the leases the other gave, for longer than these last.
    held = ahead.claim("w1")
    beats_through(desks, held, LEASE_S + 1)
    for clock, hours in zip(clocks, (-9.0, 11.0), strict=True):
        clock.set(hours)
    beats_through(desks, held, LEASE_S + 1)
    assert behind.finish(held).status_code == 200
    assert ahead.attempts(held[0]) == 1
    # One that died is noticed in its time, whoever looks.
    dead = behind.claim("w2")
    assert until_it_is_taken_away(ahead, dead[0]) > LEASE_S - 1


def test_a_clock_that_is_set_under_an_embedded_database_takes_no_lease_and_leaves_none_stuck(
    database_url, tmp_path, stack
):
    clock = Clock(tmp_path / "clock", 0.0)
    stack.enter_context(service(database_url, port := free_port(), clock))
    desk = Desk(port)
    desk.queue(3)
    held = desk.claim("w1")
    for hours in (2.0, -2.0):
        dead = desk.claim("w2")
        clock.set(hours)
        # Its file is this machine's clock's: a lease goes on, and a dead worker's ends soon.
        beats_through([desk], held, LEASE_S + 1)
        until_it_is_taken_away(desk, dead[0])
        desk.post(f"/trials/{dead[0]}/cancel").raise_for_status()
    assert desk.finish(held).status_code == 200
    assert desk.attempts(held[0]) == 1


def test_a_worker_whose_clock_is_hours_off_works_as_any_other(database_url, tmp_path, stack):
    port = free_port()
    stack.enter_context(serving.service(database_url, port))
    desk = Desk(port)
    body = study_body(name="chaos", lease_s=LEASE_S, budget=6, strategy="random")
    body["benchmarks"] = [{"name": "score", "group": "out", "samples": 100}]
    desk.post("/studies", **body).raise_for_status()
    workers = []
    for number, hours in enumerate((13.0, -13.0)):
        arguments = [f"http://127.0.0.1:{port}", f"w{number}", str(tmp_path / "ledger"), "0"]
        workers.append(
            subprocess.Popen(
                [sys.executable, "-m", "bench.chaos_worker", *arguments],
                env=os.environ | Clock(tmp_path / f"clock{number}", hours).environment,
            )
        )
        stack.callback(workers[-1].kill)
    assert [worker.wait(45) for worker in workers] == [0, 0]
    trials = desk.http.get("/studies/chaos/trials").json()["trials"]
    assert [(trial["state"], trial["attempts"]) for trial in trials] == [("completed", 1)] * 6
