"""What the service answers is what its OpenAPI description says, whatever is asked."""

from __future__ import annotations

import pytest

from db import keys
from service.app import create_app
from service.settings import Settings
from tests.support import LONG_S, contract
from tests.support.visits import Service

pytestmark = pytest.mark.timeout(LONG_S)


ALIKE = (
    *("PATCH /studies/{study}", "POST /studies/{study}/clone"),  # `POST /studies`
    "POST /studies/{study}/trials/import",  # `POST /studies/{study}/trials`
    *("POST /trials/{trial}/partial", "POST /trials/{trial}/measurements"),  # `.../result`
    "POST /heartbeats",  # `POST /trials/{trial}/heartbeat`
    "GET /studies/{study}/demand",  # `GET /demand`
)
"""What they take has the fields of another call, and each bound of these is tried there. Theirs are
tried on PostgreSQL, which is `slow`."""


@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
def test_no_made_up_call_is_answered_against_the_description(backend, database_url, tmp_path):
    offered = create_app().openapi()["paths"]
    assert all(method.lower() in offered[path] for method, path in map(str.split, ALIKE))
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
            some_of=ALIKE if backend == "sqlite" else (),
        )
    finally:
        service.stop()
    assert found.failures == {}, found.said
    assert found.operations == sum(map(len, offered.values()))
    assert found.cases > 1000


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
