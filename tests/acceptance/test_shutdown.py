"""SIGTERM while there is work: what was begun is finished, what was answered is kept."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import threading
import time

import httpx
import psutil
import pytest
from sqlalchemy import select

from db.models import Study, Trial
from db.sessions import Database
from tests.acceptance.test_service_processes import fitted_to, free_port, queue, service
from tests.bodies import scores, study_body

BUSY = 8
"""Workers that call without a pause."""


class Fleet:
    """Workers that take and finish trials until the service is gone."""

    def __init__(self, url: str) -> None:
        self.kept: set[int] = set()
        self.refused: list[tuple[int, str]] = []
        self._url = url
        self._threads = [
            threading.Thread(target=self._work, args=(f"w{i}",), daemon=True) for i in range(BUSY)
        ]
        for thread in self._threads:
            thread.start()

    def wait(self) -> None:
        for thread in self._threads:
            thread.join(30)
            assert not thread.is_alive()

    def _work(self, worker: str) -> None:
        with httpx.Client(base_url=self._url, timeout=30) as client:
            try:
                while True:
                    self._finish_one(client, worker)
            except httpx.TransportError:
                return

    def _finish_one(self, client: httpx.Client, worker: str) -> None:
        leased = self._answer(client.post("/trials/next", json={"worker": worker}))
        if not leased or leased["trial"] is None:
            return
        trial = leased["trial"]["id"]
        body = {"token": leased["lease"]["token"], "measurements": scores(0.5)}
        if self._answer(client.post(f"/trials/{trial}/result", json=body)):
            self.kept.add(trial)

    def _answer(self, answer: httpx.Response) -> dict | None:
        if answer.is_success:
            return answer.json()
        self.refused.append((answer.status_code, answer.text))
        return None


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ends(process: subprocess.Popen[bytes], within_s: float) -> None:
    """The service ends without an error, and so do the processes it computes in."""
    computing = psutil.Process(process.pid).children(recursive=True)
    assert computing, "proposals have a process of their own"
    process.send_signal(signal.SIGTERM)
    assert process.wait(within_s) == 0
    assert psutil.wait_procs(computing, timeout=10)[1] == []


@pytest.mark.backends("sqlite", "postgresql")
def test_under_load_sigterm_loses_no_answer_and_leaves_no_process(database_url, database):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with service(database_url, port) as process:
        with httpx.Client(base_url=url, timeout=30) as client:
            queue(client, 100)
        fleet = Fleet(url)
        deadline = time.monotonic() + 30
        while len(fleet.kept) < 10:
            assert time.monotonic() < deadline
        ends(process, within_s=20)
        fleet.wait()
    assert fleet.refused == []
    with database.read() as session:
        completed = session.scalars(select(Trial.id).where(Trial.state == "completed"))
        assert fleet.kept <= set(completed)


def test_a_call_that_had_begun_is_answered_after_sigterm(database_url, database):
    port = free_port()
    body = json.dumps(study_body("late")).encode()
    head = (
        f"POST /studies HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\n\r\n"
    ).encode()
    with service(database_url, port) as process:
        with socket.create_connection(("127.0.0.1", port), timeout=30) as line:
            line.sendall(head)
            assert line.recv(100).startswith(b"HTTP/1.1 100"), "it waits for the body"
            process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + 10
            while is_listening(port):
                assert time.monotonic() < deadline
            line.sendall(body)
            assert line.recv(100).startswith(b"HTTP/1.1 201")
        assert process.wait(20) == 0
    with database.read() as session:
        assert session.scalars(select(Study.name)).all() == ["late"]


def test_sigterm_does_not_wait_for_a_fit(database_url, database):
    port = free_port()
    with service(database_url, port) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            fitted_to(client, 60)
            client.patch("/studies/vlm", json={"state": "active"})
        deadline = time.monotonic() + 30
        while not proposer_of(database):
            assert time.monotonic() < deadline, "no fit began"
        ends(process, within_s=15)
    with database.read() as session:
        unfinished = session.scalars(select(Trial.id).where(Trial.state != "completed"))
        assert unfinished.all() == [], "the fit was cut short"


def proposer_of(database: Database) -> str | None:
    with database.read() as session:
        return session.scalar(select(Study.proposer))
