"""SIGTERM while there is work: what was begun is finished, what was answered is kept."""

from __future__ import annotations

import json
import signal
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import httpx
import psutil
import pytest
from sqlalchemy import select

from db.models import Study, Trial
from modomodo.local import free_port
from tests.acceptance.test_service_processes import fitted_to, proposer_of, queue
from tests.support.bodies import scores, study_body
from tests.support.polling import until
from tests.support.serving import service
from tests.support.warm import Command

BUSY = 8
"""Workers that call without a pause."""


def work_until_it_ends(url: str, worker: str, taken: list[int]) -> None:
    """Takes trials and finishes them until nobody answers; notes those whose result was taken."""
    with httpx.Client(base_url=url, timeout=30) as client, suppress(httpx.TransportError):
        while True:
            leased = client.post("/trials/next", json={"worker": worker})
            assert leased.is_success, leased.text
            trial, lease = leased.json()["trial"], leased.json()["lease"]
            if trial is None:
                continue
            body = {"token": lease["token"], "measurements": scores()}
            done = client.post(f"/trials/{trial['id']}/result", json=body)
            assert done.is_success, done.text
            taken.append(trial["id"])


def is_listening(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def ends(process: Command, within_s: float) -> None:
    """The service ends without an error, and so do the processes it computes in."""
    computing = psutil.Process(process.pid).children(recursive=True)
    assert computing, "proposals have a process of their own"
    process.send_signal(signal.SIGTERM)
    assert process.wait(within_s) == 0
    assert psutil.wait_procs(computing, timeout=30)[1] == []


@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
def test_under_load_sigterm_loses_no_answer_and_leaves_no_process(database_url, database):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    taken: list[int] = []
    # The service ends before the pool does, whatever fails: workers go on until then.
    with ThreadPoolExecutor(BUSY) as pool, service(database_url, port) as process:
        with httpx.Client(base_url=url, timeout=30) as client:
            queue(client, 100)
        workers = [pool.submit(work_until_it_ends, url, f"w{i}", taken) for i in range(BUSY)]
        until(lambda: len(taken) >= 10)
        ends(process, within_s=30)
        for worker in workers:
            worker.result()
    with database.read() as session:
        completed = session.scalars(select(Trial.id).where(Trial.state == "completed"))
        assert set(taken) <= set(completed)


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
            until(lambda: not is_listening(port))
            line.sendall(body)
            assert line.recv(100).startswith(b"HTTP/1.1 201")
        assert process.wait(30) == 0
    with database.read() as session:
        assert session.scalars(select(Study.name)).all() == ["late"]


def test_sigterm_does_not_wait_for_a_fit(database_url, database):
    port = free_port()
    with service(database_url, port) as process:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            fitted_to(client, 5)
            [fitting] = psutil.Process(process.pid).children()
            fitting.suspend()  # a fit without end
            client.patch("/studies/vlm", json={"state": "active"}).raise_for_status()
        until(lambda: proposer_of(database))
        ends(process, within_s=30)
    with database.read() as session:
        unfinished = session.scalars(select(Trial.id).where(Trial.state != "completed"))
        assert unfinished.all() == [], "the fit was cut short"
