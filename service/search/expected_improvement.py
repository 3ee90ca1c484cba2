"""Where the next run would teach or gain the most: noisy expected improvement by BoTorch."""

from __future__ import annotations

import numpy as np
import torch
from botorch.acquisition.acquisition import AcquisitionFunction
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.optim.optimize import optimize_acqf
from botorch.sampling.normal import SobolQMCNormalSampler

from service.search.polytope import Polytope
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.gp import GaussianProcessFit

RAW_SAMPLES = 256
RESTARTS = 4
MC_SAMPLES = 64
STEP = 0.1
"""Length of the steps from promising runs where the search for the next one starts."""
BASELINE = 64
"""Runs that are looked at as the best so far; which of so many it is costs their number cubed."""
MAX_PENDING = 8
"""More mixtures on their way than this, and integrating over them takes too long."""


def best_next(
    fitted: GaussianProcessFit,
    space: MixtureSpace,
    pending: FloatArray,
    seed: int,
    restarts: int = RESTARTS,
) -> FloatArray:
    """(r, m) feasible mixtures, the one with the highest log noisy expected improvement first.

    Ament et al., "Unexpected Improvements to Expected Improvement" (2023). Pending mixtures (p, m)
    are integrated over. The others are further local optima, for when the first is taken; they are
    climbed to from `restarts` starts.
    """
    if space.dimension == 0:
        return space.uniform[None]
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        acquisition = qLogNoisyExpectedImprovement(
            model=fitted.model,
            X_baseline=_tensor(_in_question(fitted, space)),
            X_pending=_tensor(pending) if len(pending) else None,
            sampler=SobolQMCNormalSampler(torch.Size([MC_SAMPLES]), seed=seed),
            prune_baseline=True,
        )
        tried = fitted.runs.weights
        promising = tried[np.argsort(-fitted.predict(tried)[0], kind="stable")[:8]]
        return highest(acquisition, space, promising, rng, restarts)


def highest(
    acquisition: AcquisitionFunction,
    space: MixtureSpace,
    promising: FloatArray,
    rng: np.random.Generator,
    restarts: int = RESTARTS,
) -> FloatArray:
    """(r, m) feasible mixtures, that with the highest acquisition first.

    Args:
        promising: (k, m) runs to take steps away from.
        restarts: starts that are climbed from.
    """
    # 1. The best of many starts.
    listed = space.listed()
    starts = _spread(promising, space, RAW_SAMPLES, rng) if listed is None else listed
    with torch.no_grad():
        values = acquisition(_tensor(starts)[:, None, :])
    if listed is not None:
        best_first: FloatArray = listed[torch.argsort(-values, stable=True).numpy()]
        return best_first
    top = starts[values.topk(restarts).indices.numpy()]
    # 2. From the best of them by SLSQP, which keeps the sum and the limits.
    climbed = [_climb(acquisition, space.cell_of(x), x) for x in top]
    # 3. In order of their value as they will be used: exactly feasible.
    reached = np.array([x for x in climbed if np.isfinite(x).all()]).reshape(-1, space.m)
    points = np.vstack([space.project(reached), top])
    with torch.no_grad():
        values = acquisition(_tensor(points)[:, None, :])
    order = torch.argsort(values, descending=True, stable=True)
    ranked: FloatArray = points[order.numpy()]
    return ranked


def _in_question(fitted: GaussianProcessFit, space: MixtureSpace) -> FloatArray:
    """(b, m) the runs that may be the best so far: all that are still feasible, if any is, or where
    they are many the likeliest."""
    X = fitted.runs.weights
    inside = space.contains(X, 1e-6)
    X = X[inside] if inside.any() else X
    if len(X) <= BASELINE:
        return X
    mean, sd = fitted.predict(X)
    return X[np.sort(np.argsort(-(mean + sd), kind="stable")[:BASELINE])]


def _climb(acquisition: AcquisitionFunction, cell: Polytope, start: FloatArray) -> FloatArray:
    """(m,) a local optimum within a convex part of the space."""
    ones = torch.ones(len(start), dtype=torch.float64)
    every = torch.arange(len(start))
    found, _ = optimize_acqf(
        acquisition,
        bounds=_tensor(np.stack([cell.lower, cell.upper])),
        q=1,
        num_restarts=1,
        batch_initial_conditions=_tensor(start)[None, None, :],
        equality_constraints=[(every, ones, 1.0)],
        inequality_constraints=[
            (every, -_tensor(row), -level) for row, level in zip(cell.A, cell.b, strict=True)
        ]
        or None,
        options={"maxiter": 50},
    )
    reached: FloatArray = found.reshape(-1).numpy()
    return reached


def _spread(
    promising: FloatArray, space: MixtureSpace, n: int, rng: np.random.Generator
) -> FloatArray:
    """(about 5n/4, m) uniform samples, and steps away from the runs that look best."""
    steps = STEP * rng.normal(size=(n // 32, *promising.shape)) / np.sqrt(space.m)
    around = space.project((promising + steps).reshape(-1, space.m))
    return np.vstack([space.sample(n, rng), around])


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.as_tensor(np.array(values), dtype=torch.float64)
