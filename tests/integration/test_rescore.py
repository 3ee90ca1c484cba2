"""Responses that a run kept are scored again without the model."""

from __future__ import annotations

import json

import pytest
from typer.testing import CliRunner

from modomodo.cli import app
from trainer.job import Job
from trainer.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global benchmark_sets, evaluate, load, pa, pq, run
    import pyarrow as pa
    import pyarrow.parquet as pq

    from trainer.data import benchmark_sets
    from trainer.run import run
    from trainer.run.evaluate import evaluate
    from trainer.tiny.model import load


RECIPE = Recipe.parse({"steps": 0, "evaluation": {"limit": 6, "batch_size": 4}})


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    outcome = run.train_and_score(Job({"sat": 1.0}, RECIPE, seed=0, folder=folder))
    return folder / "responses" / "step-0", outcome.measurements


def rescore(*arguments):
    return CliRunner().invoke(app, ["rescore", *map(str, arguments)])


def test_every_rule_of_the_run_gives_its_score_again(kept):
    folder, measurements = kept
    assert len(measurements) > len(list(folder.iterdir())) == 7
    for measured in measurements:
        file = folder / f"{measured.benchmark}.parquet"
        [again] = json.loads(rescore(file, "--rule", measured.rule, "--json").stdout)
        assert (again["benchmark"], again["step"]) == (measured.benchmark, 0)
        assert again["samples"] == measured.samples == 6
        assert again["score"] == pytest.approx(measured.score)
        assert again["se"] == (None if measured.se is None else pytest.approx(measured.se))


def test_another_rule_scores_the_same_responses_one_by_one(kept, tmp_path):
    folder, _ = kept
    out = tmp_path / "scores.jsonl"
    files = sorted(folder.iterdir())
    assert rescore(*files, "--rule", "think-answer-format", "--out", out).exit_code == 0
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(lines) == 7 * 6
    assert {line["benchmark"] for line in lines} == {file.stem for file in files}
    assert all(0 <= line["score"] <= 1 and line["response"] for line in lines)


def test_answers_do_not_depend_on_the_size_of_batches(kept):
    _, measurements = kept
    model, processor = load()
    wider = RECIPE.model_copy(
        update={"evaluation": RECIPE.evaluation.model_copy(update={"batch_size": 6})}
    )
    sets = benchmark_sets(wider, run.Path())
    assert evaluate(model, processor, sets, wider, step=0) == measurements


def test_what_holds_no_responses_is_refused(tmp_path):
    (tmp_path / "text.parquet").write_text("no table")
    pq.write_table(pa.table({"id": ["1"]}), tmp_path / "other.parquet")
    assert "cannot read" in str(rescore(tmp_path / "text.parquet").exception)
    assert "no column 'benchmark'" in str(rescore(tmp_path / "other.parquet").exception)
    wrong = rescore(tmp_path / "text.parquet", "--rule", "exct")
    assert "did you mean 'exact'" in str(wrong.exception)
