"""Studies are listed a page at a time, however many there are and however much they have to say."""

from __future__ import annotations

import pytest

from db import studies
from service.client import Client
from service.http import paging
from service.schemas import StudySpec
from service.study import waiting
from tests.support.bodies import study_body

pytestmark = pytest.mark.backends("sqlite", "postgresql")


def store(database, n, **more):
    """Studies `s1` to `s<n>`, and their names, newest first."""
    with database.write() as session:
        for i in range(1, n + 1):
            spec = StudySpec.model_validate(study_body(f"s{i}", **more))
            studies.create(session, spec.model_dump(mode="json"), actor="test")
    return [f"s{i}" for i in range(n, 0, -1)]


def test_each_page_says_whether_there_are_older_ones(api, database):
    names = store(database, 103)
    first = api.get("/studies").json()
    assert ([study["name"] for study in first["studies"]], first["more"]) == (names[:100], True)
    rest = api.get("/studies", params={"before": names[99]}).json()
    assert ([study["name"] for study in rest["studies"]], rest["more"]) == (names[100:], False)
    assert api.get("/studies?before=s1").json() == {"studies": [], "more": False}
    assert api.get("/studies?before=nobody").json()["code"] == "study-not-found"


def test_the_client_reads_all_pages_and_none_is_long(service_url, database, monkeypatch):
    names = store(database, 12, recipe={"prompt": "p" * 100_000})
    read, sizes = paging.that_fit, []

    def that_fit(items):
        sizes.append(len(shown := read(items)))
        return shown

    monkeypatch.setattr("service.routes.studies.that_fit", that_fit)
    with Client(service_url) as client:
        assert [study.name for study in client.studies()] == names
    assert sizes == [9, 3]


def test_finished_studies_are_not_looked_at_for_why_there_is_nothing_to_do(database):
    names = store(database, 3)
    with database.write() as session:
        for name in names[:2]:
            studies.patch(session, name, "test", state="finished")
    with database.read() as session:
        assert waiting.for_a_trial(session, None)[0].startswith("study 's1'")
    with database.write() as session:
        studies.patch(session, "s1", "test", state="finished")
    with database.read() as session:
        reason, again_s = waiting.for_a_trial(session, None)
    assert reason.endswith("is finished")
    assert again_s is None
