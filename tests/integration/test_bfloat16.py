"""Whether runs in bfloat16 learn, at a learning rate as small as the paper's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support import TRAINING_S
from trainer.job import Halted, Job
from trainer.recipe import Recipe, RecipeError


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global MixtureTrainer, load_file, models, run, save_qwen2_vl, torch
    import torch
    from safetensors.torch import load_file

    from tests.support.vlm import save_qwen2_vl
    from trainer.run import models, run
    from trainer.run.grpo import MixtureTrainer


pytestmark = pytest.mark.timeout(TRAINING_S)

MIXTURE = {"coco": 0.5, "sat": 0.5}
RECIPE = {
    "steps": 4,
    "prompts_per_step": 2,
    "generations": 4,
    "max_completion_tokens": 12,
    "learning_rate": 1e-6,
    "schedule": "constant",
    "evaluation": {"limit": 1, "batch_size": 4},
    "checkpoints": {"every": 4, "keep": 1},
}
Weights = dict[str, "torch.Tensor"]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    """The miniature with weights that bfloat16 has too, so that all runs begin at one place."""
    folder = save_qwen2_vl(tmp_path_factory.mktemp("model"))
    base, _ = models.load(Recipe(model=str(folder)))
    base.bfloat16().float().save_pretrained(folder)
    return folder


@dataclass
class Runs:
    model: Path
    folder: Path
    monkeypatch: pytest.MonkeyPatch

    def masters(self, name: str, **recipe) -> Weights:
        """What the optimizer has for the weights at the end of a run."""
        found: Weights = {}

        def score(trainer, step):
            state = trainer.optimizer.optimizer.state
            for name, weight in trainer.model.named_parameters():
                if weight in state:
                    found[name] = state[weight].get("master", weight).detach().float().clone()

        self.monkeypatch.setattr(MixtureTrainer, "score", score)
        parsed = Recipe.parse(RECIPE | {"model": str(self.model)} | recipe)
        run.train_and_score(Job(MIXTURE, parsed, seed=3, folder=self.folder / name))
        return found


@pytest.fixture
def runs(model, tmp_path, monkeypatch) -> Runs:
    return Runs(model, tmp_path, monkeypatch)


def way(model: Path, ends: Weights) -> torch.Tensor:
    """How far each weight has come, as one vector."""
    base, _ = models.load(Recipe(model=str(model)))
    start = dict(base.named_parameters())
    return torch.cat([(ends[name] - start[name].detach()).flatten() for name in sorted(ends)])


def test_a_bfloat16_run_moves_its_weights_as_far_as_a_float32_run_and_plain_adamw_does_not(
    runs, model, monkeypatch
):
    exact = way(model, runs.masters("float32", dtype="float32"))
    ours = way(model, runs.masters("bfloat16", dtype="bfloat16"))
    monkeypatch.setattr(MixtureTrainer, "_choose_optimizer", lambda trainer: None)
    plain = way(model, runs.masters("plain", dtype="bfloat16"))

    def moved(ends):
        return float((ends != 0).float().mean())

    def apart(ends):
        return float((ends - exact).norm() / exact.norm())

    assert moved(exact) > 0.99
    assert moved(ours) > 0.99
    assert moved(plain) < 0.02, "the test tells them apart"
    assert apart(ours) < 0.2
    assert apart(plain) > 0.9


def stop_after(steps: int) -> Callable[[], bool]:
    left = iter([False] * (steps - 1))
    return lambda: next(left, True)


@pytest.mark.parametrize("offload", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_bfloat16_run_halted_in_the_middle_ends_with_the_masters_of_an_undisturbed_one(
    model, tmp_path, offload
):
    recipe = Recipe.parse(
        RECIPE
        | {"model": str(model), "dtype": "bfloat16", "steps": 3, "adamw": {"offload": offload}}
    )
    whole, parted = (Job(MIXTURE, recipe, 3, folder=tmp_path / name) for name in ("one", "two"))
    scores = run.train_and_score(whole).measurements
    with pytest.raises(Halted) as halted:
        run.train_and_score(parted, is_stopping=stop_after(2))
    assert halted.value.step == 2
    assert run.train_and_score(parted).measurements == scores
    ends = [job.folder / "checkpoints/checkpoint-3" for job in (whole, parted)]
    ours, theirs = (load_file(end / "model.safetensors") for end in ends)
    assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    ours, theirs = (torch.load(end / "optimizer.pt", weights_only=True)["state"] for end in ends)
    assert ours.keys() == theirs.keys()
    for number, state in theirs.items():
        assert state["master"].dtype == torch.float32
        assert all(torch.equal(ours[number][name], value) for name, value in state.items())


def test_a_state_that_is_kept_in_host_memory_is_never_read_onto_a_gpu(tmp_path, monkeypatch):
    read: list[tuple[str, str]] = []
    for name in ("optimizer.pt", "scheduler.pt"):
        torch.save({"of": name}, tmp_path / name)
    load = torch.load

    def spying(file, map_location=None, **options):
        read.append((Path(file).name, str(map_location)))
        return load(file, map_location=map_location, **options)

    monkeypatch.setattr(torch, "load", spying)
    taken = []
    takes = SimpleNamespace(load_state_dict=taken.append)
    trainer = object.__new__(MixtureTrainer)
    trainer._recipe = Recipe.parse({"adamw": {"offload": True}})
    trainer.optimizer = trainer.lr_scheduler = takes
    # Several GPUs share the run, and there is none that could be read onto.
    trainer.args = SimpleNamespace(world_size=2, device=torch.device("cuda:1"))
    trainer._load_optimizer_and_scheduler(str(tmp_path))
    assert read[0] == ("optimizer.pt", "cpu")
    assert taken == [{"of": "optimizer.pt"}, {"of": "scheduler.pt"}]


@pytest.mark.parametrize(
    ("plugin", "recipe", "said"),
    [
        ("fsdp", {"adamw": {"offload": True}}, "adamw.offload: DeepSpeed and FSDP offload by"),
        ("deepspeed", {"adamw": {"offload": True}}, "adamw.offload: DeepSpeed and FSDP offload"),
        ("fsdp", {"dtype": "bfloat16"}, "'bfloat16' does not train under FSDP without a GPU"),
    ],
)
def test_what_a_sharding_plugin_cannot_do_is_refused(plugin, recipe, said):
    trainer = SimpleNamespace(
        _recipe=Recipe.parse(recipe),
        args=SimpleNamespace(mixed_precision="no"),
        is_deepspeed_enabled=plugin == "deepspeed",
        is_fsdp_enabled=plugin == "fsdp",
    )
    with pytest.raises(RecipeError, match=said):
        MixtureTrainer._choose_optimizer(trainer)
