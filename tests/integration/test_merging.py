"""Merged models of real runs of the miniature."""

from __future__ import annotations

import shutil
from dataclasses import replace

import pytest

from service.client import Client
from service.schemas import SearchSpec
from tests.support import TRAINING_S, forks
from trainer.data import ItemSet
from trainer.job import ExpertWeights, Halted, Job, Merging
from trainer.recipe import Recipe
from trainer.sections import Lora
from trainer.storage.remote import Store
from trainer.storage.run_folder import RunFolder
from trainer.storage.work_folder import WorkFolder
from trainer.tiny.study import study_spec
from trainer.worker.attempt import Setting
from trainer.worker.signals import Signals
from trainer.worker.worker import Worker

pytestmark = pytest.mark.timeout(TRAINING_S)

RECIPE = Recipe.parse(
    {
        "steps": 2,
        "prompts_per_step": 2,
        "generations": 2,
        "max_completion_tokens": 8,
        "learning_rate": 0.001,
        "evaluation": {"limit": 2, "batch_size": 8},
    }
)
DOMAINS = ("coco", "sat")


@pytest.fixture(scope="module", autouse=True)
def _libraries():
    """Imported when a test here runs: collecting tests imports none of them."""
    global Loaded, adapters, in_turn, merge_and_score, models, save_qwen2_vl, torch
    global train_and_score
    import torch

    from tests.support.vlm import save_qwen2_vl
    from trainer.run import adapters, models
    from trainer.run.blend import Loaded
    from trainer.run.merging import in_turn, merge_and_score
    from trainer.run.run import train_and_score


@pytest.fixture(scope="module", autouse=True)
def _one_thread(_libraries):
    threads = torch.get_num_threads()
    forks.begin_anew()
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    """Runs of single domains, and what they scored."""
    found = {}
    for domain in DOMAINS:
        folder = tmp_path_factory.mktemp(domain)
        mixture = {name: float(name == domain) for name in DOMAINS}
        outcome = train_and_score(Job(mixture, RECIPE, 5, folder=folder, keeps_weights=True))
        weights = RunFolder(folder).checkpoint(outcome.steps)
        found[domain] = ExpertWeights(domain, weights, outcome.steps), outcome.measurements
    return found


def job(experts, mixture, folder=None, **more) -> Job:
    used = tuple(experts[name][0] for name in DOMAINS if mixture[name])
    return Job(mixture, RECIPE, 7, folder=folder, merging=Merging(used, **more))


def quick(experts, mixture) -> Job:
    """A merged model of which one benchmark is scored."""
    return job(experts, mixture, scale_at_uniform=2.0, is_price=True, weighed={"sat"})


def scores(measurements):
    return {(one.benchmark, one.rule): one.score for one in measurements if one.step in (0, 2)}


def quietly(progress):
    """Reports to nobody."""


def never():
    return False


def test_a_run_that_is_to_keep_its_weights_does_though_its_recipe_keeps_none(experts):
    assert RECIPE.checkpoints.every is None
    assert [path.name for path in sorted(experts["coco"][0].folder.glob("*.safetensors"))]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_domain_alone_merges_to_its_expert_whatever_the_scale(experts, domain):
    mixture = {name: float(name == domain) for name in DOMAINS}
    found = merge_and_score(job(experts, mixture, scale_at_uniform=2.0), quietly, never)
    assert scores(found.measurements) == scores(experts[domain][1])
    assert (found.steps, found.made_with["scale"]) == (0, 1.0)


def test_the_uniform_model_is_scaled_until_it_meets_the_run(experts, tmp_path):
    uniform = dict.fromkeys(DOMAINS, 0.5)
    weights = {"chartqa": 1.0, "sat": 1.0}
    stages, tried = [], []

    def report(progress):
        stages.append(progress.stage)
        tried.append(progress.metrics.get("scale_at_uniform"))

    # No price is below 0: the nearest is taken after all were tried.
    found = merge_and_score(
        job(experts, uniform, tmp_path, target=-1.0, weights=weights), report, never
    )
    assert [scale for scale in (1.0, 1.5, 2.0, 2.5, 3.0) if scale in tried] == [
        *(1.0, 1.5, 2.0, 2.5, 3.0)
    ]
    scale = found.made_with["scale_at_uniform"]
    assert 1.0 <= scale <= 3.0
    assert found.made_with["scale"] == pytest.approx(scale)
    again = merge_and_score(job(experts, uniform, tmp_path, scale_at_uniform=scale), quietly, never)
    assert again.measurements == found.measurements


def test_what_an_earlier_job_left_loaded_changes_no_bit_of_a_later_one(experts, monkeypatch):
    mixtures = [{"coco": w, "sat": 1 - w} for w in (1.0, 0.3, 0.7)]
    loaded, again = Loaded(), []
    for mixture in mixtures:
        found = merge_and_score(quick(experts, mixture), quietly, never, loaded)
        state = loaded.of(job(experts, mixture))[0].model.state_dict()
        again.append((found.measurements, {name: t.clone() for name, t in state.items()}))
        monkeypatch.setattr(models, "load", lambda *_: pytest.fail("the base is loaded again"))
    monkeypatch.undo()
    for mixture, (measurements, weights) in zip(mixtures[1:], again[1:], strict=True):
        anew = Loaded()
        found = merge_and_score(quick(experts, mixture), quietly, never, anew)
        assert found.measurements == measurements
        state = anew.of(job(experts, mixture))[0].model.state_dict()
        assert all(torch.equal(state[name], tensor) for name, tensor in weights.items())


def test_experts_that_have_no_room_in_memory_are_read_again_to_the_same_model(experts):
    tight = RECIPE.model_copy(update={"speed": RECIPE.speed.model_copy(update={"kept_gib": 0.0})})
    mixture, loaded = {"coco": 0.3, "sat": 0.7}, (Loaded(), Loaded())
    for one, recipe in zip(loaded, (RECIPE, tight), strict=True):
        for _ in range(2):
            asked = replace(quick(experts, mixture), recipe=recipe)
            merge_and_score(asked, quietly, never, one)
    states = [one._blend.model.state_dict() for one in loaded]
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_an_expert_that_was_fetched_anew_is_read_anew(experts, tmp_path):
    loaded, mixture = Loaded(), {"coco": 1.0, "sat": 0.0}
    folder = tmp_path / "model"
    found = []
    for domain in DOMAINS:
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(experts[domain][0].folder, folder)
        one = ExpertWeights("coco", folder, experts[domain][0].steps)
        alone = quick({"coco": (one,)}, mixture)
        merge_and_score(alone, quietly, never, loaded)
        found.append({n: t.clone() for n, t in loaded._blend.model.state_dict().items()})
    assert any(not torch.equal(found[0][name], found[1][name]) for name in found[0])


def test_scores_are_told_as_they_come_those_that_count_and_are_cheap_first(experts):
    heard = []
    asked = job(experts, dict.fromkeys(DOMAINS, 0.5), scale_at_uniform=2.0, weighed={"sat"})
    found = merge_and_score(asked, heard.append, never)
    told = [one for progress in heard for one in progress.measurements]
    assert told == found.measurements
    assert told[0].benchmark == "sat"


def test_of_a_price_nothing_is_scored_that_the_search_does_not_look_at(experts):
    uniform = dict.fromkeys(DOMAINS, 0.5)
    asked = {"scale_at_uniform": 2.0, "weighed": {"sat", "chartqa"}}
    whole, price, unsaid = (
        merge_and_score(job(experts, uniform, **asked | more), quietly, never).measurements
        for more in ({}, {"is_price": True}, {"is_price": True, "weighed": set()})
    )
    assert {one.benchmark for one in price} == {"sat", "chartqa"}
    assert price == [one for one in whole if one.benchmark in asked["weighed"]]
    assert len(unsaid) == len(whole) > len(price)


def test_benchmarks_are_scored_in_the_order_of_their_cost_those_that_are_weighed_first():
    sets = {name: ItemSet(range(n)) for name, n in (("a", 5), ("b", 9), ("c", 1), ("d", 3))}
    assert list(in_turn(sets, {"a", "b"})) == ["a", "b", "c", "d"]
    assert list(in_turn(sets, ())) == ["c", "d", "a", "b"]


def test_it_ends_when_it_is_told_to(experts):
    uniform = dict.fromkeys(DOMAINS, 0.5)
    with pytest.raises(Halted):
        merge_and_score(job(experts, uniform, scale_at_uniform=2.0), quietly, lambda: True)


def test_adapters_add_up_as_peft_merges_them(tmp_path):
    peft = pytest.importorskip("peft")
    recipe = Recipe.parse({"model": str(save_qwen2_vl(tmp_path)), "lora": {"rank": 4, "alpha": 8}})
    for seed in (1, 2):
        torch.manual_seed(seed)
        model = peft.get_peft_model(models.load(recipe)[0], adapters.peft_config(recipe.lora))
        for name, weight in model.named_parameters():
            if "lora_" in name:
                weight.data += 0.01 * torch.randn_like(weight)
        model.save_pretrained(tmp_path / f"expert-{seed}")
    base, _ = models.load(recipe)
    before = {name: tensor.clone() for name, tensor in base.state_dict().items()}
    folders = [tmp_path / "expert-1", tmp_path / "expert-2"]
    found = adapters.change((adapters.read(base, folder) for folder in folders), [0.5, 2.0])
    assert base.state_dict().keys() == before.keys()
    assert all(torch.equal(tensor, before[name]) for name, tensor in base.state_dict().items())
    wanted = dict.fromkeys(found, 0.0)
    for folder, share in zip(folders, (0.5, 2.0), strict=True):
        merged = peft.PeftModel.from_pretrained(models.load(recipe)[0], str(folder))
        state = merged.merge_and_unload().state_dict()
        changed = {name for name in before if not torch.equal(state[name], before[name])}
        assert changed == found.keys()
        for name in found:
            wanted[name] = wanted[name] + share * (state[name] - before[name])
    for name, change in found.items():
        torch.testing.assert_close(change, wanted[name], atol=1e-6, rtol=1e-3)


def test_adapters_of_a_real_run_merge_to_it(tmp_path):
    pytest.importorskip("peft")
    recipe = RECIPE.model_copy(update={"lora": Lora(rank=4, alpha=8), "freeze_vision": True})
    mixture = {"coco": 1.0, "sat": 0.0}
    outcome = train_and_score(Job(mixture, recipe, 5, folder=tmp_path, keeps_weights=True))
    weights = RunFolder(tmp_path).checkpoint(outcome.steps)
    assert (weights / "adapter_model.safetensors").exists()
    merging = Merging((ExpertWeights("coco", weights, outcome.steps),), scale_at_uniform=2.0)
    loaded, asked = Loaded(), Job(mixture, recipe, 5, merging=merging)
    price = replace(asked, merging=replace(merging, is_price=True, weighed=frozenset({"sat"})))
    states, wanted = [], scores(outcome.measurements)
    for one in (asked, price):
        found = scores(merge_and_score(one, quietly, never, loaded).measurements)
        assert found == {which: wanted[which] for which in found}
        state = loaded.of(asked)[0].model.state_dict()
        states.append({name: tensor.clone() for name, tensor in state.items()})
    assert all(torch.equal(states[0][name], tensor) for name, tensor in states[1].items())


@pytest.mark.slow
def test_a_worker_trains_the_experts_and_merges_them_as_the_service_asks(service_url, tmp_path):
    spec = study_spec("merging", recipe=RECIPE, budget=3, strategy="random")
    domains = [domain for domain in spec.domains if domain.name in DOMAINS]
    search = SearchSpec(channels=["full", "merged"])
    spec = spec.model_copy(update={"domains": domains, "search": search, "baseline": []})
    setting = Setting(store=Store(f"{tmp_path}/store"))
    with Client(service_url) as client:
        client.create_study(spec)
        folder = WorkFolder(tmp_path / "work")
        signals = Signals()
        worker = Worker(client, "w", signals, folder, setting, study="merging", until_done=True)
        worker.run()
        trials = sorted(client.trials("merging"), key=lambda trial: trial.number)
    assert [(trial.channel, trial.state) for trial in trials] == [
        *(("full", "completed") for _ in range(3)),
        ("merged", "completed"),
    ], [trial.error for trial in trials]
    uniform, merged = trials[0], trials[-1]
    assert uniform.scores.objective is not None
    assert merged.scores.objective is not None
    assert (uniform.scores.in_score is None, merged.scores.in_score) == (False, None)
    assert 1.0 <= merged.artifacts["scale_at_uniform"] <= 3.0
    assert [trial.artifacts["keeps_weights"] for trial in trials[:3]] == [False, True, True]
    kept = sorted(path.name for path in folder.experts.glob("*/*"))
    assert kept == [str(trial.id) for trial in trials[1:3]]
    folder.close()
