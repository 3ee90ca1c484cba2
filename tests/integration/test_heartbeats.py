"""Several heartbeats in one call."""

from __future__ import annotations

import pytest

from service.client import Client
from service.schemas import HeartbeatsRequest, TrialHeartbeat
from tests.support.bodies import study_body

pytestmark = pytest.mark.backends("sqlite", "postgresql")

MIXTURE = {"coco": 1.0, "lisa": 0.0, "sat": 0.0}


@pytest.fixture
def held(api):
    """Three trials that workers hold, and their tokens."""
    assert api.post("/studies", json=study_body()).status_code == 201
    found = []
    for n in range(3):
        api.post("/studies/vlm/trials", json={"mixture": MIXTURE}).raise_for_status()
        given = api.post("/trials/next", json={"worker": f"w{n}"}).json()
        found.append((given["trial"]["id"], given["lease"]["token"]))
    return found


def send(api, beats):
    answer = api.post("/heartbeats", json={"beats": beats})
    assert answer.status_code == 200, answer.text
    return answer.json()["beats"]


def test_each_heartbeat_of_a_call_is_as_one_by_itself(api, held):
    told = send(api, [{"trial": trial, "token": token, "step": 7} for trial, token in held])
    assert [(beat["trial"], beat["code"]) for beat in told] == [(trial, "") for trial, _ in held]
    (trial, token), *_ = held
    alone = api.post(f"/trials/{trial}/heartbeat", json={"token": token, "step": 8}).json()
    assert told[0]["answer"].keys() == alone.keys()
    assert [api.get(f"/trials/{trial}").json()["step"] for trial, _ in held] == [8, 7, 7]


def test_one_that_is_refused_holds_up_no_other(api, held):
    (_, token), (second, _), (third, own) = held
    told = send(
        api,
        [
            {"trial": second, "token": token},
            {"trial": 999_999, "token": token},
            {"trial": third, "token": own, "step": 3},
        ],
    )
    assert [(beat["status"], beat["code"]) for beat in told] == [
        (409, "lease-lost"),
        (404, "trial-not-found"),
        (200, ""),
    ]
    assert (
        told[0]["detail"]
        == api.post(f"/trials/{second}/heartbeat", json={"token": token}).json()["detail"]
    )
    assert told[2]["answer"]["cancel"] is False
    assert api.get(f"/trials/{third}").json()["step"] == 3


@pytest.mark.parametrize(
    "beats",
    [
        [],
        [{"trial": 1}],
        [{"token": "t" * 32}],
        [{"trial": 0, "token": "t" * 32}],
        [{"trial": 1, "token": "t" * 32, "more": 1}],
        [{"trial": 1, "token": "t" * 32}] * 65,
    ],
    ids=["none", "no token", "no trial", "no id", "unknown", "too many"],
)
@pytest.mark.backends("sqlite")
def test_what_is_no_list_of_heartbeats_is_refused(api, beats):
    answer = api.post("/heartbeats", json={"beats": beats})
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-request")


@pytest.mark.backends("sqlite")
def test_the_client_sends_several_at_once(service_url):
    with Client(service_url) as client:
        beats = [TrialHeartbeat(trial=7, token="t" * 32)]
        [told] = client.heartbeats(HeartbeatsRequest(beats=beats))
    assert (told.trial, told.answer, told.code) == (7, None, "trial-not-found")
