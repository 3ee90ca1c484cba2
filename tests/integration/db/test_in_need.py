"""Which studies want proposals, asked of all at once."""

from __future__ import annotations

import itertools

import pytest
from sqlalchemy import insert, update

from db import proposal_needs, studies
from db.models import Study, Trial
from service.schemas import StudySpec
from tests.support.bodies import study_body

pytestmark = pytest.mark.backends("sqlite", "postgresql")

BUDGET, LOOKAHEAD = 5, 2


def store(
    session, name, *, n_queued=0, n_running=0, n_done=0, n_stale=0, n_parts=0, share=1.0, **changes
):
    body = study_body(name=name, budget=BUDGET, lookahead=LOOKAHEAD)
    study, _ = studies.create(session, StudySpec.model_validate(body).model_dump(mode="json"), "me")
    kinds = ["queued"] * n_queued + ["running"] * n_running + ["completed"] * n_done
    kinds += ["paused"] * n_parts
    rows = [
        {
            "study_id": study.id,
            "number": number,
            "state": state,
            "origin": "proposed",
            "mixture": {},
            "share": share if state == "paused" else 1.0,
            "seed": 0,
            "proposed_at_results": n_done - (number <= n_stale),
        }
        for number, state in enumerate([*kinds, "failed", "cancelled"], start=1)
    ]
    session.execute(insert(Trial), rows)
    session.execute(update(Study).where(Study.id == study.id).values(results=n_done, **changes))


def test_the_one_question_finds_what_each_study_says_of_itself(database):
    with database.write() as session:
        counts = itertools.product((0, 1, 2, 3), (0, 2), (0, 2, 5), (0, 1))
        for number, (queued, running, done, stale) in enumerate(counts):
            store(
                session,
                f"s{number}",
                n_queued=queued,
                n_running=running,
                n_done=done,
                n_stale=min(stale, queued),
            )
        store(session, "stuck", failing=5)
        store(session, "nearly", failing=4)
        store(session, "paused", state="paused")
        store(session, "finished", state="finished")
        store(session, "troubled", proposer_errors=3)
    with database.read() as session:
        found = proposal_needs.in_need(session)
        standings = proposal_needs.standings(session, studies.everyone(session))
    wanting = [now.study for now in standings if now.missing or now.outdated]
    assert sorted(found) == sorted(wanting)
    assert {"nearly", "troubled"} < set(found)
    assert found[-1] == "troubled", "a strategy that fails may take long"
    assert len(wanting) < len(standings) - 3


def test_parts_of_runs_count_as_such_in_the_one_question_and_in_what_each_study_says(database):
    with database.write() as session:
        parts = itertools.product(
            (0, 1, 3, 9), (0.25, 1 / 3), (0, 3), (0.0, 0.75), (None, 1.5, 4.0)
        )
        for number, (n_parts, share, done, unspent, hours) in enumerate(parts):
            store(
                session,
                f"s{number}",
                n_parts=n_parts,
                share=share,
                n_done=done,
                unspent=unspent if done else 0.0,
                gpu_hours=hours,
                gpu_s=3600.0 * 0.5 * done,
            )
        store(session, "thirds", n_parts=6, share=1 / 3, n_done=3)
        store(session, "quarters", n_parts=7, share=0.25, n_done=3)
    with database.read() as session:
        found = proposal_needs.in_need(session)
        standings = proposal_needs.standings(session, studies.everyone(session))
    wanting = [now.study for now in standings if now.missing or now.outdated]
    assert sorted(found) == sorted(wanting)
    assert len(wanting) < len(standings)
    rooms = {now.study: now.room for now in standings}
    assert (rooms["thirds"], rooms["quarters"]) == (0, 1), "with less than a run left, one more"


def test_a_study_stored_before_there_was_a_lookahead_has_the_one_it_means(database):
    with database.write() as session:
        store(session, "old", n_queued=1)
        study = studies.get(session, "old")
        study.spec = {key: value for key, value in study.spec.items() if key != "lookahead"}
    with database.read() as session:
        assert proposal_needs.in_need(session) == ["old"]
