"""`modomodo suggest` and `fit`: the engine on a file of runs, with no service."""

import csv
import re
import subprocess
import sys

import numpy as np
import pytest

from modomodo.errors import WrongUse
from tests.support.file_commands import printed, refused, said, written

DOMAINS = ("coco", "lisa", "sat")
HEAD = ["w_coco", "w_lisa", "w_sat", "out_score", "se"]


@pytest.fixture
def runs(tmp_path):
    """A file of twelve runs, the last without a score."""
    rng = np.random.default_rng(0)
    X = np.vstack([np.eye(3), rng.dirichlet(np.ones(3), size=9)])
    y = np.sqrt(X) @ np.array([0.2, 0.5, 0.3]) + 0.005 * rng.normal(size=12)
    rows = [[*map("{:.9f}".format, x), f"{v:.6f}", "0.005"] for x, v in zip(X, y, strict=True)]
    rows[11][3:] = ["", ""]
    return written(tmp_path / "runs.csv", HEAD, rows)


# --- suggest ------------------------------------------------------------------------------------


def test_suggestions_are_mixtures_with_a_forecast_and_a_reason(runs):
    document = said("suggest", "--data", runs, "--strategy", "bayes-quadratic", "-n", 3)
    assert document["strategy"] == "bayes-quadratic"
    assert len(document["mixtures"]) == 3
    for item in document["mixtures"]:
        assert tuple(item["weights"]) == DOMAINS
        assert sum(item["weights"].values()) == pytest.approx(1, abs=1e-12)
        assert item["sd"] > 0
        assert "from 11 runs" in item["reason"]


def test_the_same_file_and_seed_give_the_same_suggestion(runs):
    ask = ("suggest", "--data", runs, "--strategy", "bayes-quadratic", "--seed", 7)
    assert said(*ask) == said(*ask)


def test_columns_may_stand_in_any_order(runs, tmp_path):
    rows = list(csv.reader(runs.open()))
    turned = written(tmp_path / "turned.csv", rows[0][::-1], [row[::-1] for row in rows[1:]])
    ask = ("--strategy", "quadsurface", "--pin", "coco=0.2")
    for path in (runs, turned):
        weights = said("suggest", "--data", path, *ask)["mixtures"][0]["weights"]
        assert weights["coco"] == pytest.approx(0.2)


def test_suggestions_keep_to_the_space_that_options_describe(runs):
    document = said(
        *("suggest", "--data", runs, "--strategy", "bayes-quadratic", "-n", 4),
        *("--bounds", "coco=0.1:0.5", "--limit", "coco + 2*lisa <= 0.9"),
        *("--max-active", 2, "--zero-or-at-least", "sat=0.2"),
    )
    for item in document["mixtures"]:
        w = item["weights"]
        assert 0.1 <= w["coco"] <= 0.5
        assert w["coco"] + 2 * w["lisa"] <= 0.9 + 1e-12
        assert sum(value > 0 for value in w.values()) <= 2
        assert w["sat"] == 0 or w["sat"] >= 0.2


def test_only_mixtures_of_a_list_are_suggested_if_there_is_one(runs, tmp_path):
    X = np.random.default_rng(5).dirichlet(np.ones(3), size=30).round(4)
    X[:, 2] = 1 - X[:, 0] - X[:, 1]
    among = written(tmp_path / "among.csv", HEAD[:3], X.tolist())
    ask = ("suggest", "--data", runs, "--among", among, "-n", 5, "--bounds", "coco=0.1:1")
    for item in said(*ask, "--strategy", "bayes-quadratic")["mixtures"]:
        w = np.array(list(item["weights"].values()))
        assert np.abs(X - w).max(axis=1).min() < 1e-9
        assert w[0] >= 0.1
    best = said("fit", "--data", runs, "--among", among, "--surrogate", "bayes-quadratic")["best"]
    assert np.abs(X - list(best["weights"].values())).max(axis=1).min() < 1e-9
    none = ("--limit", "coco >= 2")
    assert "no mixture satisfies" in str(refused(*ask, *none))
    assert "none of the 30 listed" in str(refused(*ask[:-2], "--bounds", "coco=1:1"))


def test_pending_mixtures_are_not_suggested_again(runs, tmp_path):
    ask = ("suggest", "--data", runs, "--strategy", "bayes-quadratic")
    first = said(*ask)["mixtures"][0]["weights"]
    # Its own column order, as another tool may write it.
    pending = written(
        tmp_path / "pending.csv",
        ["w_sat", "w_coco", "w_lisa"],
        [[repr(first[name]) for name in ("sat", "coco", "lisa")]],
    )
    second = said(*ask, "--pending", pending)["mixtures"][0]["weights"]
    assert max(abs(first[name] - second[name]) for name in DOMAINS) > 0.005


def test_a_run_that_would_end_early_says_at_which_step(runs):
    ask = ("suggest", "--data", runs, "--strategy", "random", "-n", 5, "--steps", 100)
    for item in said(*ask, "--samples", "coco=50")["mixtures"]:
        ends = 50 / (2 * item["weights"]["coco"])  # two prompts a step
        assert item["steps"] == min(100, int(ends))


def test_within_reach_only_mixtures_that_let_a_run_finish(runs):
    ask = ("suggest", "--data", runs, "--strategy", "bayes-quadratic", "-n", 3, "--steps", 100)
    for item in said(*ask, "--samples", "lisa=50", "--within-reach")["mixtures"]:
        assert item["weights"]["lisa"] <= 0.25 + 1e-12
        assert item["steps"] == 100


def test_a_sum_of_columns_can_be_the_objective(runs, tmp_path):
    rows = list(csv.reader(runs.open()))[1:12]
    both = written(
        tmp_path / "both.csv",
        [*HEAD[:3], "chartqa", "mmmu"],
        [[*row[:3], row[3], str(1 - float(row[3]))] for row in rows],
    )
    ask = ("--benchmark", "chartqa=3", "--benchmark", "mmmu=1", "--surrogate", "bayes-quadratic")
    found = said("fit", "--data", both, *ask)
    assert found["n"] == 11
    # 3/4 s + 1/4 (1 - s) = 1/4 + s/2
    alone = said("fit", "--data", runs, "--surrogate", "bayes-quadratic")
    assert found["best"]["mean"] == pytest.approx(0.25 + 0.5 * alone["best"]["mean"], abs=0.02)


def test_commands_start_without_scipy_and_bayes_quadratic_without_torch_or_a_server(runs):
    code = (
        "import sys\n"
        "from modomodo.cli import app\n"
        "assert 'scipy' not in sys.modules\n"
        "try:\n"
        f"    app(['suggest', '--strategy', 'bayes-quadratic', '--data', {str(runs)!r}])\n"
        "except SystemExit as end:\n"
        "    assert not end.code, end.code\n"
        "heavy = {'torch', 'botorch', 'ax', 'fastapi', 'sqlalchemy', 'matplotlib', 'lightgbm'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


# --- fit ----------------------------------------------------------------------------------------


def test_a_fit_says_how_far_to_trust_it_and_what_it_says(runs):
    found = said("fit", "--data", runs, "--surrogate", "bayes-quadratic", "--noise-column", "se")
    assert found["n"] == 11
    assert set(found["effects"]["alone"]) == set(DOMAINS)
    assert set(found["effects"]["synergy"]) == {"coco*lisa", "coco*sat", "lisa*sat"}
    assert found["loo"]["spearman"] > 0.5
    assert len(found["loo"]["pit"]) == 11
    assert len(found["lessons"]) == 3
    assert 0 <= found["chance_of_better"] <= 1
    assert found["confirmations"] == []


def test_predictions_at_mixtures_of_another_file(runs, tmp_path):
    at = written(tmp_path / "at.csv", ["w_lisa", "w_coco", "w_sat"], [["1", "0", "0"]])
    found = said("fit", "--data", runs, "--surrogate", "bayes-quadratic", "--at", at)
    assert found["predictions"][0]["mean"] == pytest.approx(
        found["effects"]["alone"]["lisa"]["mean"]
    )


def test_minimising_finds_the_other_end(runs):
    ask = ("fit", "--data", runs, "--surrogate", "bayes-quadratic")
    assert said(*ask, "--minimize")["best"]["mean"] < said(*ask)["best"]["mean"]


def test_people_read_points_of_100_and_95_percent_intervals_said_once(runs):
    command = ("--data", runs, "--noise-column", "se")
    document = said("fit", *command, "--surrogate", "bayes-quadratic")
    text = printed("fit", *command, "--surrogate", "bayes-quadratic")
    best = document["best"]
    assert f"best predicted: {100 * best['mean']:.1f} ± {196 * best['sd']:.1f} at" in text
    assert text.count("points of 100") == text.count("± is a 95% interval") == 1
    assert "of 11 inside their 95% interval" in text
    assert "90%" not in text

    item = said("suggest", *command, "--strategy", "bayes-quadratic")["mixtures"][0]
    text = printed("suggest", *command, "--strategy", "bayes-quadratic")
    assert f"{100 * item['mean']:.1f} ± {196 * item['sd']:.1f}" in text
    assert text.count("points of 100") == text.count("± is a 95% interval") == 1


def test_scores_that_are_no_fractions_keep_the_unit_of_their_file(runs, tmp_path):
    with runs.open() as file:
        head, *rows = csv.reader(file)
    for row in rows[:11]:
        row[3] = f"{10 * float(row[3]):.5f}"
    tens = written(tmp_path / "tens.csv", head, rows)
    text = printed("fit", "--data", tens)
    assert "scores in the file's unit of out_score; ± is a 95% interval" in text
    assert re.search(r"best predicted: \d\.\d+ ± 0\.\d+ at", text)


@pytest.mark.parametrize(
    ("command", "ending"),
    [
        *(("fit", "png"), ("suggest", "svg"), ("fit", "html")),
        *(
            pytest.param(*other, marks=pytest.mark.slow)
            for other in (("suggest", "png"), ("fit", "svg"), ("suggest", "html"))
        ),
    ],
)
def test_a_plot_is_drawn_in_the_format_of_its_name(runs, tmp_path, command, ending):
    begins = {"png": b"\x89PNG", "svg": b"<?xml", "html": b"<!doctype html>"}[ending]
    option = "--surrogate" if command == "fit" else "--strategy"
    file = tmp_path / f"plot.{ending}"
    said(command, "--data", runs, option, "bayes-quadratic", "--plot", file)
    assert file.read_bytes().lower().startswith(begins.lower())


def test_a_plot_of_another_format_is_refused(runs, tmp_path):
    ask = ("fit", "--data", runs, "--surrogate", "bayes-quadratic", "--plot", tmp_path / "x.doc")
    assert "must end in .html, .png, .svg" in str(refused(*ask))


# --- what is wrong with a file, and where -----------------------------------------------------


@pytest.mark.parametrize(
    ("head", "row", "what"),
    [
        (["coco", "lisa", "out_score"], ["1", "0", "1"], r"line 1: no weight column.*w_<domain>"),
        (["w_a", "w_a", "out_score"], ["1", "0", "1"], r"line 1: column 'w_a' comes twice"),
        (["w_a", "w_b", "out_score"], ["0.5", "0.43", "1"], r"line 2: weights sum to 0\.93, not 1"),
        (["w_a", "w_b", "out_score"], ["-1", "2", "1"], r"line 2, column 'w_a': weight -1 is not"),
        (["w_a", "w_b", "out_score"], ["x", "1", "1"], r"line 2, column 'w_a': 'x' is not a num"),
        (["w_a", "w_b", "out_score"], ["0", "1", "good"], r"line 2, column 'out_score': 'good'"),
        (["w_a", "w_b", "out_score"], ["0", "1", "inf"], r"line 2, column 'out_score': 'inf'"),
        (["w_a", "w_b", "out_score"], ["0", "1"], r"line 2: 2 cells for 3 columns"),
        (["w_a", "w_b", "out_scor"], ["0", "1", "1"], r"no column 'out_score'; did you mean"),
    ],
)
def test_a_bad_file_is_refused_with_line_and_column(tmp_path, head, row, what):
    path = written(tmp_path / "bad.csv", head, [row])
    for command in ("suggest", "fit"):
        error = refused(command, "--data", path)
        assert str(error).startswith(str(path))
        assert re.search(what, str(error)), error


def test_without_a_score_there_is_nothing_to_fit_but_runs_to_begin_with(tmp_path):
    path = written(tmp_path / "new.csv", ["w_a", "w_b", "out_score"], [["0", "1", ""]])
    assert "'out_score': no row has a value" in str(refused("fit", "--data", path))
    found = said("suggest", "--data", path, "--strategy", "bayes-quadratic", "-n", 2)
    assert [item["mean"] for item in found["mixtures"]] == [None, None]


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path):
    assert "cannot read" in str(refused("fit", "--data", tmp_path / "none.csv"))
    (tmp_path / "image.csv").write_bytes(b"\xff\xd8\xff")
    assert "cannot read" in str(refused("fit", "--data", tmp_path / "image.csv"))
    (tmp_path / "empty.csv").touch()
    assert "is empty" in str(refused("fit", "--data", tmp_path / "empty.csv"))


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        (["suggest", "--strategy", "magic"], "unknown strategy 'magic'; there are auto,"),
        (["fit", "--surrogate", "magic"], "unknown surrogate 'magic'; there are auto,"),
        (["suggest", "--bounds", "coc=0:1"], "unknown domain 'coc' (domains: coco, lisa, sat)"),
        (["suggest", "--bounds", "coco=0.5"], "is not of the form coco=0.1:0.5"),
        (["suggest", "--pin", "coco=2"], "'2' is not a weight between 0 and 1"),
        (["suggest", "--limit", "coco < high"], "coco < high"),
        (["suggest", "--leave-out", "mars"], "unknown domain 'mars'"),
        (["suggest", "--pin", "coco=0.7", "--bounds", "lisa=0.6:1"], "coco"),
        (["suggest", "--within-reach"], "--within-reach needs --samples and --steps"),
        (["fit", "--benchmark", "chartqa"], "is not of the form chartqa=2500"),
    ],
)
def test_wrong_use_is_said_in_words_and_ends_with_2(runs, arguments, what):
    error = refused(arguments[0], "--data", runs, *arguments[1:])
    assert isinstance(error, WrongUse)
    assert what in str(error)


def test_how_alike_domains_are_is_taken_from_a_file(runs, tmp_path):
    (tmp_path / "alike.yaml").write_text("coco: {lisa: 0.9}")
    asked = ("--data", runs, "--similarity", tmp_path / "alike.yaml")
    found = said("fit", *asked, "--surrogate", "bayes-quadratic")
    assert any(
        line.startswith("The similarity of domains is trusted") for line in found["messages"]
    )
    assert said("suggest", *asked, "--strategy", "bayes-quadratic")["mixtures"]
    (tmp_path / "alike.yaml").write_text("coco: {geo: 0.9}")
    assert "unknown domain 'geo'" in str(refused("fit", *asked, "--surrogate", "bayes-quadratic"))
