"""One run on two processes, by accelerate."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from safetensors.numpy import load_file

from tests.support import TRAINING_S, forks
from trainer import recipes
from trainer.job import Crash, Halted, Job, Outcome, Progress
from trainer.recipe import Recipe
from trainer.worker.child import Child
from trainer.worker.run_process import Message

pytestmark = pytest.mark.timeout(TRAINING_S)

RECIPE = {
    "steps": 3,
    "prompts_per_step": 3,
    "generations": 2,
    "adaptive": {},
    "max_completion_tokens": 12,
    "evaluation": {"at": [2], "limit": 4, "batch_size": 4},
    "checkpoints": {"every": 2, "keep": 1},
}
"""Six completions: with two processes, one prompt's group lies on both of them. The last step is
drawn by the rewards of the first."""
CONFIGS = recipes.FOLDER / "accelerate"


def train_on_two(folder: Path) -> dict:
    """The outcome that `modomodo train` prints under `accelerate launch`."""
    config = yaml.safe_load((CONFIGS / "ddp.yaml").read_text())
    launch, recipe = folder / "launch.yaml", folder / "recipe.yaml"
    launch.write_text(yaml.safe_dump(config | {"num_processes": 2, "use_cpu": True}))
    recipe.write_text(yaml.safe_dump(RECIPE))
    launcher = ["-m", "accelerate.commands.launch", "--config_file", str(launch)]
    train = ["-m", "modomodo", "train", str(recipe), "--mixture", "coco=0.4,sat=0.6"]
    options = ["--folder", str(folder / "run"), "--json"]
    done = subprocess.run(
        [sys.executable, *launcher, "--main_process_port", "0", *train, *options],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout)


def curve(folder: Path) -> list[dict[str, float]]:
    return [json.loads(line) for line in (folder / "run/metrics.jsonl").read_text().splitlines()]


def a_job(folder: Path) -> Job:
    return Job({"coco": 0.4, "sat": 0.6}, Recipe.parse(RECIPE), seed=0, folder=folder / "run")


@pytest.fixture(scope="module", autouse=True)
def _with_torch():
    with forks.shared():
        yield


@pytest.fixture(scope="module")
def alone(tmp_path_factory) -> tuple[Path, Outcome]:
    """The same run on one process."""
    folder = tmp_path_factory.mktemp("one")
    outcome = last_message(Child(a_job(folder)))
    assert isinstance(outcome, Outcome), outcome
    return folder, outcome


def assert_shared(folder: Path, alone: Path) -> None:
    for one, shared in zip(curve(alone), curve(folder), strict=True):
        for name in set(one) - {"step_s"}:
            assert shared[name] == pytest.approx(one[name], rel=1e-4, abs=1e-5), name
    weights = [
        load_file(f / "run/checkpoints/checkpoint-3/model.safetensors") for f in (alone, folder)
    ]
    # AdamW's first steps are a learning rate long whatever the gradient: rounding can turn one.
    furthest = max(float(abs(weights[0][n] - weights[1][n]).max()) for n in weights[0])
    assert furthest < 1e-4
    states = {path.name for path in (folder / "run/checkpoints/checkpoint-3").glob("rng*")}
    assert states == {"rng_state_0.pth", "rng_state_1.pth"}


@pytest.mark.slow
def test_two_processes_get_the_order_and_the_result_of_one(alone, tmp_path):
    both, (folder, one) = train_on_two(tmp_path), alone
    assert both["samples"] == one.counts
    assert both["measurements"] == [m.model_dump(mode="json") for m in one.measurements]
    assert {m.step for m in one.measurements} == {2, 3}
    assert_shared(tmp_path, folder)


def test_a_workers_run_on_two_processes_halts_and_goes_on_together(alone, tmp_path):
    child = Child(a_job(tmp_path), tmp_path / "log", processes=2)
    child.halt()
    ended = last_message(child)
    assert isinstance(ended, Halted), ended
    assert ended.step == 1
    outcome = last_message(Child(a_job(tmp_path), tmp_path / "log", processes=2))
    assert isinstance(outcome, Outcome), outcome
    assert outcome.measurements == alone[1].measurements
    assert_shared(tmp_path, alone[0])


def last_message(child: Child) -> Message | None:
    try:
        while isinstance(message := child.hear(120), Progress):
            pass
        return message
    finally:
        child.stop()


@pytest.mark.parametrize("number", [0, 1])
def test_a_run_is_over_when_any_of_its_processes_is_killed(tmp_path, number):
    child = Child(a_job(tmp_path), tmp_path / "log", processes=2)
    try:
        assert isinstance(child.hear(120), Progress)
        os.kill(child.pids[number], signal.SIGKILL)
        while isinstance(message := child.hear(60), Progress):
            pass
        assert isinstance(message, Crash)
    finally:
        child.stop()
