"""Runs whose model is shared out over processes by FSDP, as far as CPUs can show it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests import support
from trainer.job import Job
from trainer.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global MixtureTrainer, fsdp_on_cpus, score_base, train_and_score, training_rows, transformers
    import transformers.trainer

    from tests.support import fsdp_on_cpus
    from trainer.data import training_rows
    from trainer.run.grpo import MixtureTrainer
    from trainer.run.run import score_base, train_and_score


pytestmark = pytest.mark.timeout(support.TRAINING_S)

RECIPE = {
    "steps": 2,
    "prompts_per_step": 2,
    "generations": 2,
    "max_completion_tokens": 8,
    "learning_rate": 1e-2,
    "beta": 0.04,
    "evaluation": {"limit": 2, "batch_size": 2, "temperature": 0.0},
    "checkpoints": {"every": 2, "keep": 1},
}
"""At this rate two steps are enough to say something else."""
FSDP = {
    "ACCELERATE_USE_FSDP": "true",
    "ACCELERATE_USE_CPU": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "Qwen2VLDecoderLayer",
    "FSDP_STATE_DICT_TYPE": "FULL_STATE_DICT",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
    "FSDP_CPU_RAM_EFFICIENT_LOADING": "false",
}
"""What accelerate launch sets from `trainer/recipes/accelerate/fsdp.yaml`."""


def of_two(folder: Path) -> dict:
    """What two processes say that share a model."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    # -P: beside it lies a module that is called like a library it needs.
    arguments = [fsdp_on_cpus.__name__, str(folder), json.dumps(RECIPE)]
    program = [sys.executable, "-P", "-m", *arguments]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    root = Path(__file__).parents[2]
    both = []
    for rank in ("0", "1"):
        place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": "2"}
        environment = os.environ | FSDP | meeting | place | {"PYTHONPATH": str(root)}
        both.append(
            subprocess.Popen(
                program,
                env=environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    said = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], said[0][1][-3000:]
    return json.loads(said[0][0].splitlines()[-1])


@pytest.mark.slow
def test_a_sharded_run_resumed_in_the_middle_or_at_its_end_scores_what_it_trained(tmp_path):
    said = of_two(tmp_path)
    assert said["is_sharded"]
    assert said["again"] == said["first"]
    assert said["halted"] == said["first"], "also resumed after the first step"
    base = Recipe.parse(RECIPE | {"steps": 0})
    train_and_score(Job({"sat": 1.0}, base, seed=3, folder=tmp_path / "base"))
    assert fsdp_on_cpus.responses(tmp_path / "base") != said["first"], "not the base model's"


def test_a_finished_run_that_a_domain_ended_early_is_scored_again_without_another_step(
    tmp_path, monkeypatch
):
    per_step = len(training_rows(Recipe(), tmp_path, ["lisa"])["lisa"].rows) // 2
    recipe = Recipe.parse(
        RECIPE | {"steps": 5, "prompts_per_step": per_step, "max_completion_tokens": 2}
    )
    job = Job({"lisa": 1.0}, recipe, seed=3, folder=tmp_path)
    outcome = train_and_score(job)
    assert (outcome.steps, outcome.exhausted) == (2, "lisa")
    first = fsdp_on_cpus.responses(tmp_path)
    for file in (tmp_path / "responses/step-2").iterdir():
        file.unlink()
    monkeypatch.setattr(MixtureTrainer, "training_step", None)  # none is called
    assert train_and_score(job).measurements == outcome.measurements
    assert fsdp_on_cpus.responses(tmp_path) == first
    assert outcome.measurements != score_base(recipe)


def test_a_finished_deepspeed_run_is_scored_with_the_weights_that_deepspeed_reads(
    tmp_path, monkeypatch
):
    """DeepSpeed is not here: its flag is set, and a stand-in reads its checkpoint."""
    read = []

    def start(trainer, **options):
        return None, None

    def load(model, checkpoint, **options):
        read.append(checkpoint)
        saved = type(model).from_pretrained(checkpoint)
        model.load_state_dict(saved.state_dict())

    def with_deepspeed(trainer, *arguments):
        trainer.is_deepspeed_enabled = True
        train_from(trainer, *arguments)

    job = Job({"sat": 1.0}, Recipe.parse(RECIPE), seed=3, folder=tmp_path)
    outcome = train_and_score(job)
    first = fsdp_on_cpus.responses(tmp_path)
    for file in (tmp_path / "responses/step-2").iterdir():
        file.unlink()
    train_from = MixtureTrainer.train_from
    monkeypatch.setattr(MixtureTrainer, "train_from", with_deepspeed)
    # Imported there only where DeepSpeed is; it would have read the schedule, too.
    monkeypatch.setattr(transformers.trainer, "DeepSpeedSchedulerWrapper", object, raising=False)
    monkeypatch.setattr(transformers.trainer, "deepspeed_init", start)
    monkeypatch.setattr(transformers.trainer, "deepspeed_load_checkpoint", load)
    assert train_and_score(job).measurements == outcome.measurements
    assert fsdp_on_cpus.responses(tmp_path) == first
    assert read == [str(tmp_path / "checkpoints/checkpoint-2")]
