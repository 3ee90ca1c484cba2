"""The page where a study is changed: only what was touched, with the API's messages."""

from __future__ import annotations

import html
import re

import pytest

from service.dashboard import edit_form, study_form
from service.dashboard.form_fields import FormFields
from tests.support.bodies import scores
from tests.support.dashboard import body, own, page

STUDY = body(
    domains=("coco", "lisa", "sat"),
    limits=[{"weights": {"coco": 1 / 3, "lisa": 1.0}, "at_most": 0.9}],
    max_active=2,
    reach={"steps": 10, "prompts_per_step": 2},
    note="first",
)


@pytest.fixture
def client(api):
    api.app.state.context.proposer.stop()
    api.follow_redirects = False
    assert api.post("/studies", json=STUDY).status_code == 201
    return api


def fields(text):
    """The form as a browser would send it."""
    form = text[text.index('<form id="change-study"') :]
    form = re.sub(r"<template.*?</template>", "", form[: form.index("</form>")], flags=re.DOTALL)
    inputs = {}
    for tag in re.findall(r"<input[^>]*>", form):
        name, value = (re.search(rf' {part}="([^"]*)"', tag) for part in ("name", "value"))
        inputs[name[1]] = html.unescape(value[1])
    area = r'<textarea (?:"[^"]*"|[^">])*name="([^"]+)"(?:"[^"]*"|[^">])*>(.*?)</textarea>'
    for name, text in re.findall(area, form, re.DOTALL):
        inputs[name] = html.unescape(text).replace("\n", "\r\n")
    for name, options in re.findall(r'<select [^>]*name="([^"]+)".*?>(.*?)</select>', form, re.S):
        found = re.search(r'value="([^"]*)"[^>]* selected', options)
        inputs[name] = found[1] if found else re.search(r'value="([^"]*)"', options)[1]
    return inputs


def save(client, **changes):
    typed = fields(page(client, "/ui/studies/vlm/change"))
    typed |= {path.replace("__", "."): text for path, text in changes.items()}
    return client.post("/ui/studies/vlm/change", data=typed, headers=own(client))


def told(client):
    return [c["changes"] for c in client.get("/studies/vlm/changes").json()["changes"]]


def test_the_form_is_filled_in_and_saved_as_it_is_changes_nothing(client):
    before = client.get("/studies/vlm").json()
    typed = fields(page(client, "/ui/studies/vlm/change"))
    assert (typed["name"], typed["budget"], typed["note"]) == ("vlm", "12", "first")
    assert typed["limits.0"] == "0.333333*coco + lisa <= 0.9"
    assert (typed["domains.0.lower"], typed["domains.0.upper"]) == ("0", "1")
    answer = save(client)
    assert answer.status_code == 303
    assert client.get("/studies/vlm").json() == before
    assert told(client) == []


def test_what_was_touched_is_changed_and_nothing_else(client):
    answer = save(client, budget="20", domains__0__upper="0.5", max_active="")
    assert answer.headers["Location"] == "/ui/studies/vlm"
    (change,) = told(client)
    assert change == {
        "budget": [12, 20],
        "domains.coco.upper": [1.0, 0.5],
        "max_active": [2, None],
    }


def test_what_the_search_spends_on_and_is_after_is_filled_in_and_changed(client):
    goals = {
        "objectives": ["out_score", "in_score"],
        "constraints": [
            {"benchmark": "in_score", "at_least": "uniform - 0.02", "probability": 0.8},
            {"benchmark": "out_score", "at_least": 0.25, "probability": 0.9},
        ],
    }
    assert client.patch("/studies/vlm", json=goals).status_code == 200
    before, known = client.get("/studies/vlm").json(), len(told(client))
    typed = fields(page(client, "/ui/studies/vlm/change"))
    assert typed["objectives"] == "out_score, in_score"
    assert save(client, note="first").status_code == 303
    assert client.get("/studies/vlm").json() == before
    assert len(told(client)) == known
    save(client, constraints="out_score >= 0.3", objectives="")
    after = client.get("/studies/vlm").json()
    assert after["objectives"] == []
    assert [floor["at_least"] for floor in after["constraints"]] == [0.3]


def test_channels_and_early_stopping_that_are_not_touched_stay(client):
    more = {
        "name": "parts",
        "strategy": "auto",
        "recipe": {
            "backend": "command",
            "command": {"script": "train"},
            "steps": 20,
            "evaluation": {"at": [5, 10]},
        },
        "search": {"channels": ["full", "step-5", "step-10"], "early_stopping": True},
    }
    assert client.post("/studies", json=STUDY | more).status_code == 201
    url = "/ui/studies/parts/change"
    typed = fields(page(client, url))
    assert (typed["search.steps"], typed["search.early_stopping"]) == ("5 10", "yes")
    client.post(url, data=typed | {"note": "second"}, headers=own(client))
    study = client.get("/studies/parts").json()
    assert (study["note"], study["search"]) == ("second", more["search"] | {"schedule": None})
    client.post(url, data=fields(page(client, url)) | {"search.steps": "10"}, headers=own(client))
    search = client.get("/studies/parts").json()["search"]
    assert search == {"channels": ["full", "step-10"], "early_stopping": True, "schedule": None}


def test_weight_and_what_workers_must_have_are_shown_and_changed(client):
    needs = {"gpus": 4, "gpu_memory_gb": None, "labels": {"pool": "a100"}}
    assert client.patch("/studies/vlm", json={"weight": 2, "requires": needs}).status_code == 200
    before = client.get("/studies/vlm").json()
    typed = fields(page(client, "/ui/studies/vlm/change"))
    assert (typed["weight"], typed["requires"]) == ("2", "gpus=4\r\nlabel:pool=a100")
    assert save(client).status_code == 303
    assert client.get("/studies/vlm").json() == before
    save(client, weight="0.5", requires="gpu_memory_gb=80")
    after = client.get("/studies/vlm").json()
    assert after["weight"] == 0.5
    assert after["requires"] == {"gpus": None, "gpu_memory_gb": 80, "labels": {}}
    save(client, requires="")
    assert client.get("/studies/vlm").json()["requires"]["gpu_memory_gb"] is None
    wrong = save(client, requires="gpu=4")
    assert wrong.status_code == 200
    assert "nothing that workers have" in wrong.text


def test_what_another_changed_meanwhile_stays(client):
    typed = fields(page(client, "/ui/studies/vlm/change"))
    client.patch("/studies/vlm", json={"lookahead": 7})
    typed["note"] = "second"
    client.post("/ui/studies/vlm/change", data=typed, headers=own(client))
    study = client.get("/studies/vlm").json()
    assert (study["lookahead"], study["note"]) == (7, "second")


def test_a_row_that_is_taken_out_drops_the_domain_and_a_new_one_adds_one(client):
    save(client, domains__2__name="geo")
    domains = client.get("/studies/vlm").json()["domains"]
    assert [(d["name"], d["upper"]) for d in domains] == [
        *(("coco", 1.0), ("lisa", 1.0), ("sat", 0.0), ("geo", 1.0)),
    ]


def test_an_objective_of_ones_own_is_weighed_on_the_form(client):
    save(client, objective__name="ours", benchmarks__2__weight="2", benchmarks__3__weight="1")
    objective = client.get("/studies/vlm").json()["objective"]
    assert (objective["name"], objective["weights"]) == ("ours", {"chart": 2.0, "info": 1.0})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"domains__1__lower": "lots"}, "domain 2, least"),
        ({"domains__1__lower": "0.9", "domains__1__upper": "0.1"}, "lower weight 0.9 is above"),
        ({"budget": ""}, "is empty; say what it is to be"),
        ({"limits__0": "coco + geo <= 1"}, "is not of the form"),
        ({"limits__0": "coco + lisa + sat <= 0.5"}, "no mixture satisfies all of"),
        ({"strategy": "guess"}, "unknown strategy"),
    ],
)
def test_what_is_wrong_is_said_in_the_apis_words_and_what_was_typed_stays(client, changes, said):
    answer = save(client, note="typed", **changes)
    assert answer.status_code == 200
    assert said in html.unescape(answer.text)
    assert 'value="typed"' in answer.text
    assert told(client) == []


def test_a_study_is_renamed_on_the_form(client):
    assert save(client, name="vlm-2b").headers["Location"] == "/ui/studies/vlm-2b"
    assert "vlm-2b" in page(client, "/ui/studies/vlm-2b/change")


def test_a_study_is_paused_resumed_and_finished_on_its_page(client):
    for state in ("paused", "active", "finished"):
        sent = {"state": state}
        client.post("/ui/studies/vlm/state", data=sent, headers=own(client))
        assert client.get("/studies/vlm").json()["state"] == state
    wrong = client.post("/ui/studies/vlm/state", data={"state": "asleep"}, headers=own(client))
    assert wrong.status_code == 422


def test_a_study_is_deleted_where_its_name_is_typed(client):
    wrong = client.post("/ui/studies/vlm/delete", data={"confirm": "vml"}, headers=own(client))
    assert "the study is called" in wrong.text
    assert client.get("/studies/vlm").status_code == 200
    archive = client.get("/ui/studies/vlm/archive")
    assert archive.json()["study"]["name"] == "vlm"
    gone = client.post("/ui/studies/vlm/delete", data={"confirm": "vlm"}, headers=own(client))
    assert gone.headers["Location"] == "/"
    assert client.get("/studies/vlm").status_code == 404


def test_a_study_is_cloned_whole_and_waits_to_be_changed(client):
    client.patch("/studies/vlm", json={"heuristics": {"alpha_single": 2.0}})
    sent = {"clone": "vlm-7b"}
    made = client.post("/ui/studies/vlm/clone", data=sent, headers=own(client))
    assert made.headers["Location"] == "/ui/studies/vlm-7b/change"
    study = client.get("/studies/vlm-7b").json()
    assert (study["state"], study["heuristics"]["alpha_single"]) == ("paused", 2.0)
    for name, said in (("../x", "is no name"), ("vlm", "exists with another")):
        wrong = client.post("/ui/studies/vlm/clone", data={"clone": name}, headers=own(client))
        assert said in html.unescape(wrong.text)


def test_changes_are_listed_and_marked_on_the_chart_of_progress(client):
    run = {"mixture": {"coco": 1.0}, "measurements": scores(0.5)}
    for item, name in zip(run["measurements"], ("chart", "info", "lisa_test"), strict=True):
        item["benchmark"] = name
    client.post("/studies/vlm/trials", json=run)
    save(client, budget="20", domains__0__upper="0.5")
    assert "<b>coco upper</b> 1 &rarr; 0.5" in page(client, "/ui/studies/vlm")
    told = client.get("/ui/studies/vlm/progress").json()
    assert told["figure"]["layout"]["shapes"][0]["x0"] == 1.5
    assert told["figure"]["layout"]["annotations"][0]["hovertext"] == "budget, coco"
    assert "budget" in told["changes"]


def test_what_cannot_be_read_of_what_was_sent_along_changes_no_more_than_was_typed():
    for text in ("", "[1]", "{", '{"a": {}}'):
        assert isinstance(edit_form.sent_along(text), FormFields)
    rows = FormFields({"limits.0": "coco <= 1", "name": "a"}, study_form.ROWS)
    assert edit_form.sent_along(edit_form.written(rows)).everything() == rows.everything()


def test_how_alike_domains_are_is_changed_as_yaml(client):
    assert save(client, similarity="coco: {lisa: 0.9}").status_code == 303
    assert client.get("/studies/vlm").json()["similarity"] == {"coco": {"lisa": 0.9}}
    typed = fields(page(client, "/ui/studies/vlm/change"))
    assert typed["similarity"].split() == ["coco:", "lisa:", "0.9"]
    assert save(client).status_code == 303
    assert len(told(client)) == 1, "saved as it is, it is no change"
    refused = save(client, similarity="coco: {geo: 0.9}")
    assert "similarity names unknown domain" in html.unescape(refused.text)
    assert save(client, similarity="").status_code == 303
    assert client.get("/studies/vlm").json()["similarity"] == {}
