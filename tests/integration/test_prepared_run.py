"""A real GRPO run of the miniature model on prepared data that nobody here made."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.datasets import png, write_jsonl
from trainer.catalog import open_dataset
from trainer.domains.errors import DataError
from trainer.domains.prepare import prepare
from trainer.job import Job
from trainer.recipe import Recipe

EASY_VQA = Path(__file__).parents[1] / "data" / "easy_vqa"

RECIPE = {
    "steps": 2,
    "prompts_per_step": 4,
    "generations": 4,
    "max_completion_tokens": 12,
    "evaluation": {"temperature": 1.0, "batch_size": 6, "limit": 10},
}


@pytest.fixture(scope="module")
def run():
    """The back end, with torch, which processes without these tests need not import."""
    import torch

    from trainer.run import run

    threads = torch.get_num_threads()
    yield run
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A folder of prepared datasets: easy-vqa's two splits, and rows of no and of two images."""
    root = tmp_path_factory.mktemp("data")
    spec = root / "easy-vqa.yaml"
    spec.write_text(
        "name: easy-vqa\npath: questions.json\nreward: sat-text\n"
        "official: [anls-strict, chartqa-relaxed]\n"
        "columns: {id: '{2}-{0}', images: 'images/{2}.png', question: 0, answer: 1}\n"
    )
    for split in ("train", "test"):
        prepare(*open_dataset(str(spec), str(EASY_VQA / split)), root / split)
    mixed = root / "files"
    rows = [
        {"id": str(i), "question": "How many?", "answer": str(i), "images": ["1.png"] * (i % 3)}
        for i in range(12)
    ]
    write_jsonl(mixed / "rows.jsonl", rows)
    (mixed / "1.png").write_bytes(png(64, 64))
    prepare(*open_dataset(str(mixed)), root / "mixed")
    return root


def recipe(**other) -> Recipe:
    sets = {"domains": {"vqa": "train", "odd": "mixed"}, "benchmarks": {"vqa-test": "test"}}
    return Recipe.parse(RECIPE | {"data": sets} | other)


def test_a_run_trains_on_prepared_domains_and_scores_prepared_benchmarks(run, data):
    reported = []
    job = Job({"vqa": 1.0, "odd": 0.0}, recipe(), seed=1, data=data)
    outcome = run.train_and_score(job, reported.append)
    assert outcome.counts == {"vqa": 8}
    [measured] = [m for m in outcome.measurements if m.rule == "paper"]
    assert (measured.benchmark, measured.samples, measured.step) == ("vqa-test", 10, 2)
    assert any("reward/vqa" in progress.metrics for progress in reported)
    assert run.train_and_score(job).measurements == outcome.measurements


def test_a_run_reports_the_papers_rule_and_every_official_one(run, data):
    found = run.score_base(recipe(steps=0), data=data)
    assert [m.rule for m in found] == ["paper", "anls-strict", "chartqa-relaxed"]
    assert {(m.benchmark, m.samples) for m in found} == {("vqa-test", 10)}
    assert all(m.sampling_error() > 0 for m in found)


def test_all_rewards_together_train_a_model(run, data):
    weights = {
        "format": 1.0,
        "accuracy": 2.0,
        "iou": 2.0,
        "math": 1.0,
        "box-greedy": 1.0,
        "length-penalty": 0.5,
        "repetition-penalty": 0.5,
    }
    job = Job({"vqa": 1.0}, recipe(reward_weights=weights), seed=1, data=data)
    reported = []
    assert run.train_and_score(job, reported.append).steps == 2
    rewards = [p.metrics["reward/vqa"] for p in reported if "reward/vqa" in p.metrics]
    assert rewards
    assert all(-1 <= reward <= 4 for reward in rewards)


def test_rows_of_no_one_and_several_images_train_and_score_together(run, data):
    sets = {"domains": {"vqa": "train", "odd": "mixed"}, "benchmarks": {"odd-test": "mixed"}}
    job = Job({"vqa": 0.2, "odd": 0.8}, recipe(data=sets), seed=1, data=data)
    outcome = run.train_and_score(job)
    assert outcome.counts["odd"] >= 5
    assert {m.samples for m in outcome.measurements} == {10}


def test_a_run_ends_when_a_domain_has_no_unseen_sample_left(run, data):
    job = Job({"odd": 1.0}, recipe(steps=100, prompts_per_step=6, generations=2), 0, data=data)
    outcome = run.train_and_score(job)
    assert (outcome.exhausted, outcome.steps, outcome.counts) == ("odd", 2, {"odd": 12})


def test_rows_without_images_train_alone(run, tmp_path):
    rows = [{"id": str(i), "question": f"{i} + 1?", "answer": str(i + 1)} for i in range(8)]
    write_jsonl(tmp_path / "sums/rows.jsonl", rows)
    prepare(*open_dataset(str(tmp_path / "sums")), tmp_path / "out")
    sets = {"domains": {"sums": "out"}, "benchmarks": {"sums": "out"}}
    job = Job({"sums": 1.0}, recipe(data=sets), seed=0, data=tmp_path)
    assert run.train_and_score(job).counts == {"sums": 8}


def test_a_domain_without_a_folder_is_named(run, data):
    job = Job({"other": 1.0}, recipe(), seed=0, data=data)
    with pytest.raises(DataError, match="no folder for domain 'other'; it has vqa, odd"):
        run.train_and_score(job)


def test_a_folder_that_is_not_prepared_is_named(run, data):
    sets = {"domains": {"vqa": "nowhere"}, "benchmarks": {"vqa-test": "test"}}
    job = Job({"vqa": 1.0}, recipe(data=sets), seed=0, data=data)
    with pytest.raises(DataError, match="nowhere holds no prepared dataset"):
        run.train_and_score(job)


@pytest.mark.parametrize(
    ("field", "rules", "says"),
    [
        ("rule", "exakt", "rule 'exakt': .*did you mean 'exact'"),
        ("official", ["chartqa"], "rule 'chartqa': .*did you mean 'chartqa-relaxed'"),
    ],
)
def test_a_rule_that_is_unknown_is_named_before_anything_is_scored(
    run, data, tmp_path, field, rules, says
):
    shutil.copytree(data / "test", tmp_path / "test")
    shutil.copytree(data / "train", tmp_path / "train")
    manifest = tmp_path / "test" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {field: rules}))
    sets = {"domains": {"vqa": "train"}, "benchmarks": {"vqa-test": "test"}}
    with pytest.raises(DataError, match=says):
        run.score_base(recipe(data=sets), data=tmp_path)


def test_boxes_that_count_in_two_ways_are_refused(run, tmp_path):
    write_jsonl(
        tmp_path / "files/rows.jsonl",
        [{"question": "Where?", "answer": [1, 1, 9, 9], "images": "1.png", "answer_type": "boxes"}],
    )
    (tmp_path / "files/1.png").write_bytes(png(10, 10))
    for way in ("thousandths", "pixels"):
        source, reader = open_dataset(str(tmp_path / "files"))
        prepare(source, reader, tmp_path / way, coordinates=way)
    sets = {"domains": {"boxes": "thousandths"}, "benchmarks": {"boxes": "pixels"}}
    with pytest.raises(DataError, match="'thousandths' in thousandths, 'pixels' in pixels"):
        run.score_base(recipe(data=sets), data=tmp_path)


def test_the_base_answers_without_reasoning_too(run, data):
    plain = recipe(steps=0, prompt="plain")
    [measured] = [m for m in run.score_base(plain, data=data) if m.rule == "paper"]
    assert measured.samples == 10
