"""A real service process, real worker processes, and kill -9."""

from __future__ import annotations

import http.client
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import httpx
import psutil
import pytest
from sqlalchemy import select

from db.models import Study
from db.sessions import Database
from modomodo.local import free_port
from tests.support.bodies import scores, study_body
from tests.support.polling import until
from tests.support.serving import is_ready, service
from tests.support.warm import run

TRIALS = 24


@pytest.fixture
def url(database_url) -> Iterator[str]:
    port = free_port()
    with service(database_url, port):
        yield f"http://127.0.0.1:{port}"


def queue(client: httpx.Client, n: int, **changes: object) -> None:
    """A study with `n` mixtures queued by hand, and no proposals."""
    client.post("/studies", json=study_body(budget=n, **changes)).raise_for_status()
    client.patch("/studies/vlm", json={"state": "paused"}).raise_for_status()
    queued = 0
    for trial in client.get("/studies/vlm/trials").json()["trials"]:
        client.post(f"/trials/{trial['id']}/cancel").raise_for_status()
    for i in range(n):
        mixture = {"coco": i / n, "lisa": 1 - i / n}
        answer = client.post("/studies/vlm/trials", json={"mixture": mixture})
        queued += answer.status_code == 201
    assert queued == n
    client.patch("/studies/vlm", json={"state": "active"}).raise_for_status()


def work(url: str, worker: str) -> list[int]:
    """Takes trials and finishes them until there are no more; returns their ids."""
    taken: list[int] = []
    with httpx.Client(base_url=url, timeout=30) as client:
        while True:
            answer = client.post("/trials/next", json={"worker": worker}).json()
            if answer["trial"] is None:
                if answer["retry_after_s"] is None or "running" in answer["reason"]:
                    return taken
                continue
            trial = answer["trial"]["id"]
            taken.append(trial)
            body = {"token": answer["lease"]["token"], "measurements": scores()}
            client.post(f"/trials/{trial}/result", json=body).raise_for_status()


@pytest.mark.backends("sqlite", "postgresql")
def test_four_processes_take_all_trials_and_none_is_handed_out_twice(url):
    with httpx.Client(base_url=url, timeout=30) as client:
        queue(client, TRIALS)
        with ProcessPoolExecutor(4) as pool:
            taken = list(pool.map(work, [url] * 4, [f"w{i}" for i in range(4)]))
        counts = Counter(trial for trials in taken for trial in trials)
        assert len(counts) == TRIALS
        assert set(counts.values()) == {1}
        states = client.get("/studies/vlm").json()["trials"]
    assert states["completed"] == TRIALS
    assert states["running"] == states["queued"] == 0


@pytest.mark.backends("sqlite", "postgresql")
def test_a_result_is_kept_when_the_service_is_killed_before_its_answer_arrives(database_url):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with service(database_url, port) as process, httpx.Client(base_url=url, timeout=30) as client:
        queue(client, 1)
        leased = client.post("/trials/next", json={"worker": "w1"}).json()
        trial = leased["trial"]["id"]
        body = {"token": leased["lease"]["token"], "measurements": scores(0.25)}
        with socket.create_connection(("127.0.0.1", port)) as line:
            # The request goes out and nobody reads the answer.
            request = client.build_request("POST", f"/trials/{trial}/result", json=body)
            head = "".join(f"{k}: {v}\r\n" for k, v in request.headers.items())
            line.sendall(
                f"POST /trials/{trial}/result HTTP/1.1\r\n{head}\r\n".encode() + request.content
            )
            until(lambda: client.get(f"/trials/{trial}").json()["state"] == "completed")
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    with service(database_url, port), httpx.Client(base_url=url, timeout=30) as client:
        again = client.post(f"/trials/{trial}/result", json=body)
        assert again.status_code == 200, "the worker did not hear, so it sends it again"
        shown = client.get(f"/trials/{trial}").json()
    assert shown["state"] == "completed"
    assert [m["score"] for m in shown["measurements"]] == [0.25] * 3
    assert shown["replicates"] == []


def test_a_lease_survives_a_restart_of_the_service(database_url):
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    with service(database_url, port), httpx.Client(base_url=url, timeout=30) as client:
        queue(client, 1, lease_s=1.0)
        leased = client.post("/trials/next", json={"worker": "w1"}).json()
        leased_at = time.monotonic()
    until(lambda: time.monotonic() > leased_at + 1.5)
    trial, token = leased["trial"]["id"], leased["lease"]["token"]
    # The lease ended while there was no service to extend it.
    with service(database_url, port), httpx.Client(base_url=url, timeout=30) as client:
        beat = client.post(f"/trials/{trial}/heartbeat", json={"token": token, "step": 2})
        assert beat.status_code == 200
        assert client.get(f"/trials/{trial}").json()["state"] == "running"


def proposer_of(database: Database) -> str | None:
    """Who computes proposals for the study now."""
    with database.read() as session:
        return session.scalar(select(Study.proposer))


def fitted_to(client: httpx.Client, n: int) -> None:
    """A study of many domains with `n` runs, for the default strategy."""
    names = [f"d{i}" for i in range(17)]
    domains = [{"name": name} for name in names]
    client.post("/studies", json=study_body(domains=domains, strategy="auto", budget=n + 100))
    client.patch("/studies/vlm", json={"state": "paused"})
    rng = random.Random(0)
    for _ in range(n):
        drawn = [rng.expovariate(1.0) for _ in names]
        mixture = dict(zip(names, (x / sum(drawn) for x in drawn), strict=True))
        value = 0.3 + 0.5 * mixture["d0"] + rng.gauss(0, 0.02)
        body = {"mixture": mixture, "measurements": scores(value)}
        client.post("/studies/vlm/trials", json=body).raise_for_status()


def test_calls_are_answered_while_a_model_is_fitted(database_url, database):
    port = free_port()
    with (
        service(database_url, port) as process,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        fitted_to(client, 25)
        [fitting] = psutil.Process(process.pid).children()
        fitting.suspend()  # a fit that takes as long as this test likes
        client.patch("/studies/vlm", json={"state": "active"}).raise_for_status()
        until(lambda: proposer_of(database))
        answer = client.post("/trials/next", json={"worker": "w"}).json()
        assert answer["trial"] is None
        assert answer["retry_after_s"] > 0
        assert client.get("/studies/vlm").json()["trials"]["completed"] == 25
        fitting.resume()
        trial = until(lambda: client.post("/trials/next", json={"worker": "w"}).json()["trial"])
    assert trial["proposal"]["strategy"] != "seed", trial["proposal"]


def test_a_fit_that_hangs_is_ended_and_seeds_keep_the_workers_busy(database_url, monkeypatch):
    monkeypatch.setenv("MODOMODO_FIT_LIMIT_S", "0.001")
    with (
        service(database_url, port := free_port()),
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client,
    ):
        # A space of so many parts that even random mixtures of it take half a second: an engine may
        # answer a small question before anybody has looked whether it did.
        domains = [{"name": f"d{i}", "zero_or_at_least": 0.05} for i in range(40)]
        large = study_body(domains=domains, max_active=6, budget=500, lookahead=500)
        assert client.post("/studies", json=large).is_success
        until(
            lambda: client.post("/trials/next", json={"worker": "w"}).json(),
            lambda answer: "more than 0.001 s" in (answer["reason"] or ""),
        )
        assert client.get("/readyz").json()["proposing"] == "failing for 1 study"


def test_the_service_starts_without_the_learning_libraries(database_url):
    port = free_port()
    command = [sys.executable, "-m", "modomodo", "serve", "--port", str(port)]
    process = subprocess.Popen([*command, "--database", database_url], stderr=subprocess.DEVNULL)
    try:
        until(lambda: process.poll() is not None or is_ready(port))
        mapped = Path(f"/proc/{process.pid}/maps").read_text()
    finally:
        process.kill()
        process.wait()
    assert "libcrypto" in mapped, "what it does map is seen"
    assert "libtorch" not in mapped
    assert "/scipy/stats/" not in mapped


@pytest.mark.backends("sqlite")
def test_what_is_no_http_and_addresses_without_end_are_refused_as_problems_too(url):
    said = (
        b"GET /readyz?" + b"a" * 70_000 + b" HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",  # TLS begins so
    )
    at = httpx.URL(url)
    for bytes_ in said:
        with socket.create_connection((at.host, at.port), timeout=30) as line:
            line.sendall(bytes_)
            answer = http.client.HTTPResponse(line)
            answer.begin()
            assert answer.status == 400
            assert answer.headers["Content-Type"] == "application/problem+json"
            problem = json.loads(answer.read())
            assert problem["code"] == "malformed-request"
            assert "65,535 bytes" in problem["detail"]
    assert httpx.get(f"{url}/readyz", timeout=30).is_success


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--host", "0.0.0.0"], "MODOMODO_API_KEY"),  # noqa: S104
        (["--database", "nonsense"], "sqlite:///"),
        (["--database", "sqlite:////proc/no/such/place.db"], "cannot use the database"),
    ],
)
def test_a_service_that_cannot_start_says_why_in_one_line(tmp_path, monkeypatch, arguments, words):
    monkeypatch.delenv("MODOMODO_API_KEY", raising=False)
    ended = run("serve", *arguments, folder=tmp_path)
    assert ended.returncode == 1
    assert words in ended.stderr.replace("\n", " ")
    assert "Traceback" not in ended.stderr


def test_an_address_that_is_taken_is_said_to_be(tmp_path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        ended = run("serve", "--port", str(port), folder=tmp_path)
    assert ended.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in ended.stderr
    assert "address already in use" in ended.stderr
