"""Merged experts: what is added up, and how much of it."""

from __future__ import annotations

import math

import pytest

from trainer.recipe import Recipe


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global applied, change, coefficients, merged, rate_sum, scale, scale_at_uniform, torch
    global tried_scales
    import torch

    from trainer.run.task_arithmetic import (
        applied,
        change,
        coefficients,
        merged,
        rate_sum,
        scale,
        scale_at_uniform,
        tried_scales,
    )


def test_changes_are_added_to_the_base_by_their_factors() -> None:
    base = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[5.0]])}
    experts = [
        {"a": torch.tensor([2.0, 2.0]), "b": torch.tensor([[5.0]])},
        {"a": torch.tensor([1.0, 6.0]), "b": torch.tensor([[3.0]])},
    ]

    found = dict(merged(base, experts, [0.5, 2.0]))

    assert torch.equal(found["a"], torch.tensor([1.5, 10.0]))
    assert torch.equal(found["b"], torch.tensor([[1.0]]))


def test_one_change_at_a_scale_is_the_sum_with_scaled_factors() -> None:
    torch.manual_seed(0)
    base = {"a": torch.randn(50), "b": torch.randn(3, 4).to(torch.bfloat16)}
    experts = [{name: torch.randn_like(value) for name, value in base.items()} for _ in range(3)]
    shares = [0.2, 0.5, 0.3]

    found = dict(applied(base, change(base, iter(experts), shares), 1.8))

    for name, wanted in merged(base, experts, [1.8 * share for share in shares]):
        assert found[name].dtype == wanted.dtype
        torch.testing.assert_close(found[name], wanted)


def test_whole_numbers_among_the_weights_stay_those_of_the_base() -> None:
    base = {"a": torch.zeros(1), "n": torch.tensor([7])}

    assert list(change(base, [{"a": torch.ones(1), "n": torch.tensor([9])}], [1.0])) == ["a"]


def test_one_expert_alone_is_itself() -> None:
    torch.manual_seed(0)
    base, expert = {"a": torch.randn(50)}, {"a": torch.randn(50)}

    found = dict(merged(base, [expert, {}], coefficients([1.0, 0.0], [3.0, 1.0], 3.0, 2.0)))

    torch.testing.assert_close(found["a"], expert["a"])


def test_bfloat16_is_added_up_in_float32() -> None:
    base = {"a": torch.ones(1, dtype=torch.bfloat16)}
    experts = [{"a": torch.tensor([1.0078125], dtype=torch.bfloat16)}] * 2

    (found,) = (tensor for _, tensor in merged(base, experts, [0.25, 0.25]))

    # Each share alone would be lost in bfloat16: 1 + 0.002 is 1 there, 1 + 0.004 is not far off.
    assert found.dtype == torch.bfloat16
    assert found.item() == torch.tensor(1.00390625).to(torch.bfloat16).item()


def test_a_tensor_at_a_time_is_read_and_none_of_an_expert_without_weight() -> None:
    class Unread(dict[str, torch.Tensor]):
        def __getitem__(self, name: str) -> torch.Tensor:
            raise AssertionError(name)

    base = {"a": torch.zeros(2)}

    assert torch.equal(dict(merged(base, [Unread(a=torch.ones(2))], [0.0]))["a"], base["a"])


@pytest.mark.parametrize(
    ("sizes", "said"),
    [
        ({"b": 2}, "expert 0 has no tensor 'a'"),
        ({"a": 3}, r"tensor 'a' of expert 0 has shape \(3,\), not \(2,\)"),
    ],
)
def test_weights_of_another_model_are_refused(sizes: dict[str, int], said: str) -> None:
    expert = {name: torch.zeros(n) for name, n in sizes.items()}
    with pytest.raises(ValueError, match=said):
        dict(merged({"a": torch.zeros(2)}, [expert], [1.0]))
    with pytest.raises(ValueError, match=said):
        change({"a": torch.zeros(2)}, [expert], [1.0])


def test_the_scale_is_one_at_a_corner_and_what_was_set_at_uniform() -> None:
    assert scale([0.0, 1.0, 0.0], 2.5) == 1.0
    assert scale([0.2] * 5, 2.0) == pytest.approx(2.0)
    assert scale([0.5, 0.5, 0.0], 2.0) == pytest.approx(1.75)
    assert scale([1.0], 2.0) == 1.0


def test_an_expert_that_ran_out_counts_as_one_trained_to_the_end() -> None:
    found = coefficients([0.5, 0.5], [1.0, 4.0], whole=4.0, at_uniform=1.0)

    assert found == pytest.approx([2.0, 0.5])


def test_an_expert_that_was_never_trained_can_have_no_weight() -> None:
    with pytest.raises(ValueError, match="expert 1 has weight in the mixture"):
        coefficients([0.5, 0.5], [1.0, 0.0], 1.0, 1.0)

    assert coefficients([1.0, 0.0], [1.0, 0.0], 1.0, 1.0) == [1.0, 0.0]


def test_rates_are_summed_by_the_recipes_own_schedule() -> None:
    linear = Recipe(steps=24, learning_rate=1e-3)
    constant = Recipe(steps=24, learning_rate=1e-3, schedule="constant")
    warm = Recipe(steps=24, learning_rate=1e-3, schedule="linear", warmup_share=0.25)

    assert math.isclose(rate_sum(linear, 8), 1e-3 * sum(1 - i / 24 for i in range(8)))
    assert math.isclose(rate_sum(constant, 8), 8e-3)
    assert math.isclose(rate_sum(warm, 6), 1e-3 * sum(i / 6 for i in range(6)))
    assert rate_sum(linear, 0) == 0.0


def test_lambda_at_uniform_is_where_its_price_meets_its_run() -> None:
    assert scale_at_uniform([1, 2, 3], [40.0, 50.0, 54.0], 51.0) == pytest.approx(2.25)
    assert scale_at_uniform([1, 2, 3], [40.0, 50.0, 45.0], 48.0) == pytest.approx(1.8)
    assert scale_at_uniform([1, 2], [40.0, 50.0], 50.0) == 2.0


def test_a_price_that_never_meets_the_run_is_taken_where_it_is_nearest() -> None:
    assert scale_at_uniform([1, 2, 3], [40.0, 47.0, 45.0], 60.0) == 2.0


RISING = {1.0: 40.0, 1.5: 46.0, 2.0: 50.0, 2.5: 53.0, 3.0: 55.0}
FALLING_LATE = {1.0: 50.0, 1.5: 54.0, 2.0: 50.0, 2.5: 45.0, 3.0: 40.0}


@pytest.mark.parametrize(
    ("prices", "truth", "tried", "found"),
    [
        (RISING, 51.5, [2.0, 2.5], 2.25),
        (RISING, 48.0, [2.0, 1.5], 1.75),
        (RISING, 50.0, [2.0], 2.0),
        (RISING, 54.0, [2.0, 2.5, 3.0], 2.75),
        (RISING, 43.0, [2.0, 1.5, 1.0], 1.25),
        (FALLING_LATE, 52.0, [2.0, 2.5, 3.0, 1.5, 1.0], 1.25),
        (RISING, 60.0, [2.0, 2.5, 3.0, 1.5, 1.0], 3.0),
        (RISING, 30.0, [2.0, 1.5, 1.0, 2.5, 3.0], 1.0),
    ],
)
def test_no_more_scales_are_tried_than_tell_where_price_and_run_meet(
    prices: dict[float, float], truth: float, tried: list[float], found: float
) -> None:
    asked: list[float] = []

    def price(scale: float) -> float:
        asked.append(scale)
        return prices[scale]

    known = tried_scales(price, truth)
    assert asked == tried
    assert [*known.items()] == sorted((scale, prices[scale]) for scale in tried)
    assert scale_at_uniform([*known], [*known.values()], truth) == pytest.approx(found)
