"""What the service answers is what its OpenAPI description says, whatever is asked."""

from __future__ import annotations

import functools
from typing import Any

import pytest

from db import keys
from service.app import create_app
from service.settings import Settings
from tests.support import LONG_S, contract
from tests.support.visits import Service

pytestmark = pytest.mark.timeout(LONG_S)


PARTS = (
    frozenset({"studies", "owners", "probes", "fleets", "surrogates"}),
    frozenset({"trials", "workers"}),
)
"""The interface by the tags of its calls: two halves, of which each takes some ten seconds."""

ALIKE = ("PATCH /studies/{study}", "POST /studies/{study}/clone")
"""Their bodies have the fields of `POST /studies`, and each bound of these is tried there. Those of
the two are tried on PostgreSQL, which is `slow`."""


@functools.cache
def paths() -> dict[str, Any]:
    """Calls that are offered, by their address and method."""
    described: dict[str, Any] = create_app().openapi()["paths"]
    return described


def operations() -> list[frozenset[str]]:
    """The tags of each call that is offered."""
    return [frozenset(call["tags"]) for calls in paths().values() for call in calls.values()]


def test_every_call_is_in_a_part():
    assert all(sum(tags <= part for part in PARTS) == 1 for tags in operations())
    for method, path in map(str.split, ALIKE):
        assert method.lower() in paths()[path]


@pytest.mark.parametrize("part", PARTS, ids=["studies", "trials"])
@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
def test_no_made_up_call_is_answered_against_the_description(backend, database_url, tmp_path, part):
    service = Service(Settings(database_url=database_url, calls_per_s=0.0))
    service.start()
    try:
        contract.fill(service.url)
        found = contract.run(
            service.url,
            tmp_path,
            examples=1,
            seed=1,
            phases="examples,coverage,fuzzing",
            tags=sorted(part),
            some_of=ALIKE if backend == "sqlite" else (),
        )
    finally:
        service.stop()
    assert found.failures == {}, found.said
    assert found.operations == sum(tags <= part for tags in operations())
    assert found.cases > 500


@pytest.mark.slow
def test_neither_are_those_of_who_may_not_do_everything_and_calls_too_often(
    database_url, database, tmp_path
):
    own = "k" * 32
    with database.write() as session:
        key = keys.create(session, "caller", "worker")
    # The first hundred calls pass, most others do not.
    service = Service(Settings(database_url=database_url, api_key=own, calls_per_s=50.0))
    service.start()
    try:
        contract.fill(service.url, own)
        found = contract.run(service.url, tmp_path, examples=1, seed=1, phases="coverage", key=key)
    finally:
        service.stop()
    assert found.failures == {}, found.said
    assert found.cases > 300
