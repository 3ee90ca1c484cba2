"""`modomodo data …` from the outside."""

import json
from pathlib import Path

import pytest
import yaml
from PIL import Image
from typer.testing import CliRunner

from modomodo.cli import app
from modomodo.errors import CommandFailed
from tests.support.datasets import coco_row, embedded, png, write_parquet
from trainer.benchmarks.table import BENCHMARKS

runner = CliRunner()


def run(*arguments: str | Path, ok: bool = True):
    result = runner.invoke(app, ["data", *map(str, arguments)])
    assert (result.exit_code == 0) == ok, result.output
    return result


@pytest.fixture
def coco(tmp_path) -> Path:
    rows = [coco_row((100 + i, 200, 500, 600), image=embedded(png(100, 50))) for i in range(6)]
    write_parquet(tmp_path / "coco/data/train-00000-of-00001.parquet", "coco", rows)
    return tmp_path / "coco"


def test_prepare_prints_one_json_document(coco, tmp_path):
    result = run("prepare", "coco", "--source", coco, "--out", tmp_path / "out", "--json")
    made = json.loads(result.stdout)
    assert (made["rows"], made["paper_rows"], made["rule"]) == (6, 5997, "box-iou")
    assert json.loads((tmp_path / "out/manifest.json").read_text()) == made


def test_prepare_in_words_names_the_papers_count(coco, tmp_path):
    result = run("prepare", "coco", "--source", coco, "--out", tmp_path / "out", "--limit", 4)
    assert "4 of 6 read (the paper: 5,997), a stratified subset of 6" in result.stdout


def test_prepare_tells_the_first_wrong_rows_of_each_reason(tmp_path):
    rows = [{"question": "q", "answer": ""}] * 12 + [{"question": "q", "answer": "a"}, 5]
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (tmp_path / "rows.jsonl").write_text(lines)
    told = run("prepare", tmp_path / "rows.jsonl", "--out", tmp_path / "out").stdout
    assert "empty answer (12, the first 10)" in told
    assert "rows.jsonl, line 10 (rows-9): empty answer" in told
    assert "line 11" not in told
    assert "rows.jsonl, line 14 (rows-13): a row is int, not an object or a list" in told


def test_show_prints_samples_and_writes_their_images(coco, tmp_path):
    run("prepare", "coco", "--source", coco, "--out", tmp_path / "out")
    result = run("show", tmp_path / "out", "-n", 2, "--images", tmp_path / "images")
    assert "category 'cake'" in result.stdout
    assert "[[100, 200, 500, 600]]" in result.stdout
    names = sorted(path.name for path in (tmp_path / "images").iterdir())
    assert names == ["000-0.png", "001-0.png"]
    drawn = Image.open(tmp_path / "images/000-0.png")
    assert drawn.getpixel((10, 10)) == (255, 0, 80)
    assert drawn.getpixel((80, 45)) == (200, 30, 30)
    shown = json.loads(run("show", tmp_path / "out", "-n", 1, "--first", 5, "--json").stdout)
    assert shown["samples"][0]["answer"] == "[[105, 200, 500, 600]]"
    assert shown["manifest"]["rows"] == 6


def test_hostile_texts_are_shown_as_text(tmp_path):
    folder = tmp_path / "mine"
    folder.mkdir()
    row = {"id": "[red]x[/]", "question": "[link=file:///etc]click[/link]?", "answer": "[/nope]"}
    (folder / "rows.jsonl").write_text(json.dumps(row) + "\n")
    run("prepare", folder, "--out", tmp_path / "out")
    shown = run("show", tmp_path / "out").stdout
    assert all(text in shown for text in row.values())


def test_list_names_every_dataset():
    listed = json.loads(run("list", "--json").stdout)
    assert [one["name"] for one in listed if one["use"] == "training"] == [
        "coco",
        "lisa",
        "geoqav",
        "sat",
        "scienceqa",
    ]
    assert len([one for one in listed if one["use"] == "benchmark"]) == len(BENCHMARKS)
    assert "scienceqa-test" in run("list").stdout


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["prepare", "cocoa", "--out", "x"], "no dataset 'cocoa'"),
        (["prepare", "sat", "--source", "nowhere", "--out", "x"], "no folder nowhere"),
        (["show", "nowhere"], "nowhere holds no prepared dataset"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, says):
    result = run(*arguments, ok=False)
    assert isinstance(result.exception, CommandFailed)
    assert says in str(result.exception)


def test_similarity_prints_pairs_and_what_a_study_takes(coco, tmp_path):
    run("prepare", "coco", "--source", coco, "--out", tmp_path / "one")
    told = run(
        *("similarity", tmp_path / "one", f"again={tmp_path / 'one'}"),
        *("--out", tmp_path / "alike.yaml"),
    ).stdout
    assert "words" in told
    assert yaml.safe_load((tmp_path / "alike.yaml").read_text()) == {
        "similarity": {"coco": {"again": 1.0}}
    }
    document = json.loads(
        run("similarity", tmp_path / "one", f"b={tmp_path / 'one'}", "--json").stdout
    )
    assert document["domains"] == ["coco", "b"]
    assert set(document["parts"]) == {"words", "answers", "pictures"}


def test_similarity_wants_two_folders_of_different_names(coco, tmp_path):
    run("prepare", "coco", "--source", coco, "--out", tmp_path / "one")
    alone = run("similarity", tmp_path / "one", ok=False)
    assert "two prepared folders or more" in str(alone.exception)
    twice = run("similarity", tmp_path / "one", tmp_path / "one", ok=False)
    assert "two folders are called 'coco'; call one otherwise" in str(twice.exception)
    nowhere = run("similarity", tmp_path / "one", tmp_path / "two", ok=False)
    assert "holds no prepared dataset" in str(nowhere.exception)
