"""`modomodo suggest` and `fit` on files of runs that changed their mixture on the way."""

from __future__ import annotations

import pytest

from tests.support.file_commands import refused, said, told, written

MEANS = ["w_coco", "w_lisa", "w_sat"]
PHASES = [f"w{p}_{name}" for p in (1, 2) for name in ("coco", "lisa", "sat")]
NONE = [""] * 6
LATE = [0.2, 0, 0.8, 1, 0, 0]
EARLY = [1, 0, 0, 0.2, 0, 0.8]
PLAIN = [
    [1, 0, 0, *NONE, 0.40, ""],
    [0, 1, 0, *NONE, 0.42, "full"],
    [0, 0, 1, *NONE, 0.44, ""],
    [0.3, 0.3, 0.4, *NONE, 0.45, ""],
]
CHANGING = [
    ["", "", "", *EARLY, 0.41, ""],
    [0.6, 0, 0.4, *LATE, 0.55, "scheduled"],
    ["", "", "", *LATE, 0.54, ""],
]
HEAD = [*MEANS, *PHASES, "out_score", "channel"]
BY = ("--strategy", "bayes-quadratic")


@pytest.fixture
def runs(tmp_path):
    """Four plain runs and three schedules: an early sat is better."""
    return written(tmp_path / "runs.csv", HEAD, [*PLAIN, *CHANGING])


@pytest.fixture
def plain(tmp_path):
    rows = [[*row[:3], row[-2]] for row in PLAIN]
    return written(tmp_path / "plain.csv", [*MEANS, "out_score"], rows)


def test_schedules_are_proposed_from_a_file_that_has_some(runs):
    (item,) = said("suggest", "--data", runs, *BY)["mixtures"]
    shares = [phase["share"] for phase in item["schedule"]]
    assert shares == [0.5, 0.5]
    for name, weight in item["weights"].items():
        each = [phase["mixture"][name] for phase in item["schedule"]]
        assert sum(each) / 2 == pytest.approx(weight)
    assert "from 7 runs" in item["reason"]
    assert "that the order of phases matters" in item["reason"]


def test_schedules_are_proposed_from_mixtures_where_they_are_asked_for(plain):
    ask = ("suggest", "--data", plain, "--strategy", "seed", "-n", 9)
    assert "schedule" not in said(*ask)["mixtures"][0]
    uneven = said(*ask, "--shares", "0.25,0.75")["mixtures"]
    assert uneven[0]["schedule"] is None
    changing = [item for item in uneven if item["schedule"]]
    assert [phase["share"] for phase in changing[0]["schedule"]] == [0.25, 0.75]
    shown = told(*ask, "--phases", 2)
    assert "phase 1, 50%" in shown
    assert "phase 2, 50%" in shown


def test_the_first_schedules_are_proposed_from_an_empty_file(tmp_path):
    empty = written(tmp_path / "runs.csv", [], [])
    ask = ("--weights", "coco,lisa,sat", "--phases", 2, "-n", 13)
    mixtures = said("suggest", "--data", empty, "--strategy", "seed", *ask)["mixtures"]
    assert mixtures[0]["schedule"] is None
    assert any(item["schedule"] for item in mixtures)


def test_weights_of_phases_may_be_percents_and_the_domains_have_blanks(tmp_path):
    head = ["w1_a b", "w1_c", "w2_a b", "w2_c", "out_score"]
    rows = [["80%", "20%", "20%", "80%", 0.4], ["100%", "", "100%", "", 0.5]]
    runs = written(tmp_path / "runs.csv", head, rows)
    (item,) = said("suggest", "--data", runs, "--strategy", "random")["mixtures"]
    assert set(item["weights"]) == {"a b", "c"}
    half = written(tmp_path / "half.csv", head, [["80%", "20%", "", "", 0.4]])
    assert "line 2: weights sum to 0, not 1 (w2_a b, w2_c)" in str(
        refused(*("suggest", "--data", half, "--strategy", "random"))
    )


def test_a_file_of_phases_alone_is_as_good(tmp_path):
    rows = [[*row[:3] * 2, row[-2]] for row in PLAIN]
    rows += [[*row[3:9], row[-2]] for row in CHANGING]
    alone = written(tmp_path / "alone.csv", [*PHASES, "out_score"], rows)
    fitted = said("fit", "--data", alone, "--surrogate", "bayes-quadratic")
    assert fitted["n"] == 7
    assert fitted["schedule"]["gain"] > 0.05


def test_a_fit_predicts_schedules_and_says_what_the_best_one_gains(runs):
    ask = ("fit", "--data", runs, "--surrogate", "bayes-quadratic")
    fitted = said(*ask, "--at", runs)
    mean = [item["mean"] for item in fitted["predictions"]]
    assert mean[5] == mean[6] > mean[4] + 0.1
    assert fitted["schedule"]["phases"][0]["mixture"]["sat"] == pytest.approx(1)
    shown = told(*ask)
    assert "the best schedule is predicted +1" in shown
    assert "over the best mixture that stays the same: phase 1 (50% of the steps): " in shown
    refusal = str(refused(*ask[:3], "--surrogate", "quadsurface"))
    assert "auto and bayes-quadratic take schedules" in refusal


def test_where_no_schedule_is_better_a_fit_says_so(tmp_path):
    head = ["w1_coco", "w1_sat", "w2_coco", "w2_sat", "score"]
    rows = [[0.8, 0.2, 0.2, 0.8, 41], [1, 0, 1, 0, 50], [0, 1, 0, 1, 30], [0.5] * 4 + [44]]
    runs = written(tmp_path / "runs.csv", head, rows)
    shown = told(*("fit", "--data", runs, "--objective", "score", "--surrogate", "bayes-quadratic"))
    assert "no schedule is predicted to be better than the best mixture that stays" in shown


def test_what_is_under_way_with_its_phases_is_not_proposed_again(runs, tmp_path):
    ask = ("suggest", "--data", runs, *BY)
    (first,) = said(*ask)["mixtures"]
    weights = [w for phase in first["schedule"] for w in phase["mixture"].values()]
    pending = written(tmp_path / "pending.csv", PHASES, [weights])
    (second,) = said(*ask, "--pending", pending)["mixtures"]
    assert second["schedule"] != first["schedule"]
    assert "and 1 more queued or running" in second["reason"]


def test_rows_of_other_channels_and_of_other_phases_are_left_out_in_words(tmp_path):
    others = [
        [0.5, 0.5, 0, *NONE, 0.3, "step-500"],
        [0.5, 0.5, 0, *NONE, 0.9, "scheduled"],
        ["", "", "", *LATE, 0.9, "scheduled-step-500"],
    ]
    runs = written(tmp_path / "runs.csv", HEAD, [*PLAIN, *CHANGING, *others])
    shown = told("suggest", "--data", runs, *BY)
    assert "from 7 runs" in shown
    assert (
        "3 rows that are of another channel, or of a run with other phases, are not taken" in shown
    )


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--phases", 5), "--phases: 5 is more than 4"),
        (("--phases", 3), "has columns of 2 phases, and 3 are asked for"),
        (("--phases", 2, "--shares", "0.5,0.5"), "either `phases`, how many, or `shares`"),
        (("--shares", "0.25,0.7"), "shares of the phases sum to 0.95, not 1"),
        (("--shares", "half"), "--shares 'half' is not of the form 0.25,0.75"),
        (("--shares", "0.25,0.75"), "line 7: the mixture is not the mean over the phases"),
        (("--max-active", 1), "use many together; leave --max-active out"),
        (("--zero-or-at-least", "coco=0.1"), "leave --zero-or-at-least out"),
        (("--floor", "out_score >= 0.4"), "leave --front, --floor and --worst out"),
        (("--cost", "merged=0.1"), "scores of other channels tell of mixtures alone"),
        (("--strategy", "lattice"), "strategy 'lattice' proposes mixtures alone"),
    ],
)
def test_what_does_not_go_with_schedules_is_refused_with_what_would_be_right(runs, options, said):
    assert said in str(refused("suggest", "--data", runs, *BY, *options))


def test_columns_of_phases_that_are_not_complete_are_refused(tmp_path, runs, plain):
    lacking = written(tmp_path / "lacking.csv", [*MEANS, *PHASES[:5], "out_score"], [])
    assert "no column 'w2_sat'; each domain needs one in each phase" in str(
        refused("suggest", "--data", lacking, *BY)
    )
    wrong = written(tmp_path / "wrong.csv", PHASES, [[1, 0, 0, 0.5, 0, 0]])
    assert "line 2: weights sum to 0.5, not 1" in str(refused("suggest", "--data", wrong, *BY))
    assert "has none; say --phases 2" in str(
        refused(*("fit", "--data", plain, "--surrogate", "bayes-quadratic", "--at", runs))
    )


def test_a_score_that_is_called_like_a_phase_is_a_score(tmp_path):
    head = [*MEANS, "w1_loss", "out_score"]
    runs = written(tmp_path / "runs.csv", head, [[*row[:3], 0.1, row[-2]] for row in PLAIN])
    (item,) = said("suggest", "--data", runs, *BY)["mixtures"]
    assert "schedule" not in item
