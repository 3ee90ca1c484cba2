"""Weights that follow the spread of rewards during a run."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.schemas import Phase
from tests.unit.trainer.test_sampler import NAMES, mixtures, seeds
from trainer.adaptive import LAG, AdaptiveOrder, adapted, group_spreads
from trainer.job import Job
from trainer.recipe import Recipe, RecipeError
from trainer.sampler import draw_order
from trainer.sections import Adaptive
from trainer.storage.run_folder import PREFIX, RunFolder

PROMPTS = 4
floors = st.floats(0.01, 1.0)
spreads = st.integers(0, 10).map(lambda tenths: tenths / 10)


def order_of(mixture, sizes, steps, seed, **by) -> AdaptiveOrder:
    return AdaptiveOrder(
        mixture, sizes, steps=steps, prompts_per_step=PROMPTS, seed=seed, by=Adaptive(**by)
    )


def trained(order, rewards, steps=None):
    """Draws and learns as a run does, whose loader is a step ahead; spreads by domain and step."""
    n = len(order) // PROMPTS if steps is None else steps
    for step in range(n):
        order.pick(min((step + LAG) * PROMPTS, len(order)) - 1)
        drawn = [order.pick(step * PROMPTS + i)[0] for i in range(PROMPTS)]
        order.learn([rewards(domain, step) for domain in drawn])
    return [order.pick(place) for place in range(n * PROMPTS)]


def rewards_of(seed):
    """Spreads that look as if they were measured, the same for the same seed."""
    return lambda domain, step: float(
        np.random.default_rng([seed, step, *domain.encode()]).random()
    )


# --- the order ------------------------------------------------------------------------------------


@given(mixtures, st.integers(5, 60), seeds)
def test_with_a_floor_of_one_it_is_the_mixtures_own_draw(mixture, size, seed):
    sizes = dict.fromkeys(NAMES, size)  # some run out
    own = draw_order(mixture, sizes, 120, seed).whole_steps(PROMPTS)
    order = order_of(mixture, sizes, own.steps(PROMPTS), seed, floor=1.0)
    assert tuple(trained(order, rewards_of(seed))) == own.picks
    assert order.counts(len(order)) == own.counts()
    own_weights = {name: w for name, w in mixture.items() if w > 0} if len(order) else {}
    assert order.mean_weights() == pytest.approx(own_weights)


@given(mixtures, seeds, st.integers(0, 11), floors)
def test_a_run_that_goes_on_from_what_it_had_learned_draws_the_same(mixture, seed, at, floor):
    sizes = dict.fromkeys(NAMES, 48)
    whole, half, again = (order_of(mixture, sizes, 12, seed, floor=floor) for _ in range(3))
    picks = trained(whole, rewards_of(seed))
    assert trained(half, rewards_of(seed), at) == picks[: at * PROMPTS]
    again.recall(json.loads(json.dumps(half.spreads)))
    assert [again.pick(place) for place in range((at + 1) * PROMPTS)] == picks[: (at + 1) * PROMPTS]
    again = order_of(mixture, sizes, 12, seed, floor=floor)
    again.recall(whole.spreads)
    assert [again.pick(place) for place in range(len(again))] == picks
    assert again.mean_weights() == whole.mean_weights()


@given(mixtures, seeds, floors)
def test_no_sample_is_drawn_twice_and_the_run_is_as_long_as_its_mixtures(mixture, seed, floor):
    sizes = dict.fromkeys(NAMES, 15)
    steps = draw_order(mixture, sizes, 200, seed).steps(PROMPTS)
    order = order_of(mixture, sizes, steps, seed, floor=floor)
    picks = trained(order, rewards_of(seed))
    assert len(set(picks)) == len(picks) == steps * PROMPTS
    assert all(mixture[domain] > 0 and 0 <= index < 15 for domain, index in picks)


def test_a_domain_whose_rewards_are_all_alike_sinks_to_its_floor_and_the_others_share_the_rest():
    mixture = {"coco": 0.5, "lisa": 0.3, "sat": 0.2}
    order = order_of(mixture, dict.fromkeys(mixture, 2000), 200, 3, floor=0.2)
    trained(order, lambda domain, step: 0.0 if domain == "coco" else 0.4)
    last = order.weights(200)
    assert last["coco"] == pytest.approx(0.1, abs=1e-3)
    assert last["lisa"] / last["sat"] == pytest.approx(3 / 2, rel=0.02)
    assert order.counts(800)["coco"] < 0.2 * 800
    assert order.weights(1) == order.weights(2) == mixture


def test_a_domain_that_became_learnable_again_comes_back():
    mixture = {"coco": 0.5, "sat": 0.5}
    order = order_of(mixture, dict.fromkeys(mixture, 2000), 100, 0)
    trained(order, lambda domain, step: 0.5 if domain == "sat" or step >= 50 else 0.0)
    assert order.weights(50)["coco"] < 0.15
    assert order.weights(100)["coco"] > 0.45


def test_a_domain_that_is_used_up_leaves_its_draws_to_the_others():
    mixture = {"coco": 0.5, "sat": 0.5}
    order = order_of(mixture, {"coco": 12, "sat": 200}, 5, 1, floor=0.1)
    picks = trained(order, lambda domain, step: 1.0 if domain == "coco" else 0.0)
    assert len(picks) == 20
    assert order.counts(20)["coco"] <= 12


def test_what_is_not_learned_yet_cannot_be_drawn_by():
    order = order_of({"sat": 1.0}, {"sat": 50}, 5, 0)
    order.pick(LAG * PROMPTS - 1)
    with pytest.raises(RuntimeError, match="step 3 is drawn by the rewards of step 1"):
        order.pick(LAG * PROMPTS)


# --- weights and spreads --------------------------------------------------------------------------


@given(mixtures, st.dictionaries(st.sampled_from(NAMES), spreads), floors)
def test_weights_sum_to_one_and_none_is_below_its_floor(mixture, spread, floor):
    found = adapted(mixture, spread, floor)
    assert sum(found.values()) == pytest.approx(1.0)
    assert all(found[name] >= floor * w - 1e-12 for name, w in mixture.items())


@given(mixtures, spreads, floors)
def test_where_all_spreads_are_alike_the_weights_are_the_mixtures(mixture, spread, floor):
    assert adapted(mixture, dict.fromkeys(mixture, spread), floor) == pytest.approx(mixture)


def test_a_domain_that_was_not_seen_counts_as_the_others_on_average():
    found = adapted({"coco": 0.4, "lisa": 0.4, "sat": 0.2}, {"coco": 0.1, "lisa": 0.3}, 0.5)
    assert found == pytest.approx({"coco": 0.3, "lisa": 0.5, "sat": 0.2})


def test_a_groups_spread_is_that_of_its_total_rewards_and_exactly_zero_where_they_are_alike():
    rewards = np.array([[1.0, 0.0], [1.0, 1.0], [0.1, np.nan], [0.1, np.nan], [0, 0.3], [0, 0.3]])
    found = group_spreads(rewards, np.array([1.0, 2.0]), 2)
    assert found == [1.0, 0.0, 0.0]
    thirds = np.full((9, 1), 0.1)
    assert group_spreads(thirds, np.array([0.7]), 3) == [0.0] * 3


# --- where it stands ------------------------------------------------------------------------------


def test_a_recipe_without_it_is_drawn_by_the_mixture():
    assert Recipe.parse({}).adaptive is None
    assert Recipe.parse({"adaptive": {}}).adaptive == Adaptive()
    [said] = [line for line in said_of({"adaptive": {"floor": 0.4}}) if "adaptive" in line]
    assert "at least 40% of its weight" in said
    assert not any("adaptive" in line for line in said_of({}))


def said_of(recipe) -> list[str]:
    from trainer.planning.plan import sentences

    return sentences(Recipe.parse(recipe), 1, 1, 1)


@pytest.mark.parametrize("wrong", [{"floor": 0}, {"floor": 1.1}, {"memory": 0.5}, {"flor": 0.5}])
def test_settings_that_cannot_be_are_refused_by_name(wrong):
    with pytest.raises(RecipeError, match=rf"adaptive\.{next(iter(wrong))}"):
        Recipe.parse({"adaptive": wrong})


def test_a_script_of_the_users_draws_by_itself_and_is_refused_it():
    own = {"backend": "command", "command": {"script": "train"}}
    with pytest.raises(RecipeError, match="draws its samples itself"):
        Recipe.parse(own | {"adaptive": {}})


def test_it_goes_with_one_mixture_not_with_a_schedule():
    halves = (Phase(share=0.5, mixture={"sat": 1.0}), Phase(share=0.5, mixture={"coco": 1.0}))
    job = Job({"sat": 0.5, "coco": 0.5}, Recipe(adaptive=Adaptive()), seed=0, schedule=halves)
    with pytest.raises(RecipeError, match="this run has a schedule"):
        _ = job.phases


def test_a_folder_from_before_is_of_a_run_without_it(tmp_path):
    plain, other = (
        Job({"sat": 1.0}, Recipe(adaptive=by), seed=0, folder=tmp_path) for by in (None, Adaptive())
    )
    kept = RunFolder(tmp_path)
    kept.claim(plain, 0)
    file = tmp_path / "run.json"
    before = json.loads(file.read_text())
    del before["recipe"]["adaptive"]
    file.write_text(json.dumps(before))
    kept.claim(plain, 0)
    with pytest.raises(ValueError, match=r"recipe\.adaptive"):
        kept.claim(other, 0)


def test_a_checkpoint_has_what_the_run_had_learned(tmp_path):
    kept = RunFolder(tmp_path)
    (kept.staging / f"{PREFIX}2").mkdir(parents=True)
    kept.add_spreads(2, [[0.1, 1 / 3], [0.0, 0.7]])
    kept.publish(2)
    assert kept.spreads(2) == [[0.1, 1 / 3], [0.0, 0.7]]


@pytest.mark.slow  # loads what a run needs
def test_weights_of_the_draw_come_first_where_a_heartbeat_may_leave_metrics_out():
    from types import SimpleNamespace

    from trainer.run.learning_curve import KEPT, Reporter, RewardLog

    names = [f"domain-{n:02}" for n in range(64)]
    even, told = dict.fromkeys(names, 1 / 64), []
    order = order_of(even, dict.fromkeys(names, 4), steps=16, seed=0)
    reporter = Reporter(RewardLog({}), order, PROMPTS, told.append, None)
    state = SimpleNamespace(is_world_process_zero=True, global_step=1)
    reporter.on_log(SimpleNamespace(world_size=1), state, None, dict.fromkeys(KEPT, 0.5))
    reported = list(told[0].metrics)
    assert reported[:64] == [f"weight/{name}" for name in names]
    assert set(KEPT.values()) < set(reported[64:])
