"""The paper's two-stage draw of training samples."""

import numpy as np
import pytest
import scipy
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from trainer.sampler import draw_order

NAMES = ["coco", "lisa", "geoqav", "sat", "scienceqa"]


def mixture_of(raw):
    total = sum(raw)
    return {name: weight / total for name, weight in zip(NAMES, raw, strict=False)}


mixtures = (
    st.lists(st.integers(0, 20), min_size=1, max_size=5).filter(lambda raw: sum(raw) > 0)
).map(mixture_of)
seeds = st.integers(0, 2**31 - 1)


@given(mixtures, st.integers(0, 200), seeds)
def test_no_sample_is_seen_twice_and_zero_weight_is_never_drawn(mixture, n, seed):
    order = draw_order(mixture, dict.fromkeys(NAMES, 50), n, seed)
    assert len(set(order.picks)) == len(order.picks) <= n
    assert all(mixture[domain] > 0 and 0 <= index < 50 for domain, index in order.picks)


@given(mixtures, st.integers(1, 200), seeds)
def test_the_order_ends_early_only_when_the_drawn_domain_has_no_unseen_sample(mixture, n, seed):
    sizes = dict.fromkeys(NAMES, 20)
    order = draw_order(mixture, sizes, n, seed)
    if order.exhausted is None:
        assert len(order.picks) == n
    else:
        assert order.counts()[order.exhausted] == sizes[order.exhausted]
        assert len(order.picks) < n


@given(mixtures, seeds)
def test_the_order_of_the_names_does_not_matter(mixture, seed):
    sizes = dict.fromkeys(NAMES, 1000)
    turned = dict(reversed(mixture.items()))
    assert draw_order(mixture, sizes, 50, seed) == draw_order(turned, sizes, 50, seed)


@given(mixtures, st.integers(0, 100), seeds)
def test_a_shorter_run_is_the_beginning_of_a_longer_one(mixture, n, seed):
    sizes = dict.fromkeys(NAMES, 1000)
    longer = draw_order(mixture, sizes, 150, seed)
    assert draw_order(mixture, sizes, n, seed).picks == longer.picks[:n]


def test_a_domain_shows_its_samples_in_the_same_order_under_every_mixture():
    sizes = dict.fromkeys(NAMES, 1000)
    alone = draw_order({"sat": 1.0}, sizes, 200, 7).picks
    mixed = draw_order(mixture_of([1, 1, 1, 1, 1]), sizes, 200, 7).picks
    of_sat = [pick for pick in mixed if pick[0] == "sat"]
    assert of_sat == list(alone[: len(of_sat)])


@settings(derandomize=True)
@given(mixtures, seeds)
def test_counts_follow_the_weights(mixture, seed):
    # Of a million draws that follow them one has a p-value below this.
    found = draw_order(mixture, dict.fromkeys(NAMES, 2_000), 1_000, seed).counts()
    drawn = {name: weight for name, weight in mixture.items() if weight > 0}
    assert sum(found.get(name, 0) for name in drawn) == 1_000, "a weight of 0 is never drawn"
    counts = [found.get(name, 0) for name in drawn]
    assume(len(drawn) > 1)  # one domain leaves nothing to vary
    assert (
        scipy.stats.chisquare(counts, [1_000 * weight for weight in drawn.values()]).pvalue > 1e-6
    )


def test_seeds_give_different_orders():
    sizes = dict.fromkeys(NAMES, 1000)
    mixture = mixture_of([1, 1, 1, 1, 1])
    assert draw_order(mixture, sizes, 50, 0) != draw_order(mixture, sizes, 50, 1)


def test_lisa_alone_ends_near_step_663_with_the_papers_sizes():
    order = draw_order({"lisa": 1.0}, {"lisa": 1326}, 4000, 42)
    assert order.exhausted == "lisa"
    assert order.steps(prompts_per_step=2) == 663


@pytest.mark.parametrize("mixture", [{"sat": 0.9}, {}, {"sat": 0.0}])
def test_weights_that_do_not_sum_to_one_are_refused(mixture):
    with pytest.raises(ValueError, match="not 1"):
        draw_order(mixture, {"sat": 10}, 5, 0)


def test_the_steps_of_an_order_are_whole():
    order = draw_order({"lisa": 1.0}, {"lisa": 21}, 100, 0)
    assert np.array_equal([order.steps(8), order.steps(21), order.steps(22)], [2, 1, 0])
