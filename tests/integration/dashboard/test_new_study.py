"""The form that creates a study: the API's validation, and what was typed is kept."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from modomodo import presets
from service.executor.process import Inline
from service.schemas import StudySpec
from service.settings import Settings
from tests.support.dashboard import create, own, page, sign_in
from tests.support.serving import in_process
from trainer.benchmarks.table import BENCHMARKS
from trainer.catalog import DOMAINS
from trainer.recipe import Recipe
from trainer.tiny.study import study_spec

FILLED = {
    "name": "vlm",
    "domains.0.name": "coco",
    "domains.0.samples": "300",
    "domains.0.lower": "0.1",
    "domains.1.name": "sat",
    "domains.1.upper": "0.8",
    "benchmarks.0.name": "chartqa",
    "benchmarks.0.group": "out",
    "benchmarks.0.samples": "400",
    "benchmarks.0.base": "0.25",
    "limits.0": "coco - sat >= -0.5",
    "objective.name": "out_score",
    "objective.direction": "maximize",
    "recipe.base": "tiny",
    "recipe.steps": "12",
    "recipe.more": "evaluation: {limit: 50}",
    "strategy": "random",
    "opening": "",
    "budget": "9",
    "max_active": "",
}


@pytest.fixture
def offering(app_settings):
    app = in_process(app_settings, Inline(), presets.load())
    with TestClient(app, base_url="http://127.0.0.1", follow_redirects=False) as client:
        yield client


def send(client, **changes: str):
    fields = FILLED | {path.replace("__", "."): text for path, text in changes.items()}
    return client.post("/ui/new", data=fields, headers=own(client))


def test_what_workers_must_have_may_be_said_from_the_first(offering):
    assert send(offering, weight="3", requires="gpus=2\nlabel:pool=a100").status_code == 303
    study = offering.get("/studies/vlm").json()
    assert study["weight"] == 3
    assert study["requires"] == {"gpus": 2, "gpu_memory_gb": None, "labels": {"pool": "a100"}}


def test_a_filled_form_becomes_the_study_that_it_describes(offering):
    answer = send(offering)
    assert answer.status_code == 303
    assert answer.headers["Location"] == "/ui/studies/vlm"
    study = offering.get("/studies/vlm").json()
    assert [d["name"] for d in study["domains"]] == ["coco", "sat"]
    assert [(d["samples"], d["lower"], d["upper"]) for d in study["domains"]] == [
        (300, 0.1, 1.0),
        (None, 0.0, 0.8),
    ]
    assert study["limits"] == [
        {"weights": {"coco": 1.0, "sat": -1.0}, "at_most": None, "at_least": -0.5}
    ]
    assert study["baseline"][0]["score"] == 0.25
    assert study["budget"] == 9
    assert study["lookahead"] == StudySpec.model_fields["lookahead"].default
    recipe = Recipe.parse(study["recipe"])
    assert (recipe.model, recipe.steps, recipe.evaluation.limit) == ("tiny", 12, 50)


def test_a_study_may_spend_on_merged_models_where_its_bounds_allow_their_experts(offering):
    free = {"domains__0__lower": "", "domains__1__upper": "", "limits__0": ""}
    refused = send(offering, search__channels="full,merged")
    assert "needs a run of &#39;sat&#39; alone" in refused.text
    assert send(offering, search__channels="full,merged", **free).status_code == 303
    study = offering.get("/studies/vlm").json()
    assert study["search"]["channels"] == ["full", "merged"]


def test_steps_to_pause_at_and_early_stopping_are_typed_as_they_are_said(offering):
    refused = send(offering, search__steps="6", strategy="auto")
    assert "needs scores on the way" in refused.text
    more = {"recipe__more": "evaluation: {at: [6]}", "strategy": "auto"}
    sent = send(offering, search__steps="6", search__early_stopping="yes", **more)
    assert sent.status_code == 303, sent.text
    search = {"channels": ["full", "step-6"], "early_stopping": True, "schedule": None}
    assert offering.get("/studies/vlm").json()["search"] == search


def test_phases_of_runs_are_chosen(offering):
    sent = send(offering, search__phases="2", strategy="auto")
    assert sent.status_code == 303, sent.text
    search = offering.get("/studies/vlm").json()["search"]
    assert search["schedule"] == {"phases": 2, "shares": None}
    refused = send(offering, name="other", search__phases="2", strategy="gp")
    assert "proposes mixtures alone" in refused.text


def test_the_same_form_again_leads_to_the_study_and_another_of_its_name_is_refused(offering):
    assert send(offering).status_code == 303
    assert send(offering).status_code == 303
    other = send(offering, budget="10")
    assert other.status_code == 200
    assert re.search(r'href="#f-name">name</a>: study &#39;vlm&#39;', other.text)


@pytest.mark.parametrize(
    ("path", "typed", "said"),
    [
        ("name", "no spaces please", "is no name: letters, digits"),
        ("domains.0.lower", "1.2", "is more than 1"),
        ("domains.1.samples", "many", "not a whole number"),
        ("limits.0", "coco < 3", "is not of the form"),
        ("limits.0", "coco + cocoa <= 0.5", "is not of the form"),
        ("constraints", "chartqa > 0.1", "with &gt;= between them"),
        ("constraints", "chartqa >= best", "is not a level"),
        ("objectives", "out_score", "name two or three"),
        ("recipe.steps", "-1", "is less than 0"),
        ("recipe.more", "stepz: 3", "stepz: is not a known key"),
        ("recipe.more", "a: [", "this is not YAML"),
        ("recipe.more", "only words", "keys and values are wanted"),
        ("recipe.base", "none-such", "there are lora-24gb"),
        ("objective.name", "mine", "needs `weights`"),
        ("budget", "0", "is less than 1"),
        ("strategy", "guess", "unknown strategy"),
        ("max_active", "x", "not a whole number"),
    ],
)
def test_a_mistake_is_said_and_everything_typed_is_kept(untouched, path, typed, said):
    answer = untouched.post("/ui/new", data=FILLED | {path: typed}, headers=own(untouched))
    assert answer.status_code == 200
    assert "Not created yet" in answer.text
    assert said in answer.text
    assert 'value="300"' in answer.text
    assert "evaluation: {limit: 50}" in answer.text or path == "recipe.more"
    assert untouched.get("/studies").json()["studies"] == []


def test_messages_are_those_of_the_api_at_their_fields(offering):
    wrong = {"domains.0.lower": "0.9", "domains.0.upper": "0.2"}
    html = offering.post("/ui/new", data=FILLED | wrong, headers=own(offering)).text
    body = {
        "name": "vlm",
        "domains": [{"name": "coco", "lower": 0.9, "upper": 0.2}, {"name": "sat"}],
        "benchmarks": [{"name": "chartqa", "group": "out", "samples": 400}],
    }
    message = offering.post("/studies", json=body).json()["errors"][0]["what"]
    said = message.removeprefix("Value error, ").replace("'", "&#39;")
    assert f'id="w-domains.0">domain 1: {said}' in html
    html = offering.post(
        "/ui/new", data=FILLED | {"domains.0.samples": "0"}, headers=own(offering)
    ).text
    field = re.search(r'<input id="f-domains.0.samples"[^>]*>', html)
    assert field
    assert 'aria-invalid="true" aria-describedby="w-domains.0.samples"' in field[0]


def test_bounds_that_no_mixture_fits_are_refused_as_by_the_api(offering):
    html = send(offering, domains__0__lower="0.7", domains__1__lower="0.6").text
    assert "lower weights sum to 1.3, above 1: no mixture fits" in html


def test_an_own_objective_takes_the_weights_of_the_benchmarks(offering):
    more = {"objective__name": "mine", "benchmarks__0__weight": "2"}
    assert send(offering, **more).status_code == 303
    objective = offering.get("/studies/vlm").json()["objective"]
    assert (objective["name"], objective["weights"]) == ("mine", {"chartqa": 2.0})
    assert objective["direction"] == "maximize"


def test_samples_that_must_last_take_their_run_from_the_recipe(offering):
    assert send(offering, reach="enforce").status_code == 303
    reach = offering.get("/studies/vlm").json()["reach"]
    assert reach == {"steps": 12, "prompts_per_step": 8, "epochs": 1.0, "enforce": True}
    lacking = send(offering, reach="say", recipe__base="", name="other")
    assert "needs the recipe&#39;s prompts_per_step" in lacking.text


def test_a_row_is_added_without_javascript(offering):
    html = send(offering, add="domains").text
    rows = set(re.findall(r'id="f-(domains\.\d+)\.name"', html))
    assert {"domains.0", "domains.1", "domains.2"} <= rows
    assert "Not created yet" not in html
    again = offering.post(
        "/ui/new",
        data=FILLED | {"domains.2.name": "lisa", "domains.7.name": "x", "add": "domains"},
        headers=own(offering),
    ).text
    assert 'value="lisa"' in again
    assert 'id="f-domains.4.name"' in again


@pytest.mark.parametrize("name", ["offline", "paper"])
def test_a_preset_can_be_created_as_it_stands(offering, name):
    html = page(offering, f"/ui/new?preset={name}")
    html = re.sub(r"<template.*?</template>", "", html, flags=re.S)  # rows to come
    fields = dict(re.findall(r'<input id="[^"]*" name="([^"]+)"[^>]*? value="([^"]*)"', html))
    for path, body in re.findall(
        r'<select id="[^"]*" name="([^"]+)"[^>]*>(.*?)</select>', html, re.S
    ):
        chosen = re.search(r'<option value="([^"]*)"[^>]* selected', body)
        first = re.search(r'<option value="([^"]*)"', body)
        fields[path] = (chosen or first)[1]
    assert offering.post("/ui/new", data=fields, headers=own(offering)).status_code == 303
    stored = StudySpec.model_validate(
        {
            k: v
            for k, v in offering.get(f"/studies/{name}").json().items()
            if k in StudySpec.model_fields
        }
    )
    expected = StudySpec.model_validate(presets.study(name))
    assert (stored.domains, stored.benchmarks) == (expected.domains, expected.benchmarks)
    assert Recipe.parse(stored.recipe) == Recipe.parse(expected.recipe)


def test_presets_have_the_sizes_of_their_worlds():
    world = study_spec("offline", recipe=Recipe(), budget=24)
    offline = StudySpec.model_validate(presets.study("offline"))
    assert (offline.domains, offline.benchmarks) == (world.domains, world.benchmarks)
    paper = StudySpec.model_validate(presets.study("paper"))
    assert {d.name: d.samples for d in paper.domains} == {
        source.domain: source.paper_rows for source in DOMAINS.values()
    }
    assert paper.benchmarks == [benchmark.spec() for benchmark in BENCHMARKS.values()]


def test_a_form_from_elsewhere_is_refused(offering):
    token = own(offering)["X-CSRF-Token"]
    for more in ({}, {"csrf": ""}, {"csrf": token[::-1]}):
        assert offering.post("/ui/new", data=FILLED | more).status_code == 403
    assert offering.get("/studies").json()["studies"] == []
    sent = offering.post("/ui/new", data=FILLED | {"csrf": token}, follow_redirects=False)
    assert sent.status_code == 303


def test_a_key_that_may_only_read_keeps_what_was_typed(database_url, database):
    from db import keys

    with database.write() as session:
        key = keys.create(session, "looker", "read")
    settings = Settings(database_url=database_url, upkeep_every_s=3600.0)
    with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
        sign_in(client, key)
        typed = FILLED | {"recipe.base": ""}
        answer = client.post("/ui/new", data=typed, headers=own(client))
    assert "needs a key of scope &#39;admin&#39;" in answer.text
    assert 'value="coco"' in answer.text


def test_the_first_page_leads_to_the_form_with_and_without_studies(offering):
    html = page(offering, "/")
    for address in ("/ui/new", "/ui/new?preset=offline", "/ui/new?preset=paper"):
        assert f'href="{address}"' in html
    create(offering)
    assert 'href="/ui/new"' in page(offering, "/")


def test_floors_and_objectives_are_typed_as_they_are_said(offering):
    second = {"name": "sat", "group": "in", "samples": "300"}
    answer = send(
        offering,
        **{f"benchmarks__1__{field}": text for field, text in second.items()},
        objectives="out_score, in_score",
        constraints="sat >= uniform-0.02 with 0.8\n\nchartqa >= 0.1",
    )
    assert answer.status_code == 303, answer.text
    study = offering.get("/studies/vlm").json()
    assert study["objectives"] == ["out_score", "in_score"]
    assert study["constraints"] == [
        {"benchmark": "sat", "at_least": "uniform - 0.02", "probability": 0.8},
        {"benchmark": "chartqa", "at_least": 0.1, "probability": 0.9},
    ]
