"""AdamW with weights in float32 beside those that compute."""

from __future__ import annotations

import io

import pytest


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global MasterAdamW, torch
    import torch

    from trainer.run.optimizer import MasterAdamW


SETTINGS = {"lr": 1e-6, "betas": (0.9, 0.99), "eps": 1e-8}


def weights(dtype):
    generator = torch.Generator().manual_seed(1)
    drawn = [torch.randn(shape, generator=generator).bfloat16() for shape in ((40, 30), (50,))]
    return [torch.nn.Parameter(value.to(dtype)) for value in drawn]


def groups(parameters):
    return [
        {"params": parameters[:1], "weight_decay": 0.1},
        {"params": parameters[1:], "weight_decay": 0.0},
    ]


def step(optimizer, parameters, number):
    generator = torch.Generator().manual_seed(100 + number)
    for parameter in parameters:
        gradient = torch.randn(parameter.shape, generator=generator).bfloat16()
        parameter.grad = gradient.to(parameter.dtype)
    optimizer.step()


def masters(optimizer, parameters):
    return [optimizer.state[parameter]["master"] for parameter in parameters]


def same(ours, theirs):
    return all(torch.equal(a, b) for a, b in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("offload", [False, True])
def test_masters_of_bfloat16_weights_go_where_a_float32_run_goes_with_the_same_gradients(offload):
    exact, coarse = weights(torch.float32), weights(torch.bfloat16)
    theirs = torch.optim.AdamW(groups(exact), fused=True, **SETTINGS)
    ours = MasterAdamW(groups(coarse), offload=offload, **SETTINGS)
    for number in range(5):
        step(theirs, exact, number)
        step(ours, coarse, number)
    assert same(masters(ours, coarse), exact)
    assert same(coarse, [weight.bfloat16() for weight in exact])
    assert all(weight.dtype == torch.bfloat16 for weight in coarse)


@pytest.mark.parametrize("offload", [False, True])
def test_float32_weights_are_stepped_as_torch_steps_them(offload):
    ours, theirs = weights(torch.float32), weights(torch.float32)
    optimizer = MasterAdamW(groups(ours), offload=offload, **SETTINGS)
    plain = torch.optim.AdamW(groups(theirs), fused=True, **SETTINGS)
    for number in range(3):
        step(optimizer, ours, number)
        step(plain, theirs, number)
    assert same(ours, theirs)
    assert all(("master" in optimizer.state[weight]) == offload for weight in ours)


@pytest.mark.parametrize("offload", [False, True])
def test_a_state_that_was_saved_in_the_middle_goes_on_bit_by_bit(offload):
    whole, before = weights(torch.bfloat16), weights(torch.bfloat16)
    undisturbed = MasterAdamW(groups(whole), offload=offload, **SETTINGS)
    first = MasterAdamW(groups(before), offload=offload, **SETTINGS)
    for number in range(6):
        step(undisturbed, whole, number)
    for number in range(3):
        step(first, before, number)
    kept = io.BytesIO()
    torch.save({"optimizer": first.state_dict(), "weights": before}, kept)
    kept.seek(0)
    found = torch.load(kept, weights_only=True)
    after = [torch.nn.Parameter(weight) for weight in found["weights"]]
    second = MasterAdamW(groups(after), offload=offload, **SETTINGS)
    second.load_state_dict(found["optimizer"])
    assert all(value.dtype == torch.float32 for value in second.state[after[0]].values())
    for number in range(3, 6):
        step(second, after, number)
    assert same(masters(second, after), masters(undisturbed, whole))
    assert same(after, whole)


def test_the_state_of_plain_adamw_is_gone_on_from():
    before = weights(torch.bfloat16)
    plain = torch.optim.AdamW(groups(before), **SETTINGS)
    step(plain, before, 0)
    optimizer = MasterAdamW(groups(before), **SETTINGS)
    optimizer.load_state_dict(plain.state_dict())
    step(optimizer, before, 1)
    assert [float(optimizer.state[weight]["step"]) for weight in before] == [2, 2]
    assert same([master.bfloat16() for master in masters(optimizer, before)], before)


def test_what_has_no_gradient_stays_and_takes_no_memory():
    frozen, trained = weights(torch.bfloat16)
    optimizer = MasterAdamW([frozen, trained], **SETTINGS)
    trained.grad = torch.ones_like(trained)
    optimizer.step()
    assert set(optimizer.state) == {trained}
