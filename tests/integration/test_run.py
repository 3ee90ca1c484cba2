"""A real GRPO run on the miniature model, in this process."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainer.job import Job, Progress
from trainer.recipe import Evaluation, Recipe
from trainer.tiny.world import BENCHMARKS


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global load, run, torch
    import torch

    from trainer.run import run
    from trainer.tiny.model import load


SHORT = Recipe(
    steps=2,
    prompts_per_step=4,
    generations=4,
    evaluation=Evaluation(temperature=1.0, limit=8, batch_size=8),
)
MIXTURE = {"coco": 0.5, "lisa": 0.0, "geoqav": 0.0, "sat": 0.5, "scienceqa": 0.0}


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def reported() -> list[Progress]:
    return []


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("run")


@pytest.fixture(scope="module")
def outcome(reported, folder):
    job = Job(MIXTURE, SHORT, seed=3, folder=folder, keeps_weights=True)
    return run.train_and_score(job, reported.append)


def test_a_run_scores_all_benchmarks_with_their_sampling_errors(outcome):
    by_paper = [m.benchmark for m in outcome.measurements if m.rule == "paper"]
    assert by_paper == list(BENCHMARKS)
    assert all(m.samples == 8 and m.step == 2 for m in outcome.measurements)
    assert all(0 <= m.score <= 1 and m.sampling_error() > 0 for m in outcome.measurements)


def test_a_run_tells_its_whole_recipe_and_the_versions_that_made_it(outcome):
    assert Recipe.parse(outcome.made_with["recipe"]) == SHORT
    assert outcome.made_with["recipe"]["adamw"]["beta2"] == 0.999, "also what is not written down"
    software = outcome.made_with["software"]
    assert set(software) == {
        *("python", "modomodo", "torch", "transformers", "trl", "accelerate"),
    }
    assert software["torch"] == torch.__version__


def test_the_same_job_gives_the_same_scores(outcome):
    again = run.train_and_score(Job(MIXTURE, SHORT, seed=3))
    assert again.measurements == outcome.measurements
    assert again.counts == outcome.counts


@pytest.mark.usefixtures("outcome")
def test_progress_counts_steps_and_tells_the_reward_of_each_domain_in_the_mixture(reported):
    trained = [p for p in reported if p.stage == "train"]
    assert [p.step for p in trained] == [0, 1, 2]
    assert all(p.total_steps == 2 for p in reported)
    rewards = {name for p in trained for name in p.metrics if name.startswith("reward/")}
    assert rewards == {"reward/coco", "reward/sat"}
    total = SHORT.reward_weights["format"] + SHORT.reward_weights["accuracy"]
    assert all(0 <= p.metrics[name] <= total for p in trained[1:] for name in p.metrics
               if name.startswith("reward/"))  # fmt: skip
    assert reported[-1].stage == f"evaluate {list(BENCHMARKS)[-1]}"
    assert reported[-1].metrics["evaluated"] == 1.0


@pytest.mark.usefixtures("outcome")
def test_training_moves_the_language_model_and_leaves_the_frozen_vision_tower_alone(folder):
    trained = load(folder / "checkpoints" / "checkpoint-2")[0].state_dict()
    before, _ = load()
    changed = {
        name for name, value in before.state_dict().items() if not torch.equal(value, trained[name])
    }
    assert any("language_model" in name for name in changed)
    assert not any("visual" in name for name in changed)


def test_a_run_of_no_steps_scores_the_base():
    recipe = SHORT.model_copy(update={"steps": 0, "evaluation": Evaluation(limit=2)})
    outcome = run.train_and_score(Job(MIXTURE, recipe, seed=0))
    assert outcome.measurements == run.score_base(recipe)
