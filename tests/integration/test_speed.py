"""Runs that are computed in other ways end where they would have."""

from __future__ import annotations

import json

import pytest

from tests.support import TRAINING_S
from trainer.job import Job
from trainer.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global MixtureTrainer, PictureProcessor, captured, load_file, run, save_qwen2_vl, torch
    import torch
    from safetensors.torch import load_file

    from tests.support.graphs import captured
    from tests.support.vlm import save_qwen2_vl
    from trainer.run import run
    from trainer.run.grpo import MixtureTrainer
    from trainer.run.processors import PictureProcessor


pytestmark = pytest.mark.timeout(TRAINING_S)

SLOW = {
    "pictures_once": False,
    "features": False,
    "prefetch": False,
    "compiled": False,
    "evaluation_stages": False,
    "evaluation_sorted": False,
}
RECIPE = {
    "steps": 2,
    "prompts_per_step": 2,
    "generations": 4,
    "gradient_accumulation": 2,
    "beta": 0.04,
    "max_completion_tokens": 12,
    "evaluation": {"limit": 2, "batch_size": 5},
    "checkpoints": {"every": 2},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_qwen2_vl(tmp_path_factory.mktemp("model"))


def trained(model, folder, **speed):
    """Learning curve, scores and weights."""
    recipe = Recipe.parse(RECIPE | {"model": str(model), "speed": speed})
    outcome = run.train_and_score(Job({"coco": 0.5, "sat": 0.5}, recipe, seed=3, folder=folder))
    lines = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    curve = [{name: value for name, value in line.items() if name != "step_s"} for line in lines]
    [weights] = folder.glob("checkpoints/checkpoint-2/model.safetensors")
    return curve, [m.score for m in outcome.measurements], load_file(weights)


def assert_same(ours, theirs):
    assert ours[1] == theirs[1]
    for our_line, their_line in zip(ours[0], theirs[0], strict=True):
        assert our_line == pytest.approx(their_line, rel=1e-4, abs=1e-6)
    for name, weight in theirs[2].items():
        assert torch.allclose(ours[2][name], weight, atol=1e-6), name


def test_a_run_with_all_that_makes_it_fast_learns_what_one_without_learns(
    model, tmp_path, monkeypatch
):
    plain = trained(model, tmp_path / "plain", **SLOW)
    processed = []
    patches = PictureProcessor._patches
    monkeypatch.setattr(
        PictureProcessor,
        "_patches",
        lambda self, image: processed.append(1) or patches(self, image),
    )
    assert_same(trained(model, tmp_path / "fast"), plain)
    assert len(processed) <= 2 * 2 + 7 * 2, "each picture of a step and of an evaluation, once"


def test_a_run_that_decodes_compiled_draws_the_same_completions(model, tmp_path, monkeypatch):
    drawn: dict[str, list] = {}

    def spying(name):
        draw = MixtureTrainer.__dict__["_generate_single_turn"]

        def generate(trainer, *arguments, **options):
            found = draw(trainer, *arguments, **options)
            drawn.setdefault(name, []).append(found[0])
            return found

        return generate

    # Evaluations that decode compiled are in test_answers.py.
    monkeypatch.setattr(MixtureTrainer, "score", lambda trainer, step: None)
    graphs = captured(monkeypatch)
    own = MixtureTrainer._generate_single_turn
    for name, compiled in (("plain", False), ("compiled", True)):
        monkeypatch.setattr(MixtureTrainer, "_generate_single_turn", own)
        monkeypatch.setattr(MixtureTrainer, "_generate_single_turn", spying(name))
        trained(model, tmp_path / name, compiled=compiled)
    assert drawn["compiled"] == drawn["plain"]
    assert len(graphs) == 1, "for all steps"
