"""Tables as people have them: read as they are meant, or refused with what would be right."""

from __future__ import annotations

import re

import numpy as np
import pytest

from modomodo import runs_file
from modomodo.errors import CommandFailed, WrongUse
from modomodo.runs_file import Layout, ScoreColumns
from modomodo.runs_options import layout_of
from modomodo.tables import STDIN
from service.notation import numbers
from tests.support.file_commands import said

WEIGHTS = [[0.5, 0.5], [0.25, 0.75]]
SCORES = [0.6, 0.7]

AS_MEANT = {
    "plain": "w_a,w_b,out_score\n0.5,0.5,0.6\n0.25,0.75,0.7\n",
    "semicolons and decimal commas": "w_a;w_b;out_score\n0,5;0,5;0,6\n0,25;0,75;0,7\n",
    "semicolons and points": "w_a;w_b;out_score\n0.5;0.5;0.6\n0.25;0.75;0.7\n",
    "decimal commas in quotes": 'w_a,w_b,out_score\n"0,5","0,5","0,6"\n"0,25","0,75","0,7"\n',
    "tabs": "w_a\tw_b\tout_score\n0,5\t0,5\t0,6\n0,25\t0,75\t0,7\n",
    "percent signs": "w_a,w_b,out_score\n50%,50%,60%\n25%,75%,70%\n",
    "percent signs as in French": "w_a;w_b;out_score\n50 %;50 %;60,0 %\n25\u00a0%;75 %;70,0 %\n",
    "a percent sign in some weights": "w_a,w_b,out_score\n50%,0.5,0.6\n25%,75%,0.7\n",
    "weights of 100 in all": "w_a,w_b,out_score\n50,50,0.6\n25,75,0.7\n",
    "a trailing comma": "w_a,w_b,out_score,\n0.5,0.5,0.6,\n0.25,0.75,0.7,\n",
    "a trailing comma in rows": "w_a,w_b,out_score\n0.5,0.5,0.6,,\n0.25,0.75,0.7,\n",
    "empty columns and rows": "w_a,w_b,,out_score,,\n0.5,0.5,,0.6,,\n,,,,,\n0.25,0.75,,0.7,,\n",
    "an unnamed index": ",w_a,w_b,out_score\n0,0.5,0.5,0.6\n1,0.25,0.75,0.7\n",
    "a byte order mark": "\ufeffw_a,w_b,out_score\n0.5,0.5,0.6\n0.25,0.75,0.7\n",
    "a line that names the separator": "sep=;\nw_a;w_b;out_score\n0,5;0,5;0,6\n0,25;0,75;0,7\n",
    "lines of Windows": "w_a,w_b,out_score\r\n0.5,0.5,0.6\r\n0.25,0.75,0.7\r\n",
    "lines of an old Mac": "w_a,w_b,out_score\r0.5,0.5,0.6\r0.25,0.75,0.7\r",
    "blank lines": "\n\nw_a,w_b,out_score\n\n0.5,0.5,0.6\n  \n0.25,0.75,0.7\n\n",
    "blanks around cells": " w_a , w_b, out_score \n0.5 , 0.5, 0.6\n0.25, 0.75 ,0.7\n",
    "line ends of Unicode in a cell": "w_a,w_b,n,out_score\n0.5,0.5,a\u2028b\x0b\x85,0.6\n"
    "0.25,0.75,c\u2029d\x0c\x1c,0.7\n",
    "a line end in a cell": 'w_a,w_b,n,out_score\n0.5,0.5,"a\nb",0.6\n0.25,0.75,c,0.7\n',
    "few digits": "w_a,w_b,out_score\n0.4999,0.5,0.6\n0.25,0.75,0.7\n",
    "what arithmetic leaves": "w_a,w_b,w_c,out_score\n0.5,0.5,-1e-17,0.6\n0.25,0.75,0,0.7\n",
    "minus signs of typesetters": "w_a,w_b,x,out_score\n0.5,0.5,\u22121,0.6\n0.25,0.75,1,0.7\n",
}


def written(tmp_path, text, name="runs.csv"):
    file = tmp_path / name
    file.write_bytes(text.encode())
    return file


def runs_in(file, layout=runs_file.AS_IT_IS, objective="out_score"):
    found = runs_file.read(file, layout)
    return found, *runs_file.runs_of(found, ScoreColumns(objective, {}, None))


@pytest.mark.parametrize("text", AS_MEANT.values(), ids=AS_MEANT)
def test_a_table_is_read_as_it_is_meant(tmp_path, text):
    _, runs, unscored = runs_in(written(tmp_path, text))
    assert runs.weights[:, :2] == pytest.approx(np.array(WEIGHTS), abs=1e-3)
    assert runs.weights.sum(axis=1) == pytest.approx(1, abs=1e-12)
    assert runs.score.tolist() == pytest.approx(SCORES)
    assert len(unscored) == 0


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_a_table_in_excels_encodings_is_read(tmp_path, encoding):
    file = tmp_path / "runs.txt"
    file.write_bytes("w_größe\tw_b\tout_score\n0,5\t0,5\t0,6\n".encode(encoding))
    assert runs_in(file)[0].domains == ("größe", "b")


@pytest.mark.parametrize("gap", ["", "nan", "NaN", "NA", "#N/A", "n/a", "null", "None", "-", "#NV"])
def test_a_gap_is_a_run_without_a_score(tmp_path, gap):
    text = f"w_a,w_b,out_score\n0.5,0.5,0.6\n0.25,0.75,{gap}\n"
    _, runs, unscored = runs_in(written(tmp_path, text))
    assert runs.score.tolist() == [0.6]
    assert unscored.tolist() == [[0.25, 0.75]]


def test_an_empty_weight_is_zero(tmp_path):
    _, runs, _ = runs_in(written(tmp_path, "w_a,w_b,out_score\n,1,0.6\nNaN,1,0.7\n"))
    assert runs.weights.tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize(
    "text",
    [
        "a,b,out_score\n0.25,0.75,0.7\n",
        "w_a,w_b,out_score\n0.25,0.75,0.7\n",
        "out_score,b,a\n0.7,0.75,0.25\n",
    ],
)
def test_weight_columns_can_be_named(tmp_path, text):
    file, runs, _ = runs_in(written(tmp_path, text), Layout(("a", "b")))
    assert file.domains == ("a", "b")
    assert runs.weights.tolist() == [[0.25, 0.75]]


def test_rows_are_scaled_where_that_is_asked_for(tmp_path):
    file = written(tmp_path, "w_a,w_b,w_c,out_score\n0.33,0.33,0.33,0.6\n2,1,1,0.7\n")
    with pytest.raises(CommandFailed, match=r"line 2: weights sum to 0\.99, not 1.*--normalise"):
        runs_file.read(file)
    found = runs_file.read(file, Layout(normalise=True))
    assert found.weights == pytest.approx(np.array([[1 / 3] * 3, [0.5, 0.25, 0.25]]))


REFUSED = {
    "decimal commas between commas": (
        "w_a,w_b,out_score\n0,5,0,5,0,6\n",
        r"line 2: 6 cells for 3 columns; with decimal commas, put ';' between the cells",
    ),
    "too few cells": ("w_a,w_b,out_score\n0.5,0.5\n", r"line 2: 2 cells for 3 columns; an empty"),
    "both units": (
        "w_a,w_b,out_score\n0.5,0.5,0.6\n25,75,0.7\n",
        r"weights sum to 1 in line 2 and to 100 in line 3; write all as fractions",
    ),
    "percents that are rounded": (
        "w_a,w_b,out_score\n50,50,0.6\n25,74,0.7\n",
        r"line 3: weights sum to 99, not 1 or 100 .*--normalise",
    ),
    "a percent sign in some scores": (
        "w_a,w_b,out_score\n0.5,0.5,60%\n0.25,0.75,70\n",
        r"column 'out_score': a percent sign in line 2 and none in line 3; write all",
    ),
    "no prefix": ("a,b,out_score\n0.5,0.5,0.6\n", r"line 1: no weight column.*--weights coco,lisa"),
    "a column twice": ("w_a,w_b,x,x\n0.5,0.5,1,1\n", r"line 1: column 'x' comes twice; rename"),
    "a domain twice": ("w_a,w_a ,x\n0.5,0.5,1\n", r"line 1: column 'w_a' comes twice"),
    "two readings": (
        'w_a,w_b,out_score\n1,0,"61,234"\n0,1,"62,345"\n',
        r"line 2, column 'out_score': '61,234' can be read as 61.234 and as 61234; write 61.2340",
    ),
    "a formula that failed": ("w_a,w_b,out_score\n1,0,#DIV/0!\n", r"'#DIV/0!' is not a number"),
    "a fraction": ("w_a,w_b,out_score\n1/3,2/3,1\n", r"column 'w_a': '1/3' is not a number"),
    "a row of means": ("w_a,w_b,out_score\n1,0,0.6\n,,0.6\n", r"line 3: weights sum to 0, not 1"),
    "nothing": ("", r"is empty; its first line must name the columns.*--weights coco,lisa"),
    "blank lines alone": ("\n \n", r"is empty"),
}


@pytest.mark.parametrize(("text", "what"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused_with_what_would_be_right(tmp_path, text, what):
    with pytest.raises(CommandFailed) as caught:
        runs_in(written(tmp_path, text))
    assert re.search(what, str(caught.value)), caught.value
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"PK\x03\x04...", "is a workbook; save its sheet as CSV"),
        (b"\xd0\xcf\x11\xe0...", "is a workbook; save its sheet as CSV"),
        ("w_größe,w_b\n1,0\n".encode("cp1252"), "save the sheet as 'CSV UTF-8'"),
    ],
)
def test_a_file_that_is_no_such_text_says_how_to_save_it(tmp_path, content, what):
    file = tmp_path / "runs.xlsx"
    file.write_bytes(content)
    with pytest.raises(CommandFailed, match=what):
        runs_file.read(file)


@pytest.mark.parametrize(
    ("text", "mark", "value"),
    [
        ("1,234", ".", 1234),
        ("1.234", ",", 1234),
        ("1.234", "", 1.234),
        ("1,234,567", "", 1234567),
        ("1.234,5", "", 1234.5),
        ("1,234.5", "", 1234.5),
        ("1 234,5", ",", 1234.5),
        ("1\u202f234,5", ",", 1234.5),
        ("1'234.5", ".", 1234.5),
        ("0.123", ",", 0.123),
        ("0,123", ".", 0.123),
        (",5", ",", 0.5),
        (".5", ".", 0.5),
        ("5.", ".", 5),
        ("1,5E-3", ",", 0.0015),
        ("1e-3", ".", 0.001),
        ("+2", ".", 2),
        ("\u22120,25", ",", -0.25),
        ("12,5 %", ",", 0.125),
    ],
)
def test_numbers_are_read_as_their_writer_meant_them(text, mark, value):
    assert numbers.read(text, mark).value == pytest.approx(value)


@pytest.mark.parametrize("text", ["1_000", "inf", "0x10", "1.2.3", "1,2,3", "1e999", "5 5", "e5"])
def test_what_is_no_number_is_not_taken_for_one(text):
    with pytest.raises(ValueError, match=r"is not a number|too large"):
        numbers.read(text, ".")


def test_names_of_weights_are_checked(tmp_path):
    file = written(tmp_path, "coco,lisa,out_score\n0.5,0.5,0.6\n")
    with pytest.raises(
        CommandFailed, match=r"names 'coc', which is no column; did you mean 'coco'"
    ):
        runs_file.read(file, layout_of("coc,lisa", False))
    for wrong in ("", ",", "a,,b", "w_,b"):
        with pytest.raises(WrongUse, match="is not of the form"):
            layout_of(wrong, False)
    with pytest.raises(WrongUse, match="names 'a' twice"):
        layout_of("a,w_a", False)
    with pytest.raises(WrongUse, match="only one file can be -"):
        layout_of(None, False, STDIN, None, STDIN)
    assert layout_of('"my data, mine",b', True) == Layout(("my data, mine", "b"), True)


# --- by the commands ----------------------------------------------------------------------------


BY_QUADRATIC = ("--strategy", "bayes-quadratic")


@pytest.mark.parametrize(
    ("text", "more"),
    [
        ("w_a,w_b,w_c,out_score\n", ()),
        ("w_a;w_b;w_c", ()),
        ("", ("--weights", "a,b,c")),
        ("a,b,c,out_score\n", ("--weights", "a,b,c")),
    ],
)
def test_the_first_runs_are_suggested_from_an_empty_file(tmp_path, text, more):
    file = written(tmp_path, text)
    found = said("suggest", "--data", file, *BY_QUADRATIC, "-n", 3, *more)["mixtures"]
    assert found[0]["weights"] == pytest.approx({"a": 1 / 3, "b": 1 / 3, "c": 1 / 3})
    assert len({tuple(item["weights"].values()) for item in found}) == 3


def test_a_table_can_come_by_standard_input():
    table = "w_a;w_b;out_score\n0,5;0,5;0,6\n1;0;0,5\n0;1;0,4\n"
    ask = ("fit", "--data", "-", "--surrogate", "bayes-quadratic")
    assert said(*ask, input=table)["n"] == 3


def test_other_files_are_laid_out_like_the_runs(tmp_path):
    runs = written(tmp_path, "a b,b,out_score\n50,50,0.6\n100,0,0.5\n0,100,0.4\n")
    at = written(tmp_path, "b;a b\n0,25;0,75\n", "at.csv")
    ask = ("fit", "--data", runs, "--surrogate", "bayes-quadratic", "--weights", "a b,b")
    found = said(*ask, "--at", at)
    assert len(found["predictions"]) == 1
    assert set(found["effects"]["synergy"]) == {"a b*b"}


@pytest.mark.parametrize(
    "limit", ['"a b" + 2*c <= 0.6', "'a b'+ 2 * c<=0.6", "`a b` + 2c <= .6", "a b + 2e0*c <= 6e-1"]
)
def test_names_with_spaces_are_names_like_others(tmp_path, limit):
    file = written(tmp_path, "w_a b,w_c,w_d\n")
    ask = ("suggest", "--data", file, "--strategy", "random", "-n", 5, "--limit", limit)
    for item in said(*ask, "--bounds", "a b=0.1:0.5", "--pin", '"d"=0.55')["mixtures"]:
        w = item["weights"]
        assert w["a b"] + 2 * w["c"] <= 0.6 + 1e-9
        assert w["a b"] >= 0.1 - 1e-9
        assert w["d"] == pytest.approx(0.55)
