"""The page of one trial: its story in every state, and what can be done about it."""

from __future__ import annotations

import re

import pytest

from db import trials
from service.dashboard.charts import study as study_charts
from service.dashboard.queries import stories
from service.schemas import Measurement, StudySpec
from tests.support.dashboard import DOMAINS, HOSTILE, body, create, finish, lease, own, page, scores

UNIFORM = [0.2] * 5


def number_of(api, trial: int) -> int:
    return api.get(f"/trials/{trial}").json()["number"]


def test_a_finished_run_shows_mixture_scores_and_how_it_came(api):
    study = create(api)
    number = finish(api, study, UNIFORM, 0.3, wall_s=200, note="by hand")
    html = page(api, f"/ui/studies/{study}/trials/{number}")
    assert "coco 20%, lisa 20%" in html
    assert "<b>32.5</b>" in html
    assert "3 min 20 s" in html
    assert "<b>attached</b>" in html
    assert ">by hand</textarea>" in html
    assert 'data-act="cancel"' not in html
    assert 'data-act="retry"' not in html


def test_both_rule_sets_stand_side_by_side(api):
    study = create(api)
    official = {"benchmark": "chart", "score": 0.61, "samples": 400, "rule": "chartqa-relaxed"}
    trial, token = lease(api, study)
    result = {"token": token, "measurements": [*scores(0.3), official]}
    assert api.post(f"/trials/{trial}/result", json=result).is_success
    html = page(api, f"/ui/studies/{study}/trials/{number_of(api, trial)}")
    row = html.partition('<th scope="row">chart')[2].partition("</tr>")[0]
    assert "<b>32.0</b>" in row
    assert "chartqa-relaxed" in row.partition("<b>32.0</b>")[2]
    assert "<b>61.0</b>" in row


def test_the_timeline_tells_every_attempt_and_event(api):
    study = create(api, max_attempts=2)
    trial, token = lease(api, study, "node-1")
    failure = {"token": token, "error": "Traceback\nRuntimeError: out of memory"}
    api.post(f"/trials/{trial}/failure", json=failure)
    taken = api.post("/trials/next", json={"worker": "node-2", "study": study}).json()
    beat = {
        "token": taken["lease"]["token"],
        "step": 7,
        "total_steps": 24,
        "metrics": {"reward/coco": 0.4321, "loss": 1.5},
    }
    api.post(f"/trials/{trial}/heartbeat", json=beat)
    html = page(api, f"/ui/studies/{study}/trials/{number_of(api, trial)}")
    events = html.partition('class="timeline"')[2]
    told = [events.index(f"<b>{what}</b>") for what in ("queued", "claimed", "failed")]
    assert told == sorted(told)
    assert "<summary>RuntimeError: out of memory</summary>" in events
    assert html.index("node-1") < html.index("node-2", html.index("node-1"))
    assert "step 7 of 24" in html
    assert "coco reward <b>0.432</b>" in html
    assert "<dt>loss</dt><dd>1.5</dd>" in html


def test_scores_that_came_too_late_are_shown_as_replicates(api):
    study = create(api)
    trial, token = lease(api, study)
    for value in (0.3, 0.7):
        result = {"token": token, "measurements": scores(value), "artifacts": {"log": "run.txt"}}
        api.post(f"/trials/{trial}/result", json=result)
    html = page(api, f"/ui/studies/{study}/trials/{number_of(api, trial)}")
    replicates = html.partition("Replicates</h3>")[2]
    assert "<b>72.0</b>" in replicates
    assert "run.txt" in html


def test_scores_over_steps_become_curves_and_one_step_does_not():
    study = StudySpec.model_validate(body())
    late = [Measurement.model_validate(score | {"step": 20}) for score in scores(0.4)]
    early = [Measurement.model_validate(score | {"step": 10}) for score in scores(0.3)]
    assert study_charts.learning(study, late) is None
    figure = study_charts.learning(study, [*late, *early])
    curves = {curve["name"]: curve for curve in figure["data"]}
    assert curves["Out-Score"]["x"] == [10, 20]
    assert curves["Out-Score"]["y"] == [32.5, 42.5]
    assert curves["lisa_test"]["y"] == [30.0, 40.0]


def test_a_long_story_is_told_from_its_end(api, database):
    study = create(api)
    trial, _ = lease(api, study)
    address = f"/ui/studies/{study}/trials/{number_of(api, trial)}"
    with database.write() as session:
        for note in range(stories.EVENTS):
            trials.annotate(session, trial, f"note {note}", "user")
    events = page(api, address).partition(">Events</h3>")[2]
    assert "2 earlier ones left out" in events
    assert events.count("<b>noted</b>") == stories.EVENTS
    assert "<b>claimed</b>" not in events


def test_artifacts_of_any_size_leave_the_page_small(api):
    study = create(api)
    trial, token = lease(api, study)
    artifacts = {f"log{place}": "x" * 100_000 for place in range(9)}
    result = {"token": token, "measurements": scores(0.3), "artifacts": artifacts}
    assert api.post(f"/trials/{trial}/result", json=result).is_success
    assert len(page(api, f"/ui/studies/{study}/trials/{number_of(api, trial)}")) < 2**17


DRAWN = "As drawn, in the mean of its steps"


def test_what_an_adaptive_run_was_drawn_by_is_shown_where_it_can_be_weights(api):
    study = create(api)

    def drawn_by(told) -> str:
        trial, token = lease(api, study)
        result = {"token": token, "measurements": scores(0.3), "artifacts": {"mean_weights": told}}
        assert api.post(f"/trials/{trial}/result", json=result).is_success
        html = page(api, f"/ui/studies/{study}/trials/{number_of(api, trial)}")
        return html.partition(DRAWN)[2].partition("</svg>")[0]

    assert "25%" in drawn_by({"coco": 0.25, "lisa": 0.75})
    for told in ({"coco": 0.25, "mars": 0.75}, {"coco": 1.5}, {"coco": 1.0, "lisa": "no"}, [1.0]):
        assert drawn_by(told) == "", told


def test_hostile_text_of_a_worker_stays_text(api):
    study = create(api, max_attempts=1)
    trial, token = lease(api, study, HOSTILE)
    beat = {"token": token, "step": 1, "total_steps": 2, "metrics": {HOSTILE[:90]: 1.0}}
    assert api.post(f"/trials/{trial}/heartbeat", json=beat).is_success
    api.post(f"/trials/{trial}/failure", json={"token": token, "error": HOSTILE})
    address = f"/ui/studies/{study}/trials/{number_of(api, trial)}"
    assert api.post(f"{address}/note", json={"note": HOSTILE}, headers=own(api)).is_success
    for html in (page(api, address), api.get(f"{address}/story").json()["html"]):
        assert "&lt;script&gt;" in html
        assert "<script>document" not in html
        assert "<img src=x" not in html


def test_lists_lead_to_the_trial_and_the_trial_to_its_neighbours(api):
    study = create(api)
    numbers = [finish(api, study, UNIFORM, 0.3) for _ in range(3)]
    assert f'href="/ui/studies/{study}/trials/{numbers[1]}"' in page(api, f"/ui/studies/{study}")
    html = page(api, f"/ui/studies/{study}/trials/{numbers[1]}")
    for neighbour in (numbers[1] - 1, numbers[1] + 1):
        assert f'href="/ui/studies/{study}/trials/{neighbour}"' in html


def test_a_trial_that_is_not_there_is_a_page_that_leads_back(api):
    study = create(api)
    answer = api.get(f"/ui/studies/{study}/trials/999")
    assert answer.status_code == 404
    assert f'href="/ui/studies/{study}"' in answer.text
    assert api.get("/ui/studies/nothing/trials/1").status_code == 404
    refused = api.post(f"/ui/studies/{study}/trials/999/cancel", headers=own(api))
    assert refused.status_code == 404
    assert "999" in refused.json()["detail"]


def test_a_trial_is_cancelled_queued_again_and_noted(api):
    study = create(api)
    trial, _ = lease(api, study)
    address = f"/ui/studies/{study}/trials/{number_of(api, trial)}"
    assert 'data-act="cancel"' in page(api, address)
    assert api.post(f"{address}/cancel", headers=own(api)).json() == {"state": "cancelled"}
    assert 'data-act="retry"' in page(api, address)
    assert api.post(f"{address}/retry", headers=own(api)).json() == {"state": "queued"}
    assert api.post(f"{address}/note", json={"note": "twice"}, headers=own(api)).is_success
    assert api.get(f"/trials/{trial}").json()["note"] == "twice"
    events = page(api, address).partition('class="timeline"')[2]
    for what in ("cancelled", "retried", "noted"):
        assert f"<b>{what}</b>" in events


def paused(api, study: str, **more) -> tuple[str, int]:
    """Address and id of a trial that paused at step 500 with its scores there."""
    trial, token = lease(api, study)
    there = [measured | {"step": 500} for measured in scores(0.3)]
    api.post(f"/trials/{trial}/heartbeat", json={"token": token, "step": 499, "total_steps": 2000})
    body = {"token": token, "step": 500, "measurements": there} | more
    assert api.post(f"/trials/{trial}/partial", json=body).json()["state"] == "paused"
    return f"/ui/studies/{study}/trials/{number_of(api, trial)}", trial


def buttons(html: str) -> list[str]:
    return re.findall(r'data-act="([a-z]+)"', html)


def test_a_paused_trial_says_where_it_stands_since_when_and_what_it_scored_there(api):
    study = create(api)
    address, trial = paused(api, study)
    html = page(api, address)
    told = html.partition("Paused at step 500")[2].partition("</p>")[0]
    attempt = api.get(f"/trials/{trial}").json()
    assert ", <time datetime=" in told
    assert "<b>32.5</b>" in told
    assert attempt["scores"]["objective"]["value"] == pytest.approx(0.325)
    assert '<span class="pill paused">paused</span>' in html
    assert buttons(html) == ["continue", "stop", "cancel"]
    row = page(api, f"/ui/studies/{study}").partition('id="rows"')[2]
    assert "paused at step 500 of 2,000" in row


def test_a_pause_without_scores_says_so(api):
    address, _ = paused(api, create(api), measurements=[])
    assert "It was not scored there." in page(api, address)


def test_a_trial_is_paused_continued_and_stopped_by_hand(api):
    study = create(api)
    trial, token = lease(api, study, "node-1")
    address = f"/ui/studies/{study}/trials/{number_of(api, trial)}"
    assert buttons(page(api, address)) == ["pause", "stop", "cancel"]
    asked = api.post(f"{address}/pause", headers=own(api))
    assert asked.json() == {"state": "asked to pause"}
    html = page(api, address)
    why = api.get(f"/trials/{trial}").json()["asked_why"]
    assert why.endswith("asked to pause it")
    assert f"It is asked to pause at its next evaluation point: {why}" in html
    assert buttons(html) == ["stop", "cancel"]
    for other in ("/ui/workers", f"/ui/studies/{study}"):
        assert f"asked to pause at its next evaluation point: {why}" in page(api, other)
    leave = {"token": token, "step": 500, "measurements": []}
    api.post(f"/trials/{trial}/partial", json=leave)
    assert api.post(f"{address}/continue", headers=own(api)).json() == {"state": "queued"}
    assert buttons(page(api, address)) == ["cancel"]
    taken = api.post("/trials/next", json={"worker": "node-2", "study": study}).json()
    api.post(f"{address}/pause", headers=own(api))
    api.post(f"/trials/{trial}/partial", json=leave | {"token": taken["lease"]["token"]})
    assert api.post(f"{address}/stop", headers=own(api)).json() == {"state": "early_stopped"}
    assert buttons(page(api, address)) == []


def test_a_trial_that_is_to_pause_at_a_step_says_at_which(api):
    study = create(api)
    mixture = dict(zip(DOMAINS, UNIFORM, strict=True))
    api.post(f"/studies/{study}/trials", json={"mixture": mixture, "stop_at": 1500})
    api.post("/trials/next", json={"worker": "node-1", "study": study})
    number = api.get(f"/studies/{study}/trials?state=running").json()["trials"][0]["number"]
    for place in (f"/ui/studies/{study}/trials/{number}", f"/ui/studies/{study}", "/ui/workers"):
        assert "to pause at step 1,500" in page(api, place), place


def test_paused_trials_are_counted_and_can_be_shown_alone(api):
    study = create(api)
    address, _ = paused(api, study)
    finish(api, study, UNIFORM, 0.3)
    assert ", 1 paused" in page(api, f"/ui/studies/{study}")
    assert ", 1 paused" in page(api, "/")
    alone = page(api, f"/ui/studies/{study}/trials?state=paused")
    assert re.findall(r'aria-label="Trial (\d+)"', alone) == [address.rpartition("/")[2]]


def test_a_completed_run_is_not_called_off(api):
    study = create(api)
    number = finish(api, study, UNIFORM, 0.3)
    refused = api.post(f"/ui/studies/{study}/trials/{number}/cancel", headers=own(api))
    assert refused.status_code == 409
    assert "completed" in refused.json()["detail"]


@pytest.mark.parametrize("act", ["cancel", "retry", "pause", "continue", "stop", "note"])
def test_a_page_from_elsewhere_changes_nothing(api, act):
    study = create(api)
    trial, _ = lease(api, study)
    address = f"/ui/studies/{study}/trials/{number_of(api, trial)}/{act}"
    of_another_browser = own(api)
    api.cookies.clear()
    api.cookies.set("modomodo_session", "visitor.mine")
    tokens = ({"X-CSRF-Token": token} for token in ("", "0" * 64))
    for sent in ({}, *tokens, of_another_browser):
        refused = api.post(address, json={"note": "owned"}, headers=sent)
        assert refused.status_code == 403, sent
        assert refused.json()["code"] == "own-page-only"
    after = api.get(f"/trials/{trial}").json()
    assert (after["state"], after["note"]) == ("running", "")


def test_a_note_is_changed_over_the_api_too(api):
    study = create(api)
    number = finish(api, study, UNIFORM, 0.3)
    trials = api.get(f"/studies/{study}/trials").json()["trials"]
    trial = next(trial for trial in trials if trial["number"] == number)
    changed = api.patch(f"/trials/{trial['id']}", json={"note": "odd"}).json()
    assert changed["note"] == "odd"
    assert changed["revision"] > trial["revision"]
    again = api.patch(f"/trials/{trial['id']}", json={"note": "odd"}).json()
    assert again["revision"] == changed["revision"]
    assert api.patch("/trials/99999", json={"note": "odd"}).status_code == 404
