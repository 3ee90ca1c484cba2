"""The more workers there are, the less often each sends a heartbeat."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from db import studies, trials
from db.models import Attempt
from db.trials import NewTrial
from service.pace import Pace
from service.schemas import StudySpec
from tests.support.bodies import study_body


def hold(database, n):
    """Leases without workers."""
    spec = StudySpec.model_validate(study_body()).model_dump(mode="json")
    with database.write() as session:
        study, _ = studies.create(session, spec, "user")
        for number in range(n):
            mixture = {"coco": 1.0, "lisa": 0.0, "sat": 0.0}
            trial, _ = trials.add(session, study, NewTrial(mixture, "queued"), "user")
            lease = {"token_hash": "", "lease_s": 60.0, "until": datetime.now(UTC)}
            session.add(Attempt(trial_id=trial.id, number=1, worker=f"w{number}", **lease))


@pytest.mark.parametrize(
    ("held", "lease_s", "wanted"),
    [(0, 120.0, 3.0), (0, 3.0, 1.0), (6, 120.0, 3.0), (10, 120.0, 5.0), (10, 9.0, 3.0)],
    ids=["nobody", "a short lease", "few", "many", "many with a short lease"],
)
def test_the_interval_grows_with_the_leases_and_stays_within_a_third_of_one(
    database, held, lease_s, wanted
):
    hold(database, held)
    found = Pace(database, beats_per_s=2.0)
    found.look()
    assert found.heartbeat_s(lease_s) == pytest.approx(wanted)


def test_every_answer_to_a_holder_says_when_to_come_again(api, monkeypatch):
    api.post("/studies", json=study_body(lease_s=120.0))
    mixture = {"coco": 1.0, "lisa": 0.0, "sat": 0.0}
    api.post("/studies/vlm/trials", json={"mixture": mixture})
    given = api.post("/trials/next", json={"worker": "w1"}).json()
    assert given["lease"]["heartbeat_s"] == 3.0
    body = {"token": given["lease"]["token"]}
    monkeypatch.setattr(api.app.state.context.pace, "_held", 2000)
    beat = api.post(f"/trials/{given['trial']['id']}/heartbeat", json=body)
    assert beat.json()["heartbeat_s"] == 10.0
