"""What the pages foresee: when the budget is used, how long runs still take, what to believe."""

from __future__ import annotations

import re

import pytest
from sqlalchemy import Double, select, type_coerce, update

from db import cost
from db.clock import Moment
from db.models import Attempt, Study
from tests.support.dashboard import create, fill, finish, lease, page, scores, store

UNIFORM = [0.2] * 5


def run(api, study: str, worker: str = "node-1") -> None:
    """A run done by a worker."""
    trial, token = lease(api, study, worker)
    result = {"token": token, "measurements": scores(0.3)}
    assert api.post(f"/trials/{trial}/result", json=result).is_success


def lengthen(database, seconds: float, **which: object) -> None:
    """Has attempts begin so much earlier than they did."""
    earlier = type_coerce(type_coerce(Attempt.claimed_at, Double) - seconds, Moment)
    with database.write() as session:
        session.execute(update(Attempt).filter_by(**which).values(claimed_at=earlier))


def time_left(html: str) -> str:
    block = html.partition("<dt>Time left</dt>")[2].partition("</div>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", block).split())


def test_time_left_is_unknown_until_workers_have_shown_their_pace(api):
    study = create(api)
    assert "no worker is at work" in time_left(page(api, f"/ui/studies/{study}"))
    run(api, study)
    finish(api, study, UNIFORM, 0.3)  # done elsewhere: how long it took here is not known
    lease(api, study)
    said = time_left(page(api, f"/ui/studies/{study}"))
    assert said == "– unknown: it needs 3 runs done by workers, and has 1"
    api.patch(f"/studies/{study}", json={"state": "paused"})
    assert "the study is not active" in time_left(page(api, f"/ui/studies/{study}"))


def test_time_left_follows_from_runs_that_were_done_and_workers_at_work(api, database):
    study = create(api, budget=9)
    for _ in range(5):
        run(api, study)
    lengthen(database, 3600.0)
    for worker in ("node-1", "node-2"):
        lease(api, study, worker)
    said = time_left(page(api, f"/ui/studies/{study}"))
    # Four more runs of an hour by two workers.
    median = re.match(
        r"(\d\.\d) h (\S+) (h|min) to (\d\.\d) h \(95%\), with 2 workers as now", said
    )
    assert median, said
    assert 1.8 <= float(median[1]) <= 2.3


def test_a_used_budget_needs_no_time(api):
    study = create(api, budget=1)
    run(api, study)
    shown = page(api, f"/ui/studies/{study}")
    assert "the budget is used" in time_left(shown)
    assert 'class="pill finished"' in shown
    assert 'class="pill finished"' in page(api, "/"), "the list tells the same"


def test_runs_that_were_added_finished_are_told_apart_from_the_budget(api):
    study = create(api, budget=3)
    finish(api, study, UNIFORM, 0.3)
    shown = page(api, f"/ui/studies/{study}")
    assert '<b>0</b> <span class="pm">of 3</span>' in shown
    assert "1 more added finished, outside the budget" in shown


def test_a_running_trial_says_how_long_its_training_still_takes(api, database):
    study = create(api)
    trial, token = lease(api, study)
    lengthen(database, 600.0, trial_id=trial)
    beat = {"token": token, "step": 10, "total_steps": 40}
    assert api.post(f"/trials/{trial}/heartbeat", json=beat).is_success
    assert "about 30 min left" in page(api, f"/ui/studies/{study}")


def test_the_list_says_who_is_at_work_and_what_happened_last(api):
    study = create(api, name="busy")
    api.patch(f"/studies/{study}", json={"state": "paused"})
    api.patch(f"/studies/{study}", json={"state": "active"})
    for worker in ("node-1", "node-2"):
        trial, token = lease(api, study, worker)
    html = page(api, "/")
    at_work = html.partition('<td class="num workers">')[2].partition("</td>")[0]
    assert at_work.startswith("2")
    assert '<span class="pill active">active</span>' in html
    result = {"token": token, "measurements": scores(0.3)}
    assert api.post(f"/trials/{trial}/result", json=result).is_success
    api.patch(f"/studies/{study}", json={"state": "paused"})
    last = page(api, "/").partition('<td class="event">')[2].partition("</td>")[0]
    assert "study changed" in last
    assert "by user" in last


@pytest.mark.parametrize("direction", ["maximize", "minimize"])
def test_what_is_believed_of_the_best_mixture_is_the_prediction_of_autos_average(
    api, database, direction
):
    study = store(database, 8, objective={"name": "out_score", "direction": direction})
    told = api.get(f"/ui/studies/{study}/trust").json()
    best = api.get(f"/studies/{study}/best").json()["best"]["mixture"]
    asked = {"mixtures": [best, dict.fromkeys(best, 0.2)]}
    answer = api.post(f"/studies/{study}/surrogates/auto/predict", json=asked).json()
    (score, equal) = (prediction["mean"] for prediction in answer["predictions"])
    assert f"<b>{100 * score:.1f}</b>" in told["belief"]
    gain = (score - equal) * (1 if direction == "maximize" else -1)
    assert f"<b>{100 * gain:+.1f}</b>" in told["belief"]
    assert re.search(r"with a probability of <b>(more than )?\d+(\.\d)?%</b>", told["belief"])
    assert "times as likely under the" in told["trust"] or "about as likely" in told["trust"]
    shares = api.get(f"/studies/{study}/surrogates/auto").json()["kind"]
    for name, title in (("bayes-quadratic", "Bayesian quadratic"), ("gp", "Gaussian process")):
        (share,) = re.findall(rf"(\d+)% {name} ", shares) or ["0"]
        assert (f"<b>{title}</b>" in told["trust"]) == (share != "0")


def test_before_a_first_judgement_nothing_is_believed(api):
    study = create(api)
    assert api.get(f"/ui/studies/{study}/trust").json() == {"belief": "", "trust": ""}
    fill(api, study, 5)
    assert api.get(f"/ui/studies/{study}/trust").json() == {"belief": "", "trust": ""}


def test_the_strip_of_running_trials_draws_the_reward_as_far_as_it_has_come(api):
    study = create(api)
    trial, token = lease(api, study)
    points = [{"step": step, "metrics": {"reward": step / 10}} for step in (1, 5, 10)]
    beat = {"token": token, "step": 10, "total_steps": 40, "points": points}
    assert api.post(f"/trials/{trial}/heartbeat", json=beat).is_success
    strip = page(api, f"/ui/studies/{study}").partition('<div class="strip">')[2]
    assert 'aria-label="Mean reward 0.1 at first, 1 at step 10"' in strip
    raw = re.search(r'<polyline class="raw" points="([^"]+)"', strip)
    assert raw
    assert raw[1].split() == ["2.5,29.0", "12.5,16.6", "25.0,1.0"]


def gpu_hours(html: str) -> str:
    block = html.partition("<dt>GPU-hours</dt>")[2].partition("</div>")[0]
    return " ".join(re.sub(r"<[^>]+>", " ", block).split())


def charge(database, hours: float) -> None:
    """Has every attempt that ended have taken so long."""
    with database.write() as session:
        session.execute(
            update(Attempt)
            .where(Attempt.state != "live")
            .values(
                claimed_at=type_coerce(
                    type_coerce(Attempt.ended_at, Double) - 3600.0 * hours, Moment
                )
            )
        )
        for study in session.scalars(select(Study)):
            cost.count_anew(session, study.id)


def test_gpu_hours_used_and_to_come_stand_in_the_head(api, database):
    study = create(api, budget=9)
    assert gpu_hours(page(api, f"/ui/studies/{study}")) == "– no worker has run one"
    for _ in range(3):
        run(api, study)
    charge(database, 2.0)
    assert gpu_hours(page(api, f"/ui/studies/{study}")) == "6 2 a run, about 12 to go"
    assert api.get(f"/studies/{study}").json()["gpu_hours_used"] == pytest.approx(6.0)
    api.patch(f"/studies/{study}", json={"gpu_hours": 11})
    said = gpu_hours(page(api, f"/ui/studies/{study}"))
    assert said == "6 of 11 2 a run, about 4 to go: they last for 5 runs"
    found = api.get(f"/studies/{study}/cost").json()
    assert list(found["trials"].values()) == pytest.approx([2.0, 2.0, 2.0])
    assert (found["a_run"], found["left"]) == pytest.approx((2.0, 4.0))


def run_that_drew(api, study: str, coco: float, lisa: float) -> None:
    """A run that said how many samples it had drawn of two domains."""
    trial, token = lease(api, study)
    drawn = {"samples/coco": coco, "samples/lisa": lisa}
    beat = {"token": token, "step": 1, "total_steps": 4, "metrics": drawn}
    assert api.post(f"/trials/{trial}/heartbeat", json=beat).is_success
    api.post(f"/trials/{trial}/result", json={"token": token, "measurements": scores(0.3)})


def test_gpu_hours_are_shared_out_by_the_samples_that_were_drawn_else_by_weights(api, database):
    study = create(api)
    run_that_drew(api, study, 30.0, 10.0)
    run(api, study)  # says nothing of its samples: all weights are equal
    charge(database, 2.0)
    found = api.get(f"/studies/{study}/cost").json()
    assert found["channels"] == pytest.approx({"full": 4.0})
    shared = {"coco": 1.9, "lisa": 0.9, "geoqav": 0.4, "sat": 0.4, "scienceqa": 0.4}
    assert found["domains"] == pytest.approx(shared)
    html = api.get(f"/ui/studies/{study}/cost").json()["html"]
    assert html.index("coco") < html.index("lisa") < html.index("geoqav")
    assert "48%" in html
    assert "about <b>20</b> to go" in html
    other = create(api, name="other")
    assert "No worker" in api.get(f"/ui/studies/{other}/cost").json()["html"]


@pytest.mark.parametrize("drawn", [(-1.0, 5.0), (1e308, 1e308), (0.0, 0.0)])
def test_gpu_hours_go_by_weights_where_what_was_drawn_makes_no_sense(api, database, drawn):
    study = create(api)
    run_that_drew(api, study, *drawn)
    charge(database, 2.0)
    found = api.get(f"/studies/{study}/cost").json()["domains"]
    assert list(found.values()) == pytest.approx([0.4] * 5)


def test_after_a_split_the_gpu_hours_of_earlier_runs_are_shared_out_by_their_weights(api, database):
    study = create(api)
    run_that_drew(api, study, 30.0, 10.0)
    charge(database, 2.0)
    split = {"spread": {"coco": {"indoor": 0.75, "outdoor": 0.25}}}
    assert api.patch(f"/studies/{study}", json=split).is_success
    found = api.get(f"/studies/{study}/cost").json()["domains"]
    equal = dict.fromkeys(("lisa", "geoqav", "sat", "scienceqa"), 0.4)
    assert found == pytest.approx(equal | {"indoor": 0.3, "outdoor": 0.1})


def test_gpu_hours_of_a_domain_are_not_anothers_that_has_its_name_now(api, database):
    study = create(api)
    run_that_drew(api, study, 30.0, 10.0)
    charge(database, 2.0)
    renamed = {"spread": {"coco": {"rooms": 1.0}}}
    assert api.patch(f"/studies/{study}", json=renamed).is_success
    domains = [*api.get(f"/studies/{study}").json()["domains"], {"name": "coco"}]
    assert api.patch(f"/studies/{study}", json={"domains": domains}).is_success
    found = api.get(f"/studies/{study}/cost").json()["domains"]
    assert found == pytest.approx(dict.fromkeys(found, 0.4) | {"coco": 0.0})


def export(api, study: str) -> str:
    return api.get(f"/studies/{study}/export?format=csv").text


def test_a_trials_page_and_the_export_tell_its_gpu_hours(api, database):
    study = create(api)
    run(api, study)
    charge(database, 0.25)
    head, *rows = (line.split(",") for line in export(api, study).splitlines())
    ran = next(row for row in rows if row[head.index("state")] == "completed")
    assert ran[head.index("gpu_hours")] == "0.25"
    assert "0.25 GPU-hours" in page(api, f"/ui/studies/{study}/trials/{ran[0]}")


def test_progress_is_drawn_along_gpu_hours_too(api, database):
    study = create(api)
    run(api, study)
    finish(api, study, UNIFORM, 0.3)  # added finished: nobody knows what it cost
    run(api, study)
    charge(database, 0.5)
    figure = api.get(f"/ui/studies/{study}/progress?by=gpu_hours").json()["figure"]
    runs = [trace for trace in figure["data"] if "ids" in trace]
    assert sorted(hours for trace in runs for hours in trace["x"]) == [0.5, 0.5, 1.0]
    assert figure["layout"]["xaxis"]["title"]["text"] == "GPU-hours used"
    assert api.get(f"/ui/studies/{study}/progress?by=luck").status_code == 422
