"""`modomodo score` from the outside."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modomodo.cli import app
from modomodo.errors import CommandFailed, WrongUse
from rewards.rules import RULES

VECTORS = Path(__file__).parents[2] / "data" / "vectors"
runner = CliRunner()


def run(*arguments: str | Path, ok: bool = True, **options):
    result = runner.invoke(app, ["score", *map(str, arguments)], **options)
    assert (result.exit_code == 0) == ok, result.output
    return result


def scored(text: str) -> list[dict]:
    return [json.loads(line) for line in text.splitlines()]


@pytest.fixture
def cases(tmp_path) -> Path:
    path = tmp_path / "cases.jsonl"
    lines = [
        {"response": "14.5", "answer": "14", "note": "kept\u2028whole"},
        {"response": "20", "answer": 14},
    ]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n\n" for line in lines))
    return path


def test_each_line_comes_back_with_its_score(cases):
    result = run("--rule", "chartqa-relaxed", "--in", cases)
    assert scored(result.stdout) == [
        {"response": "14.5", "answer": "14", "note": "kept\u2028whole", "score": 1.0},
        {"response": "20", "answer": 14, "score": 0.0},
    ]
    assert "chartqa-relaxed: 50.0 points of 100 over 2 responses" in result.stderr


def test_the_result_may_go_to_a_file_and_the_cases_come_from_stdin(cases, tmp_path):
    out = tmp_path / "scored.jsonl"
    result = run("--rule", "exact", "--in", "-", "--out", out, input=cases.read_text())
    assert result.stdout == ""
    assert [line["score"] for line in scored(out.read_text())] == [0.0, 0.0]


@pytest.mark.parametrize(
    ("file", "rule"), [("anls", "anls"), ("mmmu_mcq", "mmmu"), ("boxes_visualrft", "box-greedy")]
)
def test_files_of_published_scores_are_reproduced(file, rule):
    path = VECTORS / f"{file}.jsonl"
    found = scored(run("--rule", rule, "--in", path).stdout)
    expected = [line["score"] for line in scored(path.read_text())]
    assert [line["score"] for line in found] == pytest.approx(expected, abs=1e-6)


def test_a_corpus_rule_says_the_score_of_all_cases_together(tmp_path):
    path = tmp_path / "boxes.jsonl"
    sizes = [(10, 10), (50, 100)]
    lines = [
        {"response": f"[0, 0, {w}, {h}]", "answer": [0, 0, 2 * w - 10, h], "extra": {}}
        for w, h in sizes
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result = run("--rule", "lisa-ciou", "--in", path)
    assert [line["score"] for line in scored(result.stdout)] == [1.0, pytest.approx(5 / 9)]
    assert "lisa-ciou: 56.0 ± 1.9 points of 100 (± 95% interval) over 2 responses" in result.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{"response": "a"', "line 3: not JSON"),
        ("[1]", "line 3: a list, not an object"),
        ('{"response": "a"}', "line 3: no 'answer'; it has response"),
        ("{}", "line 3: no 'response'; it has no keys"),
        ('{"response": 5, "answer": "5"}', "line 3: 'response' is a number, not text"),
        ('{"response": "", "answer": null}', "line 3: 'answer' is null"),
        ('{"response": "", "answer": "", "extra": []}', "line 3: 'extra' is a list, not an object"),
        ("[" * 100_000, "line 3: not JSON"),
    ],
    ids=lambda text: text[:20],
)
def test_a_wrong_line_is_named_and_nothing_is_written(cases, tmp_path, line, says):
    with cases.open("a") as file:
        file.write(line + "\n")
    lines = cases.read_text().split("\n")
    cases.write_text("\n".join(line for line in lines if line) + "\n")
    out = tmp_path / "out.jsonl"
    result = run("--rule", "exact", "--in", cases, "--out", out, ok=False)
    assert isinstance(result.exception, CommandFailed)
    assert f"{cases}, {says}" in str(result.exception)
    assert not out.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--rule", "chart-relaxed"], "did you mean 'chartqa-relaxed'"),
        (["--rule", "chart"], "did you mean 'chartqa-relaxed'"),
        (["--rule", "qqq"], "no rule 'qqq'; known: exact,"),
        ([], "give a rule and a file"),
    ],
)
def test_wrong_use_is_told_from_failure(cases, arguments, says):
    given = [*arguments, "--in", cases] if arguments else []
    result = run(*given, ok=False)
    assert isinstance(result.exception, WrongUse)
    assert says in str(result.exception)


def test_a_file_that_is_not_there_is_named(tmp_path):
    result = run("--rule", "exact", "--in", tmp_path / "none.jsonl", ok=False)
    assert "none.jsonl" in str(result.exception)


def test_the_list_says_what_each_rule_does_and_where_it_comes_from():
    listed = json.loads(run("--list", "--json").stdout)
    assert [rule["name"] for rule in listed] == list(RULES)
    assert all(rule["does"] and rule["source"] for rule in listed)
    shown = run("--list", env={"COLUMNS": "200"}).stdout
    assert all(name in shown for name in RULES)
    assert "lmms-eval" in shown
