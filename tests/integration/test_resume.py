"""Runs that are killed with -9 and started again."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support import TRAINING_S, forks
from trainer.job import Crash, Halted, Job, Outcome, Paused, Progress
from trainer.recipe import Checkpoints, Recipe
from trainer.sections import Adaptive
from trainer.storage.run_folder import FolderTaken, RunFolder
from trainer.worker.child import Child


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global load_file
    from safetensors.torch import load_file


pytestmark = pytest.mark.timeout(TRAINING_S)

RECIPE = Recipe.parse(
    {
        "steps": 5,
        "prompts_per_step": 2,
        "generations": 2,
        "max_completion_tokens": 12,
        "evaluation": {"at": [3], "limit": 2, "batch_size": 2},
        "checkpoints": {"every": 2, "keep": 2},
    }
)
MIXTURE = {"coco": 0.4, "sat": 0.6}
LAST = Path("checkpoints/checkpoint-5")


@pytest.fixture(scope="module", autouse=True)
def _with_torch():
    with forks.shared():
        yield


def job(folder: Path, **other) -> Job:
    return Job(MIXTURE, RECIPE.model_copy(update=other), seed=5, folder=folder)


def run(
    job: Job,
    *,
    die_at: int | None = None,
    halt_at: tuple[str, int] | None = None,
    pause_at: tuple[str, int] | None = None,
) -> tuple[Outcome | Paused | None, list[Progress]]:
    """Runs in a process of its own, which SIGKILL ends at its message number `die_at`, or which is
    asked to halt when it tells that it is in that stage of that step."""
    child, heard = Child(job), []
    try:
        while True:
            message = child.hear()
            assert not isinstance(message, Crash), message.error
            if isinstance(message, Outcome):
                return message, heard
            if isinstance(message, Halted):
                assert message.step == max(RunFolder(job.folder).checkpoints())
                return None, heard
            if isinstance(message, Paused):
                return message, heard
            heard.append(message)
            if len(heard) == die_at:
                os.kill(child.pids[0], signal.SIGKILL)
                return None, heard
            if (message.stage, message.step) == halt_at:
                child.halt()
            if (message.stage, message.step) == pause_at:
                child.pause()
    finally:
        child.stop()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory) -> tuple[Path, Outcome, list[Progress]]:
    folder = tmp_path_factory.mktemp("undisturbed")
    outcome, heard = run(job(folder))
    assert outcome is not None
    return folder, outcome, heard


def learning_curve(folder: Path) -> list[dict[str, float]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "step_s"} for line in lines]


def assert_same(folder: Path, outcome: Outcome, undisturbed) -> None:
    whole, other, _ = undisturbed
    assert outcome.measurements == other.measurements
    assert outcome.counts == other.counts
    ours, theirs = (load_file(path / LAST / "model.safetensors") for path in (folder, whole))
    assert ours.keys() == theirs.keys()
    assert all(bool((ours[name] == theirs[name]).all()) for name in ours), "bit by bit"
    assert learning_curve(folder) == learning_curve(whole)


@pytest.mark.slow
def test_a_run_killed_over_and_over_ends_with_the_weights_and_scores_of_an_undisturbed_one(
    undisturbed, tmp_path
):
    _, _, messages = undisturbed
    # In the first steps, within and between checkpoints, within evaluations, at the last step.
    deaths = [4, 9, 3]
    assert max(deaths) < len(messages)
    for die_at in deaths:
        run(job(tmp_path), die_at=die_at)
    outcome, _ = run(job(tmp_path))
    assert outcome is not None
    assert_same(tmp_path, outcome, undisturbed)


def test_a_run_halted_over_and_over_goes_on_where_it_stood_also_without_regular_checkpoints(
    undisturbed, tmp_path
):
    irregular = job(tmp_path, checkpoints=Checkpoints())
    for halt_at in (("train", 1), ("evaluate sat", 3), ("evaluate chartqa", 5)):
        outcome, _ = run(irregular, halt_at=halt_at)
        assert outcome is None
        assert max(RunFolder(tmp_path).checkpoints()) in (halt_at[1], halt_at[1] + 1)
    outcome, _ = run(irregular)
    assert outcome is not None
    assert_same(tmp_path, outcome, undisturbed)


@pytest.mark.parametrize("share", [0.6, pytest.param(0.3, marks=pytest.mark.slow)])
def test_a_run_killed_once_anywhere_does_not_begin_again(undisturbed, tmp_path, share):
    messages = undisturbed[2]
    _, before = run(job(tmp_path), die_at=round(share * len(messages)))
    outcome, after = run(job(tmp_path))
    assert outcome is not None
    assert_same(tmp_path, outcome, undisturbed)
    trained = [m.step for m in after if m.stage == "train" and m.metrics]
    [resumed] = [m for m in after if m.past]
    assert list(resumed.past) == list(range(1, resumed.step + 1)), "the curve so far"
    reached = max(m.step for m in before)
    assert not trained or min(trained) >= reached - 1, "at most the steps since a checkpoint"


def test_a_finished_run_started_again_only_tells_its_scores(undisturbed):
    folder, outcome, _ = undisturbed
    again, heard = run(job(folder))
    assert again is not None
    assert again.measurements == outcome.measurements
    assert not any(message.metrics.get("reward") for message in heard)


def test_only_the_newest_checkpoints_are_kept_and_nothing_unfinished(undisturbed):
    folder, _, _ = undisturbed
    names = sorted(path.name for path in (folder / "checkpoints").iterdir())
    assert names == ["checkpoint-4", "checkpoint-5"]


def test_the_learning_curve_has_every_step_once_with_domains_rules_and_lengths(undisturbed):
    curve = learning_curve(undisturbed[0])
    assert [line["step"] for line in curve] == list(range(1, 6))
    assert curve[-1]["samples/coco"] + curve[-1]["samples/sat"] == 10
    kinds = {name.split("/")[0] for line in curve for name in line}
    assert kinds >= {"reward", "rule", "samples", "completions", "loss", "learning_rate"}
    assert 0 <= curve[0]["completions/clipped_ratio"] <= 1


def test_scores_on_the_way_are_told_when_they_are_known_and_carry_their_step(undisturbed):
    _, outcome, heard = undisturbed
    [told] = [message for message in heard if message.measurements]
    assert (told.step, {m.step for m in told.measurements}) == (3, {3})
    assert {m.step for m in outcome.measurements} == {3, 5}
    assert outcome.measurements[: len(told.measurements)] == told.measurements


def test_a_folder_of_another_run_is_refused_with_what_differs(undisturbed):
    folder, _, _ = undisturbed
    kept = RunFolder(folder)
    with pytest.raises(FolderTaken, match="seed is 5 there and 6 here"):
        kept.claim(job(folder), seed=6)
    with pytest.raises(FolderTaken, match=r"recipe\.steps is 5 there and 8 here"):
        kept.claim(job(folder, steps=8), seed=5)


def test_a_run_paused_at_a_step_and_at_a_point_ends_as_an_undisturbed_one(undisturbed, tmp_path):
    whole = undisturbed[1]
    paused, _ = run(replace(job(tmp_path), stop_at=2))
    assert isinstance(paused, Paused)
    assert (paused.step, {m.step for m in paused.measurements}) == (2, {2})
    assert RunFolder(tmp_path).checkpoints() == [2]
    again, heard = run(replace(job(tmp_path), stop_at=2))
    assert again.args == paused.args, "who died before it was told so pauses there again"
    assert not any(message.metrics.get("reward") for message in heard)
    paused, _ = run(job(tmp_path), pause_at=("train", 2))
    assert (paused.step, paused.measurements) == (
        3,
        whole.measurements[: len(whole.measurements) // 2],
    )
    outcome, _ = run(job(tmp_path))
    assert_same(tmp_path, outcome, undisturbed)


@pytest.mark.slow
def test_a_killed_run_whose_weights_follow_the_rewards_draws_what_an_undisturbed_one_does(
    tmp_path,
):
    whole, killed = (job(tmp_path / name, adaptive=Adaptive(memory=1.0)) for name in "ab")
    outcome, messages = run(whole)
    assert isinstance(outcome, Outcome)
    curve = learning_curve(whole.folder)
    assert len({line["weight/coco"] for line in curve}) > 1, "rewards differed within groups"
    for die_at in (round(0.45 * len(messages)), 9):
        run(killed, die_at=die_at)
    again, _ = run(killed)
    assert isinstance(again, Outcome)
    assert_same(killed.folder, again, (whole.folder, outcome, messages))
    assert again.mean_weights == outcome.mean_weights


def test_what_a_killed_run_had_begun_to_write_is_not_gone_on_from(tmp_path):
    folder = RunFolder(tmp_path, keep=2)
    begun = folder.staging / "checkpoint-4"
    begun.mkdir(parents=True)
    (begun / "model.safetensors").write_bytes(b"half of it")
    folder.checkpoint(2).mkdir()
    assert folder.checkpoints() == [2]
    folder.clear_staging()
    assert not begun.exists()


def test_half_a_line_of_the_learning_curve_is_cut_off(tmp_path):
    folder = RunFolder(tmp_path)
    folder.metrics.write_text('{"step": 1}\n{"step": 2}\n{"step": 3}\n{"ste')
    folder.forget_after(2)
    assert folder.metrics.read_text() == '{"step": 1}\n{"step": 2}\n'
