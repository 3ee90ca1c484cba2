"""Where the next run would teach or gain the most: noisy expected improvement by BoTorch."""

from __future__ import annotations

from collections.abc import Callable

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
MAX_PENDING = 16
"""More mixtures on their way than this, and integrating over them takes too long."""
THOMPSON_CANDIDATES = 768


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
        # 1. Uniform samples, and steps away from the runs that look best.
        promising = fitted.runs.weights[np.argsort(-fitted.predict(fitted.runs.weights)[0])[:8]]
        steps = STEP * rng.normal(size=(8, *promising.shape)) / np.sqrt(space.m)
        around = space.project((promising + steps).reshape(-1, space.m))
        starts = np.vstack([space.sample(RAW_SAMPLES, rng), around])
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
) -> FloatArray:
    """(1 or 0, m) the best new one of many mixtures by one draw from the posterior.

    Draws differ, so many can be asked for at once without looking at each other (Kandasamy et al.,
    "Parallelised Bayesian optimisation via Thompson sampling", 2018).
    """
    rng = np.random.default_rng(seed)
    sampled = space.sample(THOMPSON_CANDIDATES, rng)
    X = np.array([x for x in sampled if is_new(x)]).reshape(-1, space.m)
    if len(X) == 0:
        return X
    belief = fitted.posterior(X)
    values, vectors = np.linalg.eigh(belief.covariance)
    spread = vectors * np.sqrt(np.clip(values, 0, None))
    draw = belief.mean + spread @ rng.normal(size=len(X))
    return X[[int(np.argmax(draw))]]


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.as_tensor(np.array(values), dtype=torch.float64)
