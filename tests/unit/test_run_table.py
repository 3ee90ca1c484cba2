"""Tables of finished runs: read as they are meant; what is not taken is told by line and column."""

from __future__ import annotations

import random
from contextlib import suppress

import pytest

from service.notation.table_text import BadTable
from service.schemas import RefusedRun, StudySpec, TrialsImported
from service.study import run_outcome, run_table
from tests.support.bodies import study_body

SPEC = StudySpec.model_validate(study_body())
TWO = StudySpec.model_validate(
    study_body(
        domains=[{"name": "coco"}, {"name": "sat"}],
        benchmarks=[
            {"name": "sat", "group": "in", "samples": 100},
            {"name": "chart", "group": "out", "samples": 200},
        ],
    )
)
HEAD = "w_coco,w_lisa,w_sat,lisa_test,chart,info"


def read(text: str | bytes, spec: StudySpec = SPEC, tags=()):
    content = text if isinstance(text, bytes) else text.encode()
    return run_table.read(spec, content, "runs.csv", tags)


def answer(n_new=0, known=(), refused=(), numbers=()):
    return TrialsImported(
        dry_run=not numbers,
        n_new=n_new,
        numbers=list(numbers),
        known=list(known),
        refused=[RefusedRun(run=place, why=why) for place, why in refused],
        n_refused=len(refused),
    )


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}\n0.25,0.75,0,0.5,0.6,0.7\n",
        f"{HEAD}\n25,75,,50%,60%,70%\n",
        f"{HEAD.replace('w_', '')}\n0.25,0.75,0,0.5,0.6,0.7\n",
        "coco;lisa;chart;info;lisa_test\n0,25;0,75;0,6;0,7;0,5\n",
        f"\ufeff{HEAD}\r\n0.25,0.75,0,0.5,0.6,0.7\r\n",
        f"state,channel,{HEAD}\ncompleted,,0.25,0.75,-1e-17,0.5,0.6,0.7\n",
        f"State,{HEAD}\nwhatever,0.25,0.75,0,0.5,0.6,0.7\n",
    ],
)
def test_a_run_is_read_as_it_is_meant(text):
    table = read(text)
    assert not table.wrong
    assert not table.left_out
    (run,) = table.runs
    weights = {name: weight for name, weight in run.mixture.items() if weight}
    assert weights == pytest.approx({"coco": 0.25, "lisa": 0.75})
    assert run.scores == pytest.approx({"lisa_test": 0.5, "chart": 0.6, "info": 0.7})


def test_notes_tags_and_time_come_along():
    text = f"{HEAD},wall_s,note,tags,seed\n1,0,0,0.5,0.6,0.7,12.5,=1+1,old;seed 2,7\n"
    table = read(text, tags=["spring"])
    (run,) = table.runs
    assert (run.wall_s, run.note, run.tags) == (12.5, "=1+1", ["spring", "old", "seed 2"])
    assert table.unused == ("seed",)


def test_a_domain_without_a_column_has_no_weight_and_that_is_said():
    table = read("w_coco,chart,info\n1,0.6,0.7\n")
    assert table.zero == ("lisa", "sat")
    assert "no column for lisa, sat: weight 0 in every run" in table.with_answer(None).remarks()


@pytest.mark.parametrize(
    ("row", "why", "kind"),
    [
        ("failed,,1,0,0,,,", "its run is failed, and only completed", run_outcome.NOT_COMPLETED),
        ("queued,,1,0,0,,,", "its run is queued", run_outcome.NOT_COMPLETED),
        ("early_stopped,step-3,1,0,0,1,1,1", "is early_stopped", run_outcome.NOT_COMPLETED),
        ("completed,merged,1,0,0,1,1,1", "scores are of channel 'merged'", run_outcome.NOT_WHOLE),
        ("completed,,1,0,0,0.5,,", "no score of chart, info", run_outcome.NO_SCORE),
        ("completed,,1,0,0,,NaN,0.7", "no score of chart, which", run_outcome.NO_SCORE),
        ("completed,,1,0,0,,,", "no score of chart, info", run_outcome.NO_SCORE),
    ],
)
def test_lines_that_are_no_finished_whole_run_are_left_out(row, why, kind):
    table = read(f"state,channel,{HEAD}\n{row}\ncompleted,,1,0,0,0.5,0.6,0.7\n")
    (left,) = table.left_out
    assert (left.line, left.kind) == (2, kind)
    assert why in left.why
    assert table.lines == (3,)


@pytest.mark.parametrize(
    ("row", "why"),
    [
        ("0.5,0.4,0,0.5,0.6,0.7", "weights sum to 0.9, not 1 or 100 (w_coco, w_lisa, w_sat)"),
        ("NaN,0.5,0.5,0.5,0.6,0.7", "column 'w_coco': 'NaN' is no weight"),
        ("inf,0.5,0.5,0.5,0.6,0.7", "column 'w_coco': 'inf' is not a number"),
        ("1e999,0,0,0.5,0.6,0.7", "column 'w_coco': '1e999' is too large"),
        ("-0.5,1,0.5,0.5,0.6,0.7", "column 'w_coco': weight -0.5 is below 0"),
        ("=1/1,0,0,0.5,0.6,0.7", "column 'w_coco': '=1/1' is not a number"),
        ("1,0,0,0.5,=A1,0.7", "column 'chart': '=A1' is not a number"),
        ("1,0,0,0.5,54.2,0.7", "column 'chart': 54.2 is not a number from 0 to 1"),
        ("1,0,0,0.5,-0.1,0.7", "column 'chart': -0.1 is not a number from 0 to 1"),
        ("1,0,0,0.5,\x000.6,0.7", "column 'chart'"),
        ("100,0,0,0.5,0.6,0.7", "weights sum to 100, and to 1 in line 2"),
    ],
)
def test_what_cannot_be_read_is_told_by_line_and_column(row, why):
    table = read(f"{HEAD}\n1,0,0,0.5,0.6,0.7\n{row}\n")
    (wrong,) = table.wrong
    assert wrong.line == 3
    assert why in wrong.why


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        ("-5,,", "column 'wall_s': -5 is less than 0 seconds"),
        (",a\x00b,", "column 'note': text must not hold the character U+0000"),
        (",,=cmd()", "column 'tags': '=cmd()' is no tag"),
        (f",,{'x' * 41}", "column 'tags'"),
        (f",,{';'.join(map(str, range(21)))}", "column 'tags'"),
        (f",{'x' * 4001},", "column 'note': is longer than 4000 characters"),
    ],
)
def test_what_comes_along_is_checked_too(cells, why):
    table = read(f"{HEAD},wall_s,note,tags\n1,0,0,0.5,0.6,0.7,{cells}\n")
    (wrong,) = table.wrong
    assert why in wrong.why


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "has no runs"),
        (HEAD, "has no runs"),
        (f"{HEAD},chart\n1,0,0,1,1,1,1\n", "line 1: column 'chart' comes twice"),
        ("w_coco,w_lissa,chart,info\n1,0,1,1\n", "column 'w_lissa': study 'vlm' has no such domai"),
        ("chart,info\n1,1\n", "no column of weights; study 'vlm' has the domains w_coco"),
        ("w_coco,score\n1,1\n", "no column of scores; study 'vlm' has the benchmarks lisa_test"),
        (f"{HEAD}\n1,0,0,1,1\n", "line 2: 5 cells for 6 columns"),
        (f"{HEAD}\n1,0,0,1,1,1,1\n", "line 2: 7 cells for 6 columns"),
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (f"{HEAD}\n1,0,0,1,1,1\n".encode() + b"\xe9,\n", "line 3 is not UTF-8 text"),
        (b"PK\x03\x04", "is a workbook; save its sheet as CSV"),
        ("x" + "," * 2000 + "\n1\n", "2,001 columns; at most 1,000"),
        (f"{HEAD}\n" + "1,0,0,1,1,1\n" * 10_001, "line 10002: more than 10,000 rows"),
        (f'{HEAD}\n"' + "x" * 200_000, "line 2: field larger than field limit"),
    ],
)
def test_a_file_that_is_no_such_table_is_refused(text, why):
    with pytest.raises(BadTable, match=r".*") as refused:
        read(text)
    assert why in str(refused.value)


def test_a_column_that_may_be_weights_or_scores_is_asked_about():
    with pytest.raises(BadTable, match="'sat' may be a domain's weights or a benchmark's scores"):
        read("coco,sat,chart\n1,0,0.5\n", TWO)
    (run,) = read("w_coco,w_sat,sat,chart\n0.5,0.5,0.4,0.6\n", TWO).runs
    assert run.scores == {"sat": 0.4, "chart": 0.6}


def test_rubbish_is_refused_or_told_and_never_breaks():
    drawn = random.Random(0)
    for _ in range(300):
        text = "".join(drawn.choices('w_coco,1;\t"\n=%\x00é0.5', k=drawn.randint(0, 60)))
        with suppress(BadTable):
            read(f"{HEAD}\n{text}" if drawn.random() < 0.7 else text)


def test_what_the_service_says_of_runs_is_told_by_their_lines():
    table = read(
        f"state,{HEAD}\nfailed,1,0,0,,,\ncompleted,1,0,0,0.5,0.6,0.7\n"
        "completed,0,1,0,0.5,0.6,0.7\ncompleted,0,0,1,0.5,0.6,0.7\n"
    )
    outcome = table.with_answer(answer(2, known=[0], refused=[(1, "outside its bounds")]))
    assert [(item.line, item.kind) for item in outcome.left_out] == [
        (2, run_outcome.NOT_COMPLETED),
        (3, run_outcome.KNOWN),
    ]
    assert [(item.line, item.why) for item in outcome.wrong] == [(4, "outside its bounds")]
    assert "nothing is imported while 1 line cannot be taken" in outcome.headline("vlm", dry_run=1)


def test_what_became_of_a_file_is_one_sentence():
    table = read(f"{HEAD}\n1,0,0,0.5,0.6,0.7\n0,1,0,0.5,0.6,0.7\n")
    said = table.with_answer(answer(2)).headline("vlm", dry_run=True)
    assert said == "runs.csv: 2 runs would be added to study 'vlm'"
    said = table.with_answer(answer(2, numbers=[4, 5])).headline("vlm", dry_run=False)
    assert said == "runs.csv: 2 runs added to study 'vlm' as trials 4 to 5"
    said = table.with_answer(answer(0, known=[0, 1])).headline("vlm", dry_run=False)
    assert said == "runs.csv: nothing to import; study 'vlm' stays as it is"


def test_a_file_that_is_there_already_says_as_which_trials():
    table = read(f"{HEAD}\n1,0,0,0.5,0.6,0.7\n0,1,0,0.5,0.6,0.7\n")
    there = answer(0, known=[0, 1]).model_copy(update={"known_numbers": [9, 4]})
    outcome = table.with_answer(there)
    assert [item.why for item in outcome.left_out] == [
        "in the study already, as trial 9",
        "in the study already, as trial 4",
    ]
    said = outcome.headline("vlm", dry_run=True)
    assert said == "runs.csv: 2 runs in study 'vlm' already, as trials 4 and 9; nothing is added"


@pytest.mark.parametrize(
    ("numbers", "said"),
    [
        ([7], "trial 7"),
        ([4, 5], "trials 4 to 5"),
        ([1, 2, 3, 8, 10, 11], "trials 1 to 3, 8 and 10 to 11"),
        (list(range(1, 21, 2)), "trials 1, 3, 5, 7, 9, 11 and 4 more"),
    ],
)
def test_numbers_of_trials_are_told_in_stretches(numbers, said):
    assert run_outcome.named(numbers) == said
