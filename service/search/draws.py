"""Draws of whole surfaces from a surrogate's belief: what may be true at once of many mixtures."""

from __future__ import annotations

from collections.abc import Callable
from functools import singledispatch
from typing import Any

import numpy as np

from service.search.space import FloatArray
from service.search.surrogates.aggregate import AggregateFit
from service.search.surrogates.automatic import AverageFit
from service.search.surrogates.bayes_quadratic import BayesQuadraticFit
from service.search.surrogates.part import Part
from service.search.surrogates.protocol import Fitted


@singledispatch
def draws(fitted: Fitted, X: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """(n, k) draws of the noise-free score at mixtures (k, m), each a surface of its own.

    Exact for the Bayesian quadratic and what is made of it; else normal with the joint posterior.
    """
    belief = fitted.posterior(X)
    values, vectors = np.linalg.eigh(belief.covariance)
    spread = vectors * np.sqrt(np.clip(values, 0, None))
    found: FloatArray = belief.mean + rng.normal(size=(n, len(X))) @ spread.T
    return found


@draws.register
def _(fitted: BayesQuadraticFit, X: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    return _by_share(fitted, X, n, rng, _of_part)


@draws.register
def _(fitted: AverageFit, X: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    return _by_share(fitted, X, n, rng, draws)


@draws.register
def _(fitted: AggregateFit, X: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    each = np.array([draws(part, X, n, rng) for part in fitted.parts])
    found: FloatArray = np.tensordot(fitted.runs.shares, each, 1)
    return found


def _of_part(part: Part, X: FloatArray, n: int, rng: np.random.Generator) -> FloatArray:
    """By exact draws of the coefficients: a setting by its weight, then they given it."""
    F = part.scaling.features(X)
    counts = rng.multinomial(n, part.weight)
    each = [
        part.draw_coefficients(g, int(count), rng) @ F.T for g, count in enumerate(counts) if count
    ]
    return part.scaling.centre + part.scaling.scale * np.vstack(each)


def _by_share(
    fitted: BayesQuadraticFit | AverageFit,
    X: FloatArray,
    n: int,
    rng: np.random.Generator,
    of_part: Callable[[Any, FloatArray, int, np.random.Generator], FloatArray],
) -> FloatArray:
    """Of each part as many as its share of the belief says, in random order: draws of several
    outputs are put together by place."""
    counts = rng.multinomial(n, fitted.share)
    each = [
        of_part(part, X, int(count), rng)
        for part, count in zip(fitted.parts, counts, strict=True)
        if count
    ]
    found: FloatArray = rng.permutation(np.vstack(each))
    return found
