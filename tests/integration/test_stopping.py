"""The service is told to stop while calls are under way: each is answered, and nothing is alarming
in the log."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import httpx
import pytest

from service import server
from service.executor.process import Inline, Stopping
from service.fitting import questions
from tests.integration.test_api_calls import attach
from tests.support.bodies import study_body
from tests.support.polling import until
from tests.support.serving import in_process

FITTED = ["/studies/vlm/best", "/studies/vlm/surrogates/auto", "/ui/studies/vlm/fits/auto"]


class Endless(Inline):
    """Diagnoses only end with the engine; one that is deaf ends long after."""

    def __init__(self, is_deaf=False):
        self.is_deaf, self.asked = is_deaf, threading.Event()
        self.stopped, self.let_go = threading.Event(), threading.Event()

    def ask(self, function, *args, **kwargs):
        if function is not questions.diagnosed:
            return super().ask(function, *args, **kwargs)
        self.asked.set()
        assert (self.let_go if self.is_deaf else self.stopped).wait(60)
        raise Stopping("the service is ending")

    def stop(self):
        self.stopped.set()


@contextmanager
def serving(settings, engine, grace_s):
    """The service as `modomodo serve` runs it, in a thread; a client, and how to stop it."""
    app = in_process(settings, engine)
    options = {"host": "127.0.0.1", "port": 0, "log_level": "warning"}
    running = server.Server(app, **options, fits_s=0.01, timeout_graceful_shutdown=grace_s)
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    until(lambda: running.started)
    port = running.servers[0].sockets[0].getsockname()[1]

    def stop():
        running.handle_exit(signal.SIGTERM, None)
        running.handle_exit(signal.SIGINT, None)  # whoever is impatient changes nothing
        thread.join(30)

    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        client.post("/studies", json=study_body(budget=1))
        client.patch("/studies/vlm", json={"state": "paused"})
        attach(client, {"coco": 1.0}, 0.5)
        yield client, stop
    stop()
    engine.let_go.set()


def is_stopping_problem(answer):
    assert answer.headers["content-type"] == "application/problem+json"
    assert int(answer.headers["retry-after"]) >= 1
    return (answer.status_code, answer.json()["code"]) == (503, "stopping")


@pytest.mark.parametrize("path", FITTED)
@pytest.mark.parametrize("is_deaf", [False, True], ids=["fit ended", "call cut off"])
def test_a_call_that_waits_for_a_fit_when_the_service_stops_hears_so(
    app_settings, monkeypatch, logged, path, is_deaf
):
    monkeypatch.setattr(server.gc, "freeze", lambda: None)  # this process goes on
    engine = Endless(is_deaf)
    with (
        ThreadPoolExecutor() as pool,
        serving(app_settings, engine, grace_s=0.2 if is_deaf else 30) as (client, stop),
    ):
        answer = pool.submit(client.get, path)
        assert engine.asked.wait(30)
        stop()
        assert is_stopping_problem(answer.result())
    assert "service stopped" in logged.getvalue()
    assert "Traceback" not in logged.getvalue()
    assert ("cut off" in logged.getvalue()) == is_deaf
