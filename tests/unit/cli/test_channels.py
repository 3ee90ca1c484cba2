"""`suggest` and `fit` on files with scores of other prices."""

from __future__ import annotations

import re

import numpy as np
import pytest
from typer.testing import CliRunner

from modomodo.cli import app
from modomodo.errors import CommandFailed, WrongUse
from service.search.surrogates import SURROGATES, TAKING_CHANNELS
from tests.support import file_commands
from tests.support.file_commands import said
from tests.support.fits import few_settings

HEAD = ["w_coco", "w_lisa", "w_sat", "out_score", "channel", "run"]


def truth(X):
    return np.sqrt(X) @ np.array([0.2, 0.5, 0.3])


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch):
    few_settings(monkeypatch)


@pytest.fixture
def rows():
    """Ten full runs, each with a score at step 6 too, and twenty scores of merged models."""
    rng = np.random.default_rng(0)
    X = np.vstack([np.eye(3), rng.dirichlet(np.ones(3), size=27)])
    y = truth(X) + 0.005 * rng.normal(size=30)
    scored = [[*x, v] for x, v in zip(X, y, strict=True)]
    full = [[*row, "full" if i % 2 else "", f"r{i}"] for i, row in enumerate(scored[:10])]
    early = [[*x, 10 + 3 * v, "step-6", f"r{i}"] for i, (*x, v) in enumerate(scored[:10])]
    merged = [[*x, v / 2, "merged", ""] for *x, v in scored[10:]]
    return full + early + merged


def written(path, rows, head=HEAD):
    return file_commands.written(path, head, rows)


def run(*arguments):
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_a_fit_says_how_far_each_channel_carries_over(rows, tmp_path):
    file = written(tmp_path / "runs.csv", rows)

    document = said("fit", "--data", file, "--surrogate", "bayes-quadratic")

    assert document["n"] == 10
    assert list(document["channels"]) == ["merged", "step-6"]
    assert {name: found["n"] for name, found in document["channels"].items()} == {
        "merged": 20,
        "step-6": 10,
    }
    for found in document["channels"].values():
        assert 0 <= found["rho"] <= 1
        assert found["rho_sd"] >= 0
        assert found["worth_in_runs"] >= 0
    assert document["channels"]["merged"]["worth_in_runs"] > 1
    printed = " ".join(run("fit", "--data", file, "--surrogate", "bayes-quadratic").stdout.split())
    assert "20 scores of merged: worth" in printed
    assert re.search(
        r"carr\w+ over [\w ]*\(correlation [01]\.\d\d, [01]\.\d\d to [01]\.\d\d\)", printed
    )


def test_predictions_are_of_whole_runs_and_better_for_cheap_scores(rows, tmp_path):
    X = np.random.default_rng(1).dirichlet(np.ones(3), size=40)
    at = written(tmp_path / "at.csv", X, HEAD[:3])
    ask = ("--surrogate", "bayes-quadratic", "--at", at)

    def error(rows, name):
        document = said("fit", "--data", written(tmp_path / name, rows), *ask)
        found = np.array([p["mean"] for p in document["predictions"]])
        return float(np.sqrt(((found - truth(X)) ** 2).mean()))

    alone, beside = error(rows[:10], "alone.csv"), error(rows[:10] + rows[20:], "all.csv")
    assert beside < alone < 0.1


def test_a_file_of_full_runs_alone_is_as_without_the_columns(rows, tmp_path):
    told = written(tmp_path / "told.csv", rows[:10])
    plain = written(tmp_path / "plain.csv", [row[:4] for row in rows[:10]], HEAD[:4])
    ask = ("--surrogate", "bayes-quadratic")

    assert said("fit", "--data", told, *ask) == said("fit", "--data", plain, *ask)


def test_a_column_run_alone_means_nothing(rows, tmp_path):
    numbered = [[*row[:4], "1"] for row in rows[:10]]  # the same for all, of many mixtures
    told = written(tmp_path / "told.csv", numbered, [*HEAD[:4], "run"])

    assert said("fit", "--data", told, "--surrogate", "bayes-quadratic")["channels"] == {}


def test_suggestions_learn_from_channels_and_say_so(rows, tmp_path):
    file = written(tmp_path / "runs.csv", rows)

    document = said("suggest", "--data", file, "--strategy", "bayes-quadratic")

    assert "from 10 runs and 30 scores of other channels" in document["mixtures"][0]["reason"]


def test_what_does_not_take_channels_says_so(rows, tmp_path):
    file = written(tmp_path / "runs.csv", rows)

    fitted = said("fit", "--data", file, "--surrogate", "quadsurface")
    suggested = run("suggest", "--data", file, "--strategy", "quadsurface", "--seed", 1)

    assert fitted["channels"]["merged"] == {
        "n": 20,
        "rho": None,
        "rho_sd": None,
        "worth_in_runs": None,
    }
    assert any("scores of 'merged', 'step-6' are not used" in m for m in fitted["messages"])
    assert "quadsurface proposes from full runs alone" in " ".join(suggested.output.split())


def test_the_surrogates_that_take_channels_are_those_that_are_named():
    taking = [name for name, make in SURROGATES.items() if make().takes_channels]
    assert taking == list(TAKING_CHANNELS)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda rows: rows[10].__setitem__(5, "r4"), "line 12: run 'r4' has another mixture in"),
        (
            lambda rows: rows.append([*rows[10][:3], 0.1, "step-6", "r0"]),
            "line 42: run 'r0' has a score of channel 'step-6' in line 12 already",
        ),
        (lambda rows: rows.__delitem__(slice(0, 10)), "no full run has a value"),
        (lambda rows: rows.__delitem__(slice(1, 10)), "needs at least 2 completed runs"),
    ],
    ids=["two mixtures", "twice", "no full run", "one full run"],
)
def test_a_file_whose_runs_cannot_be_is_refused(rows, tmp_path, change, complaint):
    change(rows)
    result = run(
        "fit", "--data", written(tmp_path / "runs.csv", rows), "--surrogate", "bayes-quadratic"
    )

    assert isinstance(result.exception, CommandFailed), result.output
    assert complaint in str(result.exception)


def test_rows_without_a_score_may_say_anything_of_their_run(rows, tmp_path):
    rows.append([0.2, 0.3, 0.5, "", "step-6", "r0"])
    file = written(tmp_path / "runs.csv", rows)

    assert said("fit", "--data", file, "--surrogate", "bayes-quadratic")["n"] == 10


def test_cheap_scores_alone_still_get_first_runs_proposed(rows, tmp_path):
    file = written(tmp_path / "runs.csv", rows[10:])

    document = said("suggest", "--data", file, "--strategy", "bayes-quadratic", "-n", 2)

    assert len(document["mixtures"]) == 2


def test_a_fit_says_what_share_each_surrogate_has(rows, tmp_path):
    file = written(tmp_path / "runs.csv", rows[:10])

    shares = said("fit", "--data", file, "--surrogate", "bayes-quadratic")["shares"]

    assert shares == {"bayes-quadratic": 1.0}


def test_with_a_cost_cheaper_scores_are_proposed_and_what_they_gain(rows, tmp_path):
    file = written(tmp_path / "runs.csv", rows)
    asked = ["suggest", "--data", file, "--strategy", "bayes-quadratic", "-n", 2]

    plain = said(*asked)["mixtures"]
    cheap = said(*asked, "--cost", "merged=0.001")["mixtures"]
    barred = said(*asked, "--cost", "merged=0.001", "--channels", "full")["mixtures"]

    assert [(item["channel"], item["cost"]) for item in plain] == [("full", 1.0)] * 2
    assert [(item["channel"], item["cost"]) for item in cheap] == [("merged", 0.001)] * 2
    assert all(item["gain_per_cost"] > 0 for item in plain + cheap)
    assert barred == plain
    table = run(*asked, "--cost", "merged=0.001").stdout
    assert "cost in runs" in table
    assert "merged" in table


def test_what_is_under_way_in_a_channel_is_not_proposed_again(rows, tmp_path):
    file = written(tmp_path / "runs.csv", rows)
    asked = ["suggest", "--data", file, "--strategy", "bayes-quadratic", "--cost", "merged=0.001"]
    (first,) = said(*asked)["mixtures"]
    row = [*first["weights"].values(), "merged"]
    pending = written(tmp_path / "pending.csv", [row], [*HEAD[:3], "channel"])

    (second,) = said(*asked, "--pending", pending)["mixtures"]

    assert second["weights"] != first["weights"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--cost", "merged"], "--cost: 'merged' is not of the form merged=0.02"),
        (["--cost", "merged=0"], "--cost: 'merged=0': '0' is not a number of full runs above 0"),
        (["--cost", "merged=nan"], "--cost: 'merged=nan': 'nan' is not a number of full runs"),
        (["--cost", "merged=x"], "'x' is not a number of full runs above 0"),
        (["--cost", "full=2"], "costs are in full runs, so full is 1"),
        (["--channels", "full,merged"], "'merged' has no cost; say --cost merged=0.1"),
        (["--cost", "merged=1", "--channels", "merged"], "'merged' lacks full"),
        (["--cost", "merged=1", "--strategy", "random"], "random proposes full runs alone"),
    ],
)
def test_costs_that_cannot_be_meant_are_told_apart(rows, tmp_path, options, message):
    file = written(tmp_path / "runs.csv", rows)
    result = run("suggest", "--data", file, *options)
    assert isinstance(result.exception, WrongUse)
    assert message in str(result.exception)


def test_a_part_of_a_run_with_a_schedule_is_evidence_of_nothing_and_told(rows, tmp_path):
    parts = [[0.2, 0.3, 0.5, 0.9, f"scheduled-step-{step}", f"s{step}"] for step in (5, 6)]
    files = [written(tmp_path / f"{len(each)}.csv", each) for each in (rows, rows + parts)]
    ask = ("--strategy", "random", "--pending", files[1])
    plain, beside = (said("fit", "--data", f, "--surrogate", "bayes-quadratic") for f in files)
    assert plain == beside
    assert "2 rows of runs with a schedule that ended on the way are not taken" in (
        " ".join(run("suggest", "--data", files[1], *ask).output.split())
    )
