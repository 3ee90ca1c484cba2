"""`modomodo study` and `modomodo trial` against a real service."""

from __future__ import annotations

import json
import re

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from modomodo import hints
from modomodo.cli import app
from service.client import Client, ServiceError
from service.executor.process import Inline
from service.schemas import (
    Failure,
    Heartbeat,
    Measurement,
    MeasurementsRequest,
    NextRequest,
    Result,
    StudyPatch,
    StudySpec,
    TrialCreate,
)
from service.search.surrogates import SIDE_BY_SIDE
from tests.support.bodies import scores, study_body
from tests.support.serving import in_process, on_a_socket


@pytest.fixture
def run(service_url, monkeypatch):
    monkeypatch.setenv("MODOMODO_URL", service_url)
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments, stdin=None):
        return CliRunner().invoke(app, list(arguments), input=stdin)

    return call


@pytest.fixture
def study_file(tmp_path):
    file = tmp_path / "study.yaml"
    # One trial by hand is as much as the budget has room for: nothing is proposed beside it.
    file.write_text(yaml.safe_dump(study_body(budget=1)))
    return str(file)


def as_json(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_a_study_from_creation_to_export(run, study_file, tmp_path):
    assert as_json(run("study", "create", study_file, "--json"))["name"] == "vlm"
    assert run("study", "create", study_file).exit_code == 0, "the same again is fine"
    finished = tmp_path / "scores.json"
    finished.write_text(json.dumps(scores(0.6)))
    added = as_json(
        run("trial", "add", "vlm", "coco=0.25", "lisa=0.75", "--measurements", str(finished),
            "--json")
    )  # fmt: skip
    assert added["state"] == "completed"
    assert as_json(run("study", "pause", "vlm", "--json"))["state"] == "paused"
    assert "is active" in run("study", "resume", "vlm").stdout
    assert [s["name"] for s in as_json(run("study", "list", "--json"))] == ["vlm"]
    assert "vlm" in run("study", "list").stdout
    shown = " ".join(run("study", "show", "vlm").stdout.split())
    assert f"One run is completed: trial {added['number']}, out_score 60.0 ± " in shown
    assert "no other mixture to compare it with yet" in shown
    assert "Out-Score" not in shown
    assert "budget 1, 0 used (1 run that was added finished does not count)" in shown
    out = tmp_path / "best.yaml"
    assert run("study", "export", "vlm", "--format", "yaml", "--out", str(out)).exit_code == 0
    assert yaml.safe_load(out.read_text())["mixture"] == {"coco": 0.25, "lisa": 0.75, "sat": 0.0}
    assert run("study", "export", "vlm").stdout.startswith("trial,state,strategy,w_coco")


def test_scores_out_of_a_hundred_are_refused_before_they_are_sent(run, tmp_path):
    finished = tmp_path / "scores.json"
    finished.write_text(json.dumps([*scores(0.6), scores()[0] | {"score": 41.2}]))
    refused = run("trial", "add", "vlm", "coco=1", "--measurements", str(finished))
    assert refused.exit_code == 2
    said = " ".join(refused.output.replace("│", " ").split())
    assert "measurements.3.score: 41.2 is not a number from 0 to 1: give fractions" in said


def test_every_door_names_the_same_mixture_to_train(run, service_url, monkeypatch):
    monkeypatch.delitem(SIDE_BY_SIDE, "gp")  # quicker
    run("study", "create", "-", stdin=json.dumps(study_body(budget=5)))
    numbers = []
    with Client(service_url) as client:
        for mixture, value in (
            ({"coco": 1 / 3, "lisa": 1 / 3, "sat": 1 / 3}, 0.40),
            ({"coco": 0.9, "lisa": 0.1}, 0.70),  # lucky
            ({"coco": 0.2, "lisa": 0.8}, 0.64),
            ({"coco": 0.9, "lisa": 0.1}, 0.50),
            ({"coco": 0.2, "lisa": 0.8}, 0.62),
        ):
            measured = [Measurement.model_validate(item) for item in scores(value)]
            added = client.add_trial("vlm", TrialCreate(mixture=mixture, measurements=measured))
            numbers.append(added.number)
        best = client.best("vlm")
        exported = yaml.safe_load(client.export("vlm", "yaml"))
    train = best.train
    confirmed = [numbers[2], numbers[4]]
    assert train.trials == exported["trials"] == confirmed
    assert train.mixture == exported["mixture"] == best.best.mixture
    assert train.score.value == exported["objective"]["value"] == pytest.approx(0.63)
    assert best.gain == train.gain.value == pytest.approx(0.23)
    assert train.predicted_gain.mean > 0
    assert train.predicted_gain.sd < train.predicted.sd * 2
    said = "Train this: the mixture of trials {} and {}, out_score 63.0 ± ".format(*confirmed)
    assert said in best.message
    shown = " ".join(run("study", "show", "vlm").stdout.split())
    assert said in shown
    assert "over equal weights. auto predicts 6" in shown
    assert "nothing runs: study 'vlm': " in shown
    page = httpx.get(f"{service_url}/ui/studies/vlm", timeout=30).text
    head = page[page.index("Best Out-Score") : page.index('id="belief"')]
    assert "<b>63.0</b>" in head
    assert re.findall(r">trial (\d+)</a>", head) == [str(number) for number in confirmed]
    assert head.index("Train this") < head.index('aria-label="coco 20%, lisa 80%"')


def test_weight_and_requirements_are_edited_and_shown(run):
    run("study", "create", "-", stdin=json.dumps(study_body(budget=2)))
    assert "requires" not in run("study", "show", "vlm").stdout
    edit = ("study", "edit", "vlm", "--weight", "2.5", "--requires", "gpus=4")
    study = as_json(run(*edit, "--requires", "label:pool=a100", "--json"))
    assert study["weight"] == 2.5
    assert study["requires"] == {"gpus": 4, "gpu_memory_gb": None, "labels": {"pool": "a100"}}
    shown = run("study", "show", "vlm").stdout
    assert "weight 2.5 beside other studies; requires gpus=4, label:pool=a100" in shown
    without = as_json(run("study", "edit", "vlm", "--without", "requires", "--json"))
    assert (without["weight"], without["requires"]["gpus"]) == (2.5, None)


def test_a_study_without_a_result_says_just_that_and_why(run, service_url):
    run("study", "create", "-", stdin=json.dumps(study_body(budget=2, max_attempts=1)))
    run("study", "pause", "vlm")
    shown = " ".join(run("study", "show", "vlm").stdout.split())
    assert "No run is completed yet." in shown
    assert "nothing runs: study 'vlm' is paused" in shown
    assert "Out-Score" not in shown

    run("trial", "add", "vlm", "coco=1")
    run("study", "resume", "vlm")
    with Client(service_url) as client:
        answer = client.next(NextRequest(worker="w", study="vlm"))
        run("study", "pause", "vlm")
        failure = Failure(
            token=answer.lease.token, error="Traceback\nOSError: gone", retryable=False
        )
        client.failure(answer.trial.id, failure)
        for trial in client.trials("vlm"):
            if trial.state == "queued":
                client.cancel(trial.id)
    shown = " ".join(run("study", "show", "vlm").stdout.split())
    # Whether one had been proposed before the pause, and was cancelled, is left to chance.
    assert "trial failed; the last error: OSError: gone" in shown
    assert "Out-Score" not in shown


def begun(run, client, n, **changes):
    """A study whose trials were all queued by hand, and the leases of the first of them."""
    body = study_body(max_attempts=1, **changes)
    client.create_study(StudySpec.model_validate(body))
    client.patch_study("vlm", StudyPatch(state="paused"))
    for trial in client.trials("vlm"):
        client.cancel(trial.id)
    for _ in range(n):
        client.add_trial("vlm", TrialCreate(mixture={"coco": 1}))
    client.patch_study("vlm", StudyPatch(state="active"))
    return [client.next(NextRequest(worker=f"w{i}", study="vlm")) for i in range(n)]


def break_all(client, leased):
    for answer in leased:
        failure = Failure(token=answer.lease.token, error="OSError: gone", retryable=False)
        client.failure(answer.trial.id, failure)


def shown_of(run):
    return " ".join(run("study", "show", "vlm").stdout.split())


def test_a_study_whose_trials_all_failed_says_so_and_what_to_do(run, service_url):
    with Client(service_url) as client:
        break_all(client, begun(run, client, 5, budget=5))
    shown = shown_of(run)
    assert re.search(r"No run is completed( yet, and|: all) 5 trials failed", shown)
    assert "; the last error: OSError: gone" in shown
    assert (
        "nothing runs: study 'vlm': the last 5 trials failed, so no more are proposed or given "
        "away; see their errors, then retry one or pause and resume the study"
    ) in shown
    assert "Train this" not in shown


@pytest.mark.parametrize("n_failed", [0, 1])
def test_a_study_that_was_ended_without_a_result_waits_for_none(run, service_url, n_failed):
    with Client(service_url) as client:
        break_all(client, begun(run, client, n_failed, budget=5))
        client.patch_study("vlm", StudyPatch(state="finished"))
    shown = shown_of(run)
    assert "vlm is finished: " in shown
    why = ": 1 trial failed; the last error: OSError: gone" if n_failed else "."
    assert re.search(f"No run is completed{why.replace('1 trial', '(1|its one) trial')}", shown)
    assert "yet" not in shown
    assert "nothing runs: study 'vlm' is finished" in shown


def test_a_study_whose_budget_is_used_says_so_and_names_no_next_run(run, service_url):
    with Client(service_url) as client:
        (answer,) = begun(run, client, 1, budget=1)
        measured = [Measurement.model_validate(item) for item in scores(0.5)]
        client.result(answer.trial.id, Result(token=answer.lease.token, measurements=measured))
    shown = shown_of(run)
    assert "vlm is finished: 1 completed" in shown
    assert "One run is completed: trial" in shown
    assert "nothing runs: study 'vlm' is finished: the one trial of its budget is done" in shown
    assert "to run next" not in shown


def test_a_run_that_was_stopped_early_is_listed_and_counts(run, service_url):
    with Client(service_url) as client:
        (answer,) = begun(run, client, 1, budget=2)
        assert "early stopped" not in run("study", "list").stdout
        token, trial = answer.lease.token, answer.trial
        measured = [Measurement.model_validate(item | {"step": 1}) for item in scores(0.5)]
        client.measurements(trial.id, MeasurementsRequest(token=token, measurements=measured))
    stopped = run("trial", "stop-early", "vlm", str(trial.number))
    assert "is early stopped" in stopped.stdout
    run("study", "pause", "vlm")
    assert "1 early stopped" in shown_of(run)
    head, row = (
        line for line in run("study", "list").stdout.splitlines() if "│" in line or "st" in line
    )
    cells = dict(
        zip(
            (cell.strip() for cell in head.split("┃")),
            (cell.strip() for cell in row.split("│")),
            strict=True,
        )
    )
    assert "1 early stopped" in cells["trials"]
    assert "completed" not in cells["trials"]
    assert cells["budget used"] == "1 of 2"


def test_learning_curves_of_trials_are_told_in_numbers_side_by_side(run, service_url):
    with Client(service_url) as client:
        for place, answer in enumerate(begun(run, client, 2, budget=2)):
            token, trial = answer.lease.token, answer.trial.id
            for step in (1, 2):
                metrics = {"reward": 0.25 * step + place}
                beat = Heartbeat(token=token, step=step, total_steps=9, metrics=metrics)
                client.heartbeat(trial, beat)
        numbers = [str(trial.number) for trial in client.trials("vlm") if trial.state == "running"]
    shown = run("trial", "curves", "vlm", *numbers)
    assert re.findall(r"running\W+│ -\W+│ ([\d.]+)\W+│ ([\d.]+)\W+│ ([\d.]+)", shown.stdout) == [
        ("0.25", "0.5", "0.5"),
        ("1.25", "1.5", "1.5"),
    ]
    points = as_json(run("trial", "curves", "vlm", *numbers, "--json"))
    assert [curve["metrics"]["reward"] for curve in points] == [[0.25, 0.5], [1.25, 1.5]]
    assert "there are reward" in run("trial", "curves", "vlm", *numbers, "--metric", "kl").stdout
    assert run("trial", "curves", "vlm", "99").exit_code == 1


def test_a_study_read_from_standard_input(run):
    created = as_json(run("study", "create", "-", "--json", stdin=json.dumps(study_body())))
    assert created["budget"] == 8


def test_trials_are_queued_listed_shown_cancelled_and_retried(run, study_file):
    run("study", "create", study_file)
    added = as_json(run("trial", "add", "vlm", "coco=0.5", "sat=0.5", "--note", "mine", "--json"))
    trial = str(added["id"])
    listed = as_json(run("trial", "list", "vlm", "--json"))
    assert trial in [str(item["id"]) for item in listed]
    assert "queued" in run("trial", "list", "vlm").stdout
    assert as_json(run("trial", "list", "vlm", "--state", "failed", "--json")) == []
    assert "mine" in run("trial", "show", trial).stdout
    number = str(added["number"])
    same = as_json(run("trial", "list", "vlm", "--same-as", number, "--json"))
    assert [item["id"] for item in same] == [added["id"]]
    assert as_json(run("trial", "cancel", trial, "--json"))["state"] == "cancelled"
    assert as_json(run("trial", "retry", trial, "--json"))["state"] == "queued"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "create", "/no/such/file"], "cannot read"),
        (["trial", "add", "vlm", "coco"], "DOMAIN=WEIGHT"),
        (["trial", "add", "vlm", "coco=much"], "DOMAIN=WEIGHT"),
        (["trial", "show", "first"], "neither a study and the number of a trial"),
        (["trial", "show", "a", "b", "3"], "neither a study and the number of a trial"),
        (["trial", "list", "vlm", "--state", "sleeping"], "sleeping"),
        (["study", "export", "vlm", "--format", "xlsx"], "xlsx"),
        (["study"], "create"),
    ],
)
def test_wrong_use_exits_with_2_and_says_why_on_stderr(run, arguments, words):
    result = run(*arguments)
    assert result.exit_code == 2
    assert words in result.output.replace("\n", " ")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("domains: [", "neither YAML nor JSON"),
        ("name: x", "domains: is missing"),
        ("3", "not a study"),
        (yaml.safe_dump(study_body(budget=-1)), "budget"),
    ],
)
def test_a_file_that_is_no_study_is_wrong_use(run, tmp_path, content, words):
    file = tmp_path / "study.yaml"
    file.write_text(content)
    result = run("study", "create", str(file))
    assert result.exit_code == 2
    assert words in result.output


@pytest.fixture(scope="module")
def refusing(shared_settings):
    """A service with two studies, of which `vlm` has two trials that are over."""
    with (
        on_a_socket(in_process(shared_settings, Inline())) as url,
        Client(url) as client,
    ):
        # Numbers of a second study are not the ids of its trials.
        for name in ("other", "vlm"):
            client.create_study(StudySpec.model_validate(study_body(name, budget=1)))
            client.patch_study(name, StudyPatch(state="paused"))
            for trial in client.trials(name):
                client.cancel(trial.id)
        while len(client.trials("vlm")) < 2:
            finished = [Measurement.model_validate(item) for item in scores()]
            client.add_trial("vlm", TrialCreate(mixture={"coco": 1}, measurements=finished))
        yield url


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["study", "show", "nope"], "no study 'nope'; `modomodo study list` lists them"),
        (["study", "pause", "nope"], "no study 'nope'; `modomodo study list` lists them"),
        (["study", "edit", "nope", "--budget", "3"], "`modomodo study list` lists them"),
        (["study", "export", "nope"], "`modomodo study list` lists them"),
        (["trial", "list", "nope"], "`modomodo study list` lists them"),
        (["trial", "cancel", "nope", "3"], "`modomodo study list` lists them"),
        (["trial", "show", "vlm", "7"], "study 'vlm' has no trial 7; its newest is 2; `modomodo "),
        (["trial", "retry", "vlm", "2"], "trial 2 of study 'vlm' is completed; only failed and"),
        (
            ["trial", "cancel", "vlm", "2"],
            "is completed; only queued, running and paused",
        ),
        (["trial", "stop-early", "vlm", "2"], "trial 2 of study 'vlm' is completed; only running"),
        (["trial", "show", "99"], "no trial 99 (an id, not the number in a study); `modomodo "),
        (["trial", "add", "vlm", "coco=0.9"], "sum to 0.9"),
    ],
)
def test_a_refusal_is_told_in_the_words_of_the_command_line(
    refusing, monkeypatch, arguments, words
):
    monkeypatch.setenv("MODOMODO_URL", refusing)
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    said = hints.in_words(result.exception)
    assert words in said
    for word in ("GET ", "POST ", "PATCH ", "/studies", "body", "Bearer"):
        assert word not in said


def test_a_budget_is_raised_on_the_command_line(run, study_file):
    run("study", "create", study_file)
    run("trial", "add", "vlm", "coco=1")
    run("study", "pause", "vlm")
    edited = run("study", "edit", "vlm", "--budget", "12", "--note", "longer")
    assert "study vlm is paused: 0 of its budget of 12 used" in edited.stdout
    changed = as_json(run("study", "edit", "vlm", "--budget", "9", "--json"))
    assert (changed["budget"], changed["note"]) == (9, "longer")
    in_hours = run("study", "edit", "vlm", "--gpu-hours", "40")
    assert "study vlm is paused: 0 of its budget of 40 GPU-hours used" in in_hours.stdout
    nothing = run("study", "edit", "vlm")
    assert nothing.exit_code == 2
    assert "nothing to change: give an option, such as --budget or --bounds" in " ".join(
        nothing.output.replace("│", " ").split()
    )


def test_channels_are_turned_on_and_merged_models_queued_from_the_command_line(run, service_url):
    with Client(service_url) as client:
        client.create_study(StudySpec.model_validate(study_body(recipe={})))
    refused = run("study", "edit", "vlm", "--channels", "full,early")
    assert "unknown channel 'early'; there are full, merged" in refused.output
    refused = run("trial", "add", "vlm", "coco=1", "--channel", "merged")
    assert "has no channel 'merged', but full" in str(refused.exception)
    edited = run("study", "edit", "vlm", "--channels", "full, merged", "--json")
    assert as_json(edited)["search"]["channels"] == ["full", "merged"]
    added = as_json(run("trial", "add", "vlm", "coco=1", "--channel", "merged", "--json"))
    assert added["channel"] == "merged"
    listed = as_json(run("trial", "list", "vlm", "--channel", "merged", "--json"))
    assert added["id"] in [trial["id"] for trial in listed]


def test_an_archive_of_a_study_that_is_not_there_names_the_database(run, tmp_path):
    (tmp_path / "mine.db").touch()
    database = f"sqlite:///{tmp_path}/mine.db"
    result = run("study", "export", "nope", "--format", "archive", "--database", database)
    assert result.exit_code == 1
    assert str(result.exception).startswith(f"no study 'nope' in the database {database}; ")
    assert "--database or MODOMODO_DATABASE_URL" in str(result.exception)


def test_what_the_service_refuses_is_an_error_with_its_words(run, study_file):
    run("study", "create", study_file)
    for arguments, code in (
        (["study", "show", "nope"], "study-not-found"),
        (["trial", "show", "99"], "trial-not-found"),
        (["trial", "add", "vlm", "coco=0.9"], "invalid-request"),
    ):
        result = run(*arguments)
        assert result.exit_code == 1
        assert isinstance(result.exception, ServiceError)
        assert result.exception.code == code


def test_studies_are_compared_side_by_side(run, service_url, monkeypatch):
    monkeypatch.delitem(SIDE_BY_SIDE, "gp")  # quicker
    for name, value in (("one", 0.4), ("two", 0.6)):
        run("study", "create", "-", stdin=json.dumps(study_body(name, budget=1)))
        with Client(service_url) as client:
            measured = [Measurement.model_validate(item) for item in scores(value)]
            mixture = {"coco": 0.25, "lisa": 0.75}
            client.add_trial(name, TrialCreate(mixture=mixture, measurements=measured))
    shown = [line.split() for line in run("study", "compare", "one", "two").stdout.splitlines()]
    assert ["one", "two"] in shown
    (score,) = (line for line in shown if line[:1] == ["score"])
    assert (score[1], score[4]) == ("40.0", "60.0")
    assert ["lisa", "75%", "75%"] in shown
    found = as_json(run("study", "compare", "one", "two", "--json"))
    assert [one["study"]["name"] for one in found] == ["one", "two"]
    for wrong in (("one",), ("one", "one")):
        refused = run("study", "compare", *wrong)
        assert refused.exit_code == 2
        assert "two to five different studies" in " ".join(refused.output.split())
    assert isinstance(run("study", "compare", "one", "none").exception, ServiceError)


def test_what_each_domain_does_is_told_as_a_table(run, service_url):
    run("study", "create", "-", stdin=json.dumps(study_body(budget=1)))
    assert isinstance(run("study", "effects", "vlm").exception, ServiceError)
    with Client(service_url) as client:
        for coco in (0.0, 0.5, 1.0, 0.25):
            measured = [Measurement.model_validate(item) for item in scores(0.3 + 0.2 * coco)]
            mixture = {"coco": coco, "lisa": 1 - coco}
            client.add_trial("vlm", TrialCreate(mixture=mixture, measurements=measured))
    found = as_json(run("study", "effects", "vlm", "--json"))
    assert found["start"]["coco"] == 1.0
    assert found["objective"]["coco"]["mean"] == pytest.approx(0.02, abs=0.01)
    shown = run("study", "effects", "vlm").stdout
    assert "10 points more of a domain, from the mixture of trial" in shown
    rows = [line.split()[0] for line in shown.splitlines() if " ± " in line]
    assert rows[: len(found["objective"])] == list(found["objective"])
    assert found["room"] == {"coco": 0.0, "lisa": 0.1, "sat": 0.1}
    assert "coco (no more)" in shown


def test_owners_are_made_given_studies_and_listed_with_what_they_may_use(run, study_file):
    assert run("study", "create", study_file).exit_code == 0
    unknown = run("owner", "give", "vision", "vlm")
    assert isinstance(unknown.exception, ServiceError)
    assert "modomodo owner set" in hints.in_words(unknown.exception)
    made = as_json(run("owner", "set", "vision", "--gpu-hours", "2000", "--json"))
    assert (made["name"], made["gpu_hours"], made["used"]) == ("vision", 2000.0, 0.0)
    assert "belongs to vision" in run("owner", "give", "vision", "vlm").stdout
    assert "owner vision" in run("study", "show", "vlm").stdout
    (listed,) = as_json(run("owner", "list", "--json"))
    assert (listed["name"], listed["studies"]) == ("vision", 1)
    assert "2,000" in run("owner", "list").stdout
    assert "as many as it likes" in run("owner", "set", "vision", "--no-limit").stdout
    assert as_json(run("owner", "release", "vlm", "--json"))["owner"] is None
    for wrong in ([], ["--gpu-hours", "1", "--no-limit"], ["--gpu-hours", "-1"]):
        assert run("owner", "set", "vision", *wrong).exit_code == 2
    assert run("owner", "give", "a b", "vlm").exit_code == 2
