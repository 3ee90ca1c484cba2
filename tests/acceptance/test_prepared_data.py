"""From somebody else's files to a scored trial, by commands alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.client import Client
from service.schemas import BenchmarkSpec, DomainSpec, StudySpec
from tests.support import TRAINING_S
from tests.support.datasets import png, write_jsonl
from tests.support.polling import until
from tests.support.warm import Command, run

pytestmark = pytest.mark.timeout(TRAINING_S)

EASY_VQA = Path(__file__).parents[1] / "data" / "easy_vqa"


def modomodo(*arguments: str | Path) -> None:
    run(*arguments, timeout=TRAINING_S).check_returncode()


@pytest.fixture
def data(tmp_path) -> Path:
    spec = tmp_path / "easy-vqa.yaml"
    spec.write_text(
        "name: easy-vqa\npath: questions.json\nofficial: [sat-text, anls-strict]\n"
        "columns: {id: '{2}-{0}', images: 'images/{2}.png', question: 0, answer: 1}\n"
    )
    for split in ("train", "test"):
        out = tmp_path / "data" / split
        modomodo("data", "prepare", spec, "--source", EASY_VQA / split, "--out", out)
    return tmp_path / "data"


def test_a_prepare_that_was_killed_ends_with_the_same_bytes(tmp_path):
    rows = [
        {"id": str(i), "question": f"Is {i} even?", "answer": "no", "images": ["1.png"]}
        for i in range(4000)
    ]
    write_jsonl(tmp_path / "many/rows.jsonl", rows)
    (tmp_path / "many/1.png").write_bytes(png(8, 8))
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    modomodo("data", "prepare", tmp_path / "many", "--out", whole)
    for chunk in (1, 3):
        with Command("data", "prepare", tmp_path / "many", "--out", cut) as process:
            until((cut / f".progress/report-{chunk:05d}.json").exists, every_s=0.001)
            process.kill()
            process.wait()
        assert not (cut / "manifest.json").exists()
    modomodo("data", "prepare", tmp_path / "many", "--out", cut)
    names = sorted(path.name for path in whole.iterdir())
    assert sorted(path.name for path in cut.iterdir()) == names
    assert all((cut / name).read_bytes() == (whole / name).read_bytes() for name in names)


@pytest.mark.slow
def test_a_worker_trains_and_scores_a_study_on_prepared_data(data, service_url):
    spec = StudySpec(
        name="own",
        domains=[DomainSpec(name="vqa", samples=123)],
        benchmarks=[BenchmarkSpec(name="vqa-test", group="out", samples=61)],
        strategy="seed",
        budget=1,
        recipe={
            "steps": 2,
            "prompts_per_step": 2,
            "generations": 2,
            "data": {"domains": {"vqa": "train"}, "benchmarks": {"vqa-test": "test"}},
            "max_completion_tokens": 8,
            "evaluation": {"limit": 20},
        },
    )
    with Client(service_url) as client:
        client.create_study(spec)
        modomodo("worker", "--url", service_url, "--study", "own", "--until-done", "--data", data)
        [trial] = client.trials("own")
    assert trial.state == "completed"
    assert trial.scores.out_score is not None
    assert {m.benchmark: m.samples for m in trial.measurements} == {"vqa-test": 20}
    by_rule = {m.rule: m.score for m in trial.measurements}
    assert by_rule.keys() == {"paper", "sat-text", "anls-strict"}
    assert trial.scores.out_score.value == by_rule["paper"], "official rules are beside it"
    assert trial.artifacts["samples"] == {"vqa": 4}
