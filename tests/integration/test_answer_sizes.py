"""No answer is long unasked, however long a study is; and none takes long that a page waits for."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.routing import APIRoute
from fastapi.testclient import TestClient

from db.sessions import Database
from service.executor.process import Inline
from service.settings import Settings
from tests.support import LONG_S
from tests.support.dashboard import store_many
from tests.support.serving import in_process

pytestmark = pytest.mark.timeout(LONG_S)

MOST = 2**20
TRIALS = 10_000

NAMED = {"study": "long", "trial": "5000", "number": "5000", "surrogate": "quadsurface"}
"""What stands for the names in addresses."""

ASKED = {
    "/ui/studies/{study}/changes": "?after=0",
    "/compare": "?study=long",
    "/ui/compare/progress": "?study=long",
    "/ui/compare/fits": "?study=long",
    "/ui/studies/{study}/curves": "?trial=5000&trial=5001",
    "/ui/studies/{study}/curves/drawn": "?trial=5000&trial=5001",
    "/ui/static/{version}/{name}": None,
    "/ui/events": None,  # never ends
    "/studies/{study}/export": None,  # asked for as a whole
    "/ui/studies/{study}/export": None,
    "/ui/studies/{study}/archive": None,
    "/ui/studies/{study}/trials.csv": None,
    "/studies/{study}/front": None,  # only studies with a goal have one
    # Fitted to 10,000 runs because somebody asked for that; a page never does.
    "/studies/{study}/best": None,
    "/studies/{study}/surrogates/{name}": None,
    "/studies/{study}/effects": None,
}
"""Addresses that want a query, or are left out."""

FIRST = ("/", "/ui/studies/{study}", "/ui/studies/{study}/progress", "/studies/{study}")
"""What the first look at a study waits for."""

LISTS = (
    "/studies/{study}/trials",
    "/trials/{trial}",
    "/ui/studies/{study}",
    "/ui/studies/{study}/changes",
    "/ui/studies/{study}/trials",
    "/ui/studies/{study}/trials/found",
    "/ui/studies/{study}/mixtures/found",
    "/ui/studies/{study}/trials/{number}",
)
"""What shows trials with all that is known of them."""

SOON_S = 1.0


def routes(parts: list[Any]) -> Iterator[APIRoute]:
    """All routes, also those of routers within routers."""
    for part in parts:
        if isinstance(part, APIRoute):
            yield part
        elif hasattr(part, "original_router"):
            yield from routes(part.original_router.routes)


def addresses(app: FastAPI, named: Mapping[str, str] = NAMED) -> dict[str, str]:
    """Every address that can be read, by its template."""
    templates = {route.path_format for route in routes(app.routes) if "GET" in route.methods}
    assert ASKED.keys() <= templates, "an address that is left out is not there any more"
    return {
        template: re.sub(r"\{(\w+)\}", lambda found: named[found[1]], template) + query
        for template in templates
        if (query := ASKED.get(template, "")) is not None
    }


@pytest.fixture(scope="module")
def long_study(
    migrated_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[TestClient]:
    """A service with a long study, for calls that change nothing."""
    file = tmp_path_factory.mktemp("long") / "modomodo.db"
    shutil.copy(migrated_file, file)
    database = Database(f"sqlite:///{file}")
    store_many(database, TRIALS)
    database.close()
    settings = Settings(database_url=f"sqlite:///{file}", upkeep_every_s=3600.0)
    with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
        yield client


@pytest.mark.slow
def test_no_answer_about_ten_thousand_trials_is_above_a_megabyte(long_study):
    found = {}
    for template, address in addresses(long_study.app).items():
        answer = long_study.get(address)
        assert answer.status_code == 200, f"{address}: {answer.text[:300]}"
        found[template] = len(answer.content)
    assert len(found) > 25
    assert {template: size for template, size in found.items() if size > MOST} == {}


def test_neither_is_one_about_trials_with_much_to_say(api, database):
    domains = [f"a-domain-with-a-long-name-{place:02}" for place in range(20)]
    rules = ("paper", "exact", "relaxed")
    store_many(database, 600, domains=domains, rules=rules, steps=(500, 1500, 2000))
    named = NAMED | {"trial": "500", "number": "500"}
    every = addresses(api.app, named)
    found = {template: len(api.get(every[template]).content) for template in LISTS}
    assert {template: size for template, size in found.items() if size > MOST} == {}


@pytest.mark.slow
def test_the_first_look_at_ten_thousand_trials_waits_for_little(long_study):
    for template in FIRST:
        address = addresses(long_study.app)[template]
        took = []
        for _ in range(4):
            began = time.perf_counter()
            long_study.get(address)
            took.append(time.perf_counter() - began)
        assert min(took) < SOON_S, f"{address} took {min(took):.2f} s"


def test_what_changed_in_a_long_study_is_all_that_is_sent(long_study):
    after = long_study.get("/studies/long/trials?after=9990").json()
    assert len(after["trials"]) == 10
    assert len(long_study.get("/ui/studies/long/changes?after=9990").content) < 50_000
