"""Where the next run would teach or gain the most: noisy expected improvement by BoTorch."""

from __future__ import annotations

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


def best_next(
    fitted: GaussianProcessFit, space: MixtureSpace, pending: FloatArray, seed: int
) -> FloatArray:
    """(r, m) feasible mixtures, the one with the highest log noisy expected improvement first.

    Ament et al., "Unexpected Improvements to Expected Improvement" (2023). Pending mixtures (p, m)
    are integrated over. The others are further local optima, for when the first is taken.
    """
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
        starts = _tensor(np.vstack([space.sample(RAW_SAMPLES, rng), fitted.runs.weights]))
        with torch.no_grad():
            values = acquisition(starts[:, None, :])
        top = starts[values.topk(RESTARTS).indices]
        free = np.flatnonzero(space.upper > space.lower)
        if len(free) < 2:
            return space.uniform[None]
        found, found_values = optimize_acqf(
            acquisition,
            bounds=_tensor(np.stack([space.lower, space.upper])),
            q=1,
            num_restarts=RESTARTS,
            batch_initial_conditions=top[:, None, :],
            equality_constraints=[
                (torch.arange(space.m), torch.ones(space.m, dtype=torch.float64), 1.0)
            ],
            return_best_only=False,
            options={"maxiter": 100},
        )
    if found is None or found_values is None:
        raise RuntimeError("optimize_acqf answered without candidates")
    assert found_values is not None  # noqa: S101 (asked for by return_best_only=False)
    order = torch.argsort(found_values.reshape(-1), descending=True)
    points = found.reshape(-1, space.m)[order].detach().numpy()
    return np.array([space.project(point) for point in points])


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.as_tensor(np.array(values), dtype=torch.float64)
