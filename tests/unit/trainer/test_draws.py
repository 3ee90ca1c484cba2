"""Tokens drawn by numbers of each row's own."""

import numpy as np
import pytest
import scipy


@pytest.fixture(scope="module", autouse=True)
def _libraries() -> None:
    """Imported when a test here runs: collecting tests imports none of them."""
    global TokenDraws, drawing, torch, uniforms
    import torch

    from trainer.run.draws import TokenDraws, drawing, uniforms


def drawn(scores, numbers, temperature=1.0):
    """The token that each row is left with at its first step."""
    draws = TokenDraws(numbers, temperature)
    left = draws(torch.zeros((len(scores), 3), dtype=torch.long), scores)
    assert torch.isfinite(left).sum(dim=1).tolist() == [1] * len(scores)
    return left.argmax(dim=1)


def test_tokens_come_with_the_probability_of_their_scores():
    probabilities = torch.tensor([0.5, 0.2, 0.0, 0.25, 0.05])
    n = 20_000
    scores = probabilities.log().expand(n, -1)
    tokens = drawn(scores, uniforms([[i] for i in range(n)], 1))
    counts = torch.bincount(tokens, minlength=5).numpy()
    assert counts[2] == 0
    seen = probabilities.numpy() > 0
    assert scipy.stats.chisquare(counts[seen], n * probabilities.numpy()[seen]).pvalue > 1e-3


def test_a_low_temperature_leaves_the_likeliest_token():
    scores = torch.tensor([[1.0, 2.0, 1.5]]).expand(50, -1)
    numbers = uniforms([[i] for i in range(50)], 1)
    assert set(drawn(scores, numbers, temperature=1e-3).tolist()) == {1}
    assert len(set(drawn(scores, numbers, temperature=5.0).tolist())) == 3


def test_a_row_draws_the_same_whatever_rows_are_beside_it():
    torch.manual_seed(0)
    scores = torch.randn(6, 40)
    streams = [[7, place, 0] for place in range(6)]
    together = drawn(scores, uniforms(streams, 4))
    apart = [drawn(scores[i : i + 1], uniforms(streams[i : i + 1], 4)).item() for i in range(6)]
    assert together.tolist() == apart


def test_rows_of_different_streams_differ_and_numbers_are_no_shorter_for_a_longer_row():
    numbers = uniforms([[1, 0, 0], [1, 0, 1], [1, 1, 0], [2, 0, 0]], 8)
    assert len({tuple(row) for row in numbers.tolist()}) == 4
    assert np.array_equal(uniforms([[1, 0, 0]], 5)[0], numbers[0, :5])


@pytest.mark.parametrize("number", [0.0, 1.0 - 2**-53])
def test_the_ends_of_the_range_give_tokens_that_can_come(number):
    scores = torch.tensor([[-torch.inf, 1.0, 2.0, -torch.inf]])
    assert drawn(scores, np.array([[number]])).item() in (1, 2)


class Model:
    """What a model has of `generate`, which tells what it was asked."""

    def generate(self, **options):
        return sorted(options)


def test_a_model_generates_as_before_after_it_drew():
    draws, model = TokenDraws(uniforms([[1]], 4), 1.0), Model()
    with drawing(model, draws):
        assert model.generate() == ["logits_processor"]
    assert model.generate() == []
    model.generate = gathering = lambda **options: ["gathered", *options]
    for _ in range(2):
        with drawing(model, draws):
            assert model.generate() == ["gathered", "logits_processor"]
    assert model.generate is gathering, "one that FSDP gave it stays"
