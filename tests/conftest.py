"""How tests run: what they share, how long each may take, and which process it goes to."""

from __future__ import annotations

import os

# Before a library reads them. One thread a process: on tiny problems, and beside other tests, more
# only wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gc
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from tests.support import LONG_S, warm
from tests.support.schedule import COLLECTED, Schedule, dear, shared_by

SLOW_S = 600

# Cycles are looked for seldom: there are few, and Python takes all that a test makes for a reason
# to look again and again. Before the first test never: what is imported and collected stays.
gc.set_threshold(50_000, 20, 50)
gc.disable()

# How many examples a property is tried on. The same ones every time, but before a release: a change
# should not fail for what was there before it.
_ALWAYS = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("quick", max_examples=8, derandomize=True, **_ALWAYS)
settings.register_profile("ci", max_examples=20, derandomize=True, **_ALWAYS)
settings.register_profile("slow", max_examples=500, print_blob=True, **_ALWAYS)
settings.load_profile("ci")


def pytest_configure(config: pytest.Config) -> None:
    """Processes that run tests have the fixtures, which import most of this project. The one that
    hands tests out to them has what they share: what forks commands, which imports all of it."""
    if getattr(config.option, "numprocesses", None) and not hasattr(config, "workerinput"):
        warm.share()
    else:
        config.pluginmanager.import_plugin("tests.support.fixtures")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Slow tests, and properties tried on many examples, may take longer than others; so may those
    that share what is dear, since any of them may be the first."""
    is_wide = settings.get_current_profile_name() == "slow"
    for item in items:
        if item.get_closest_marker("slow") or is_wide:
            item.add_marker(pytest.mark.timeout(SLOW_S))
        elif shared_by(item.nodeid) and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_S))


def pytest_collection_finish(session: pytest.Session) -> None:
    """Notes what collecting imported. What that made stays to the end: the garbage collector need
    not look through it."""
    session.config.stash[COLLECTED] = dear()
    gc.freeze()
    gc.enable()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Files that share what is dear go to one process."""
    return Schedule(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `backends` run once on each of those databases."""
    marked = metafunc.definition.get_closest_marker("backends")
    if marked is not None and "backend" in metafunc.fixturenames:
        metafunc.parametrize("backend", marked.args, indirect=True)
