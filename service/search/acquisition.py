"""Where the next run would teach or gain the most: noisy expected improvement by BoTorch."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from botorch.acquisition.logei import qLogNoisyExpectedImprovement
from botorch.optim.optimize import optimize_acqf
from botorch.sampling.normal import SobolQMCNormalSampler

from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.gp import GaussianProcessFit

RAW_SAMPLES = 256
RESTARTS = 4
MC_SAMPLES = 64
STEP = 0.1
"""Length of the steps from promising runs where the search for the next one starts."""
MAX_PENDING = 8
"""More mixtures on their way than this, and integrating over them takes too long."""
THOMPSON_CANDIDATES = 512


def best_next(
    fitted: GaussianProcessFit, space: MixtureSpace, pending: FloatArray, seed: int
) -> FloatArray:
    """(r, m) feasible mixtures, the one with the highest log noisy expected improvement first.

    Ament et al., "Unexpected Improvements to Expected Improvement" (2023). Pending mixtures (p, m)
    are integrated over. The others are further local optima, for when the first is taken.
    """
    if np.count_nonzero(space.upper > space.lower) < 2:
        return space.uniform[None]
    rng = np.random.default_rng(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        acquisition = qLogNoisyExpectedImprovement(
            model=fitted.model,
            X_baseline=fitted.model.train_inputs[0],
            X_pending=_tensor(pending) if len(pending) else None,
            sampler=SobolQMCNormalSampler(torch.Size([MC_SAMPLES]), seed=seed),
            prune_baseline=True,
        )
        # 1. The best of many starts.
        starts = _spread(fitted, space, RAW_SAMPLES, rng)
        with torch.no_grad():
            values = acquisition(_tensor(starts)[:, None, :])
        top = starts[values.topk(RESTARTS).indices.numpy()]
        # 2. From the best of them by SLSQP, which keeps the sum.
        found, _ = optimize_acqf(
            acquisition,
            bounds=_tensor(np.stack([space.lower, space.upper])),
            q=1,
            num_restarts=RESTARTS,
            batch_initial_conditions=_tensor(top)[:, None, :],
            equality_constraints=[
                (torch.arange(space.m), torch.ones(space.m, dtype=torch.float64), 1.0)
            ],
            return_best_only=False,
            options={"maxiter": 100},
        )
        # 3. In order of their value as they will be used: exactly feasible.
        reached = found.reshape(-1, space.m).numpy()
        reached = reached[np.isfinite(reached).all(axis=1)]
        points = np.vstack([space.project(reached), top])
        with torch.no_grad():
            values = acquisition(_tensor(points)[:, None, :])
    order = torch.argsort(values, descending=True, stable=True)
    ranked: FloatArray = points[order.numpy()]
    return ranked


def thompson(
    fitted: GaussianProcessFit,
    space: MixtureSpace,
    is_new: Callable[[FloatArray], bool],
    seed: int,
) -> Iterator[FloatArray]:
    """(m,) mixtures without end, each the best new one of many by its own posterior draw.

    Draws differ, so any number can be asked for at once (Kandasamy et al., "Parallelised Bayesian
    optimisation via Thompson sampling", 2018). Ends when none of the many is new.
    """
    rng = np.random.default_rng(seed)
    X = _spread(fitted, space, THOMPSON_CANDIDATES, rng)
    belief = fitted.posterior(X)
    values, vectors = np.linalg.eigh(belief.covariance)
    spread = vectors * np.sqrt(np.clip(values, 0, None))
    while True:
        draw = belief.mean + spread @ rng.normal(size=len(X))
        best = next((x for x in X[np.argsort(-draw)] if is_new(x)), None)
        if best is None:
            return
        yield best


def _spread(
    fitted: GaussianProcessFit, space: MixtureSpace, n: int, rng: np.random.Generator
) -> FloatArray:
    """(about 5n/4, m) uniform samples, and steps away from the runs that look best."""
    X = fitted.runs.weights
    promising = X[np.argsort(-fitted.predict(X)[0], kind="stable")[:8]]
    steps = STEP * rng.normal(size=(n // 32, *promising.shape)) / np.sqrt(space.m)
    around = space.project((promising + steps).reshape(-1, space.m))
    return np.vstack([space.sample(n, rng), around])


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.as_tensor(np.array(values), dtype=torch.float64)
