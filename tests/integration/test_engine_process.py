"""The engine in a process of its own: fast, limited, restarted, and never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import numpy as np
import psutil
import pytest

from service.executor.process import EngineFailed, EngineProcess, TookTooLong
from tests.support.polling import until


def is_gone(pid):
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


LIMIT_S = 60.0


@pytest.fixture(scope="module")
def engine():
    """What all tests here ask: each leaves one that computes."""
    made = EngineProcess(LIMIT_S, name="test")
    yield made
    made.stop()


def test_it_computes_elsewhere(engine):
    assert engine.ask(os.getpid) == engine.pid != os.getpid()
    assert engine.ask(np.add, np.ones(3), 1.0).tolist() == [2.0, 2.0, 2.0]


def test_what_a_computation_raises_is_raised_here(engine):
    with pytest.raises(ZeroDivisionError):
        engine.ask(divmod, 1, 0)
    with pytest.raises(np.linalg.LinAlgError):
        engine.ask(np.linalg.inv, np.zeros((2, 2)))
    assert engine.ask(abs, -1) == 1


def test_a_computation_that_hangs_is_ended_and_the_next_one_works(engine, monkeypatch):
    hung = engine.ask(os.getpid)  # it is up, so the limit below is that of the computation
    monkeypatch.setattr(engine, "_limit_s", 0.2)
    with pytest.raises(TookTooLong, match=r"more than 0\.2 s .*MODOMODO_FIT_LIMIT_S"):
        engine.ask(time.sleep, 3600)
    assert is_gone(hung)
    monkeypatch.setattr(engine, "_limit_s", LIMIT_S)
    assert engine.ask(os.getpid) != hung


def test_a_process_that_died_is_replaced(engine):
    first = engine.ask(os.getpid)
    os.kill(first, signal.SIGKILL)
    until(lambda: engine.pid is None)
    engine.start()
    assert engine.ask(os.getpid) != first


def test_one_that_dies_in_the_middle_is_said_to_have(engine):
    engine.ask(abs, 1)
    with pytest.raises(EngineFailed, match="killed by SIGKILL"):
        engine.ask(os.kill, engine.pid, signal.SIGKILL)
    assert engine.ask(abs, -1) == 1


def test_when_the_service_is_killed_the_process_ends_too_even_during_a_computation():
    code = (
        "import os, threading, time\n"
        "from service.executor.process import EngineProcess\n"
        "engine = EngineProcess(3600.0, 'test')\n"
        "print(engine.ask(os.getpid), flush=True)\n"
        "engine.ask(time.sleep, 3600)\n"
    )
    service = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert service.stdout is not None
    pid = int(service.stdout.readline())
    os.kill(service.pid, signal.SIGKILL)
    service.wait()
    until(lambda: is_gone(pid))  # not left behind
