"""What the pages say in every state of a study, and that nothing from outside becomes markup."""

from __future__ import annotations

import re

import pytest
from fastapi.testclient import TestClient

from service.dashboard.queries import boards
from service.executor.process import Inline
from service.settings import Settings
from tests.support.dashboard import (
    HOSTILE,
    Markup,
    create,
    finish,
    lease,
    page,
    scores,
    store,
    store_many,
)
from tests.support.serving import in_process

UNIFORM = [0.2] * 5


def test_without_a_study_the_first_page_says_how_to_make_one(api):
    html = page(api, "/")
    for command in ("modomodo demo", "modomodo study create", "modomodo worker"):
        assert command in html


def test_the_list_shows_state_budget_best_and_gain_of_every_study(api):
    create(api, name="busy")
    create(api, name="idle")
    finish(api, "busy", UNIFORM, 0.30)
    finish(api, "busy", [0.6, 0.1, 0.1, 0.1, 0.1], 0.40)
    html = page(api, "/")
    assert "/ui/studies/busy" in html
    assert "/ui/studies/idle" in html
    assert "<b>42.5</b>" in html  # mean of 0.42 and 0.43
    assert "<b>+10.0</b>" in html


def test_a_study_without_trials_says_what_happens_next(api):
    study = create(api)
    html = page(api, f"/ui/studies/{study}")
    assert "No trial yet" in html or 'class="queued"' in html
    assert api.get(f"/ui/studies/{study}/progress").json()["figure"] is None


@pytest.mark.parametrize("surrogate", ["quadsurface", "gp"])
@pytest.mark.parametrize("runs", [0, 1, 2])
def test_too_few_runs_for_a_surrogate_are_said_in_words(api, surrogate, runs):
    study = create(api)
    for _ in range(runs):
        finish(api, study, UNIFORM, 0.3)
    fit = api.get(f"/ui/studies/{study}/fits/{surrogate}")
    assert fit.status_code == 200
    assert "loo" not in fit.json()["figures"]
    assert "callout" in fit.json()["html"]


def test_one_uniform_trial_is_best_and_has_no_gain_over_itself(api):
    study = create(api)
    number = finish(api, study, UNIFORM, 0.3)
    html = page(api, f"/ui/studies/{study}")
    assert "the uniform mixture is the best" in html
    assert f'<tr role="row" id="trial-{number}" class="completed"' in html
    figure = api.get(f"/ui/studies/{study}/progress").json()["figure"]
    names = [trace["name"] for trace in figure["data"] if trace.get("showlegend", True)]
    assert "best mixture so far" in names
    assert any(name.startswith("uniform mixture 32.5 ± ") for name in names)
    assert any(name.startswith("base model, untrained 22.5 ± ") for name in names)


def test_when_all_trials_failed_their_errors_are_shown_and_nothing_is_best(api):
    study = create(api, max_attempts=1)
    for _ in range(3):
        trial, token = lease(api, study)
        failure = {"token": token, "error": "Traceback\nRuntimeError: out of memory"}
        assert api.post(f"/trials/{trial}/failure", json=failure).status_code == 200
    html = page(api, f"/ui/studies/{study}")
    assert html.count("<summary>RuntimeError: out of memory</summary>") == 3
    assert "3 failed" in html
    assert "no completed run yet" in html


def test_twenty_domains_all_look_different(api):
    domains = [f"domain-{place:02}" for place in range(20)]
    study = create(api, domains=domains)
    finish(api, study, [0.05] * 20, 0.3)
    html = page(api, f"/ui/studies/{study}")
    legend = html.partition('aria-label="Domains and their colours"')[2].partition("</ul>")[0]
    assert len(set(re.findall(r'class="chip (d\d h\d)"', legend))) == 20
    assert "domain-00 5%, domain-01 5%" in html


def test_hostile_text_is_shown_and_never_becomes_markup(api):
    study = create(api, note=HOSTILE, max_attempts=1)
    trial, token = lease(api, study, worker=HOSTILE)
    running = page(api, f"/ui/studies/{study}")
    api.post(f"/trials/{trial}/failure", json={"token": token, "error": HOSTILE})
    finish(api, study, UNIFORM, 0.3, note=HOSTILE)
    after = api.get(f"/ui/studies/{study}/changes?after=0").json()
    pieces = [after["head"], *(row["html"] for row in after["rows"])]
    for html in (running, page(api, f"/ui/studies/{study}"), page(api, "/"), "".join(pieces)):
        assert "&lt;script&gt;" in html
        assert "<script>document" not in html
        assert "<img src=x" not in html
        assert Markup(html).handlers == []


def test_pages_forbid_scripts_from_anywhere_but_the_service(api):
    study = create(api)
    for path in ("/", f"/ui/studies/{study}", "/ui/studies/unknown"):
        policy = api.get(path).headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "script-src 'self';" in policy


def test_every_file_a_page_names_is_there_and_may_be_kept(api):
    study = create(api)
    html = page(api, f"/ui/studies/{study}") + page(api, "/")
    files = set(re.findall(r"/ui/static/[^\"]+", html))
    assert {file.rpartition("/")[2] for file in files} >= {"style.css", "study.js", "plotly.min.js"}
    for file in files:
        answer = api.get(file)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["Cache-Control"]
        assert answer.headers["Content-Encoding"] == "gzip"
    # A page left open over an upgrade still finds its files, but does not keep them.
    old = api.get("/ui/static/0123456789ab/style.css")
    assert old.status_code == 200
    assert old.headers["Cache-Control"] == "no-cache"


@pytest.mark.parametrize("name", ["../pages.py", "pages.py", "..%2fpages.py", "nothing.js"])
def test_no_other_file_can_be_had(untouched, name):
    assert untouched.get(f"/ui/static/x/{name}").status_code == 404


def test_an_unknown_study_is_a_page_that_leads_back(api):
    answer = api.get("/ui/studies/nothing")
    assert answer.status_code == 404
    assert 'href="/"' in answer.text


def test_a_running_trial_shows_its_step_and_reward_of_each_domain(api):
    study = create(api)
    trial, token = lease(api, study)
    beat = {
        "token": token,
        "step": 7,
        "total_steps": 24,
        "metrics": {"reward/coco": 0.4321, "reward/unknown": 1.0, "loss": 3.0},
    }
    assert api.post(f"/trials/{trial}/heartbeat", json=beat).status_code == 200
    html = page(api, f"/ui/studies/{study}")
    assert 'value="7" max="24"' in html
    assert "step 7 of 24" in html
    assert "coco reward <b>0.432</b>" in html
    assert "unknown reward" not in html


def test_changes_hold_only_what_changed_and_only_rows_that_are_shown(api):
    study = create(api)
    numbers = [finish(api, study, UNIFORM, 0.3) for _ in range(3)]
    api.patch(f"/studies/{study}", json={"state": "paused"})
    first = api.get(f"/ui/studies/{study}/changes?after=0").json()
    assert {row["number"] for row in first["rows"]} >= set(numbers)
    nothing = api.get(f"/ui/studies/{study}/changes?after={first['after']}").json()
    assert nothing["rows"] == []
    assert nothing["head"] is None
    number = finish(api, study, UNIFORM, 0.3)
    news = api.get(f"/ui/studies/{study}/changes?after={first['after']}").json()
    assert number in [row["number"] for row in news["rows"]]
    assert not {row["number"] for row in news["rows"]} & set(numbers)
    assert news["results"] == first["results"] + 1
    assert news["head"]
    shown = api.get(f"/ui/studies/{study}/changes?after=0&lowest={numbers[1]}").json()
    assert min(row["number"] for row in shown["rows"]) == numbers[1]


def test_a_long_study_comes_in_pages_and_small_pieces(api, database):
    store_many(database, 450)
    html = page(api, "/ui/studies/long")
    assert html.count('<tr role="row" id="trial-') == 10
    assert 'href="/ui/studies/long/trials">all <span id="n-trials">450</span>' in html
    assert len(html) < 2**20
    changed, after = [], 0
    while True:
        part = api.get(f"/ui/studies/long/changes?after={after}").json()
        changed += [row["number"] for row in part["rows"]]
        after = part["after"]
        if not part["more"]:
            break
    assert changed == list(range(1, 451))


def test_surrogates_are_not_fitted_to_more_runs_than_memory_allows(api, database):
    store_many(database, 300, "some")  # some of them failed
    store_many(database, 2100, "long")
    for part in ("", "/surfaces", "/what-if"):
        assert "Fit now" in page(api, f"/ui/studies/some{part}")
        html = page(api, f"/ui/studies/long{part}")
        assert "too many to fit here" in html
        assert "Fit now" not in html
    refused = api.get("/ui/studies/long/fits/gp").json()
    assert "too many to fit here" in refused["html"]
    assert refused["figures"] == {}


def test_a_fit_says_what_it_is_what_is_left_to_find_and_what_was_confirmed(api, database):
    study = store(database, 9, budget=11)
    top = [0.5, 0.1, 0.0, 0.0, 0.4]
    for value in (0.40, 0.41):
        finish(api, study, top, value)
    fit = api.get(f"/ui/studies/{study}/fits/bayes-quadratic").json()["html"]
    assert "bayes-quadratic: " in fit
    assert "chance that another mixture beats it by more than the noise of one run" in fit
    assert "Suggested next runs" in fit
    assert "would raise the best prediction by" in fit or "No single run is expected" in fit
    assert re.search(r"Run 2 times: \d\d\.\d ± \d+\.\d on average. The other runs predict", fit)
    # Its error is the same everywhere: it cannot tell what a run would teach.
    papers = api.get(f"/ui/studies/{study}/fits/quadsurface").json()["html"]
    assert "Run 2 times" in papers
    assert "Suggested next runs" not in papers


def test_an_own_objective_gets_a_column_of_its_own(api):
    study = create(api, objective={"name": "mine", "weights": {"chart": 1.0}})
    finish(api, study, UNIFORM, 0.3)
    html = page(api, f"/ui/studies/{study}")
    assert '<th role="columnheader" scope="col" class="num">mine</th>' in html
    assert 'data-label="mine"' in html


class TestWithAKey:
    KEY = "a-key-of-thirty-two-or-more-chars"

    @pytest.fixture
    def guarded(self, database_url):
        settings = Settings(database_url=database_url, upkeep_every_s=3600.0, api_key=self.KEY)
        with TestClient(in_process(settings, Inline()), base_url="http://127.0.0.1") as client:
            yield client

    def test_the_data_of_a_page_needs_it_too(self, guarded):
        for path in (
            "changes?after=0",
            "trials",
            "trials/found",
            "trials.csv",
            "progress",
            "fits/gp",
            "fits/gp/newest",
        ):
            assert guarded.get(f"/ui/studies/vlm/{path}").status_code == 401
        assert guarded.get("/ui/events").status_code == 401


def test_the_best_and_its_gain_are_those_of_the_api(api, database):
    study = store(database, 6)
    best = api.get(f"/studies/{study}/best").json()
    html = page(api, f"/ui/studies/{study}")
    assert f'href="/ui/studies/{study}/trials/{best["best"]["number"]}"' in html
    assert f"<b>{100 * best['gain']:+.1f}</b>" in html
    assert f"± {100 * 1.959964 * best['gain_se']:.1f}</span>" in html


def test_a_result_with_scores_of_several_steps_counts_with_the_last(api):
    study = create(api)
    early = [score | {"step": 10, "score": 0.9} for score in scores(0.3)]
    late = [score | {"step": 20} for score in scores(0.3)]
    trial, token = lease(api, study)
    body = {"token": token, "measurements": early + late}
    assert api.post(f"/trials/{trial}/result", json=body).status_code == 200
    figure = api.get(f"/ui/studies/{study}/progress").json()["figure"]
    points = next(trace for trace in figure["data"] if trace["mode"] == "markers")
    assert points["y"] == [32.5]


def test_a_study_s_head_names_its_script_before_any_run_is_read(api, monkeypatch):
    study = create(api)
    assert '<script id="plotly"' not in page(api, f"/ui/studies/{study}")
    finish(api, study, UNIFORM, 0.30)

    def broken(*_):
        raise RuntimeError("the disk is gone")

    monkeypatch.setattr(boards, "board", broken)
    html = page(api, f"/ui/studies/{study}")
    head, rest = html.split("</head>")
    assert '<script id="plotly" async' in head
    assert f"<title>{study}" in head
    assert "could not be read" in rest
    assert "the disk is gone" not in html
