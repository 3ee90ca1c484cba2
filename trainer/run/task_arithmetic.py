"""Merged experts: a model of a mixture without training it, from runs of single domains.

The experts' changes of the weights are added up by the mixture (task arithmetic, Ilharco et al.,
2023, arXiv 2212.04089):

    theta(w) = base + lambda(w) sum_i w_i (B / B_i) (theta_i - base)

with `B` the sum of the learning rates over a whole run and `B_i` over the steps that expert i was
really trained. What single domains change overlaps little, so a blend needs a larger `lambda` than
a corner: `lambda(w) = 1 + (lambda_u - 1) (1 - sum w_i^2) / (1 - 1/m)` is 1 where the mixture is
one domain, and `lambda_u` where it is uniform.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from transformers import get_scheduler

from trainer.recipe import Recipe

SCALES = (1.0, 1.5, 2.0, 2.5, 3.0)
"""Values of `lambda_u` that may be tried."""
USUAL = 2.0
"""That which is tried first: where it was found to lie, at 1.7 to 2.5 (docs/benchmarks.md)."""


def rate_sum(recipe: Recipe, steps: int) -> float:
    """`B`: the sum of a recipe's learning rates over its first steps."""
    weight = torch.nn.Parameter(torch.zeros(1))
    schedule = get_scheduler(
        recipe.schedule,
        torch.optim.SGD([weight], lr=recipe.learning_rate),
        num_warmup_steps=round(recipe.warmup_share * recipe.steps),
        num_training_steps=recipe.steps,
    )
    (factor,) = schedule.lr_lambdas
    return recipe.learning_rate * float(sum(factor(step) for step in range(steps)))


def scale(weights: Sequence[float], at_uniform: float) -> float:
    """`lambda(w)` of a mixture of m domains; `at_uniform` is `lambda_u`."""
    m = len(weights)
    if m == 1:
        return 1.0
    evenness = (1 - sum(w * w for w in weights)) / (1 - 1 / m)
    return 1 + (at_uniform - 1) * evenness


def coefficients(
    weights: Sequence[float], rate_sums: Sequence[float], whole: float, at_uniform: float
) -> list[float]:
    """What each expert's change of the weights is multiplied by.

    Args:
        weights: (m,) the mixture.
        rate_sums: (m,) `B_i` of each expert.
        whole: `B` of a whole run.
        at_uniform: `lambda_u`.

    Raises:
        ValueError: an expert that has a weight was not trained.
    """
    untrained = [i for i, (w, b) in enumerate(zip(weights, rate_sums, strict=True)) if w and not b]
    if untrained:
        raise ValueError(f"expert {untrained[0]} has weight in the mixture and was never trained")
    factor = scale(weights, at_uniform)
    return [factor * w * whole / b if w else 0.0 for w, b in zip(weights, rate_sums, strict=True)]


def merged(
    base: Mapping[str, Tensor], experts: Sequence[Mapping[str, Tensor]], factors: Sequence[float]
) -> Iterator[tuple[str, Tensor]]:
    """The merged weights, one tensor after the other: computed in float32, in the base's dtype.

    The mappings may read a tensor when it is asked for, so that no model need be in memory whole.
    Experts whose factor is 0 are not read.

    Raises:
        ValueError: an expert lacks a tensor of the base's, or has it in another shape.
    """
    used = [(i, experts[i], factor) for i, factor in enumerate(factors) if factor]
    for name, start in base.items():
        origin = start.to(torch.float32)
        total = origin.clone()
        for i, expert, factor in used:
            end = _of_expert(i, expert, name, start)
            total.add_(end.to(torch.float32) - origin, alpha=factor)
        yield name, total.to(start.dtype)


def change(
    base: Mapping[str, Tensor], experts: Iterable[Mapping[str, Tensor]], shares: Sequence[float]
) -> dict[str, Tensor]:
    """What the experts change of the base together, in float32: `sum_i shares_i (theta_i - base)`.

    The experts are gone through one by one, so that only one of them need be in memory.

    Args:
        shares: of each expert, as `coefficients` gives them, without the scale.

    Raises:
        ValueError: an expert lacks a tensor of the base's, or has it in another shape.
    """
    total: dict[str, Tensor] = {}
    for i, (expert, share) in enumerate(zip(experts, shares, strict=True)):
        for name, start in base.items():
            end = _of_expert(i, expert, name, start)
            if not start.is_floating_point():
                continue
            step = (end.to(torch.float32) - start.to(torch.float32)).mul_(share)
            total[name] = total[name].add_(step) if name in total else step
    return total


def _of_expert(i: int, expert: Mapping[str, Tensor], name: str, start: Tensor) -> Tensor:
    if name not in expert:
        raise ValueError(f"expert {i} has no tensor {name!r}")
    if expert[name].shape != start.shape:
        raise ValueError(
            f"tensor {name!r} of expert {i} has shape {tuple(expert[name].shape)}, "
            f"not {tuple(start.shape)} as in the base"
        )
    return expert[name]


def applied(
    base: Mapping[str, Tensor], changes: Mapping[str, Tensor], scale: float
) -> Iterator[tuple[str, Tensor]]:
    """`base + scale * changes` of every tensor that changes, computed in float32, in the base's
    dtype."""
    for name, step in changes.items():
        start = base[name]
        yield name, start.to(torch.float32).add(step, alpha=scale).to(start.dtype)


def tried_scales(price: Callable[[float], float], truth: float) -> dict[float, float]:
    """The uniform mixture's price at as few of `SCALES` as tell where it meets its run's score.

    From `USUAL` towards the truth, as if a larger scale scored higher, until the truth lies between
    two of them; to the other side, too, where it does not: past their highest, scores fall.

    Args:
        price: score of the merged uniform mixture at a scale.
        truth: score of the uniform mixture's run.

    Returns:
        Prices by scale, rising.
    """
    known = {USUAL: price(USUAL)}
    more = [scale for scale in SCALES if scale > USUAL]
    less = [scale for scale in reversed(SCALES) if scale < USUAL]
    for scale in [*more, *less] if known[USUAL] < truth else [*less, *more]:
        rising = sorted(known)
        if truth in known.values() or any(
            known[low] < truth < known[high] for low, high in pairwise(rising)
        ):
            break
        known[scale] = price(scale)
    return {scale: known[scale] for scale in sorted(known)}


def scale_at_uniform(scales: Sequence[float], prices: Sequence[float], truth: float) -> float:
    """`lambda_u` at which the uniform mixture's price is the score of its real run.

    Args:
        scales: rising values of `lambda_u` that were tried.
        prices: score of the merged uniform mixture at each.
        truth: score of the uniform mixture's run.

    Returns:
        The smallest one where the line through the prices meets the truth; where it never does,
        that whose price is nearest.
    """
    x: NDArray[np.float64] = np.asarray(scales, dtype=float)
    gap: NDArray[np.float64] = np.asarray(prices, dtype=float) - truth
    for i in range(len(x) - 1):
        if gap[i] == 0:
            return float(x[i])
        if gap[i] * gap[i + 1] < 0:
            return float(x[i] + (x[i + 1] - x[i]) * gap[i] / (gap[i] - gap[i + 1]))
    return float(x[int(np.argmin(np.abs(gap)))])
