"""Where a run would add most to a front: noisy expected hypervolume improvement by BoTorch."""

from __future__ import annotations

import numpy as np
import torch
from botorch.acquisition.multi_objective import logei
from botorch.acquisition.multi_objective.logei import qLogNoisyExpectedHypervolumeImprovement
from botorch.acquisition.multi_objective.objective import GenericMCMultiOutputObjective
from botorch.models.model_list_gp_regression import ModelListGP
from botorch.sampling.normal import SobolQMCNormalSampler

from service.search import fronts
from service.search.expected_improvement import MAX_PENDING, highest
from service.search.goal_beliefs import Beliefs
from service.search.goal_candidates import promising
from service.search.space import FloatArray
from service.search.surrogates.aggregate import AggregateFit
from service.search.surrogates.gp import GaussianProcessFit
from service.search.surrogates.protocol import Fitted

__all__ = ["MAX_PENDING", "best_next", "compile_nothing", "is_possible"]

MC_SAMPLES = 32
RESTARTS = 2
BASELINE = 32
"""Mixtures that were run and may be on the front."""


def compile_nothing() -> None:
    """Keeps BoTorch from compiling a kernel when its hypervolume improvement is first made.

    That takes a compiler a minute; and who is killed meanwhile leaves a lock behind, for which
    every later process of the account waits without end (`torch.utils.file_baton`). Without the
    kernel, torch computes the same.
    """
    logei._load_attempted = True


def is_possible(beliefs: Beliefs) -> bool:
    """Whether all outputs have Gaussian processes that BoTorch can take together."""
    return all(isinstance(part, GaussianProcessFit) for part, _ in _parts(beliefs))


def best_next(beliefs: Beliefs, pending: FloatArray, seed: int) -> FloatArray:
    """(r, m) feasible mixtures, the one with the highest log noisy expected hypervolume improvement
    first; pending mixtures (p, m) are integrated over.

    Ament et al., "Unexpected Improvements to Expected Improvement" (2023). Objectives that are
    sums of benchmarks are summed draw by draw.
    """
    goal, space = beliefs.goal, beliefs.space
    if space.dimension == 0:
        return space.uniform[None]
    compile_nothing()
    parts = _parts(beliefs)
    models = [part.model for part, _ in parts if isinstance(part, GaussianProcessFit)]
    # From standardised draws of each model to the objectives.
    factors = np.array([[share[o] for o in goal.objectives] for _, share in parts])
    scale, centre = (
        np.array([getattr(part, name) for part, _ in parts]) for name in ("scale", "centre")
    )
    weights, level = _tensor(scale[:, None] * factors), _tensor(centre @ factors)

    def objectives(Y: torch.Tensor, X: torch.Tensor | None = None) -> torch.Tensor:
        return Y @ weights + level

    tried = promising(beliefs, BASELINE)
    means = np.array([beliefs.fits[o].predict(tried)[0] for o in goal.objectives]).T
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        acquisition = qLogNoisyExpectedHypervolumeImprovement(
            model=ModelListGP(*models),
            ref_point=_tensor(fronts.reference_of(means)),
            X_baseline=_tensor(tried),
            sampler=SobolQMCNormalSampler(torch.Size([MC_SAMPLES]), seed=seed),
            objective=GenericMCMultiOutputObjective(objectives),
            X_pending=_tensor(pending) if len(pending) else None,
            prune_baseline=True,
        )
        best = tried[fronts.on_front(means)][:8]
        return highest(acquisition, space, best, np.random.default_rng(seed), RESTARTS)


def _parts(beliefs: Beliefs) -> list[tuple[Fitted, FloatArray]]:
    """Models that are not sums of others, each with its share (O,) in the outputs."""
    found: list[tuple[Fitted, FloatArray]] = []
    for one, fitted in zip(np.eye(len(beliefs.fits)), beliefs.fits, strict=True):
        if isinstance(fitted, AggregateFit):
            found += [
                (part, share * one)
                for part, share in zip(fitted.parts, fitted.runs.shares, strict=True)
            ]
        else:
            found.append((fitted, one))
    return found


def _tensor(values: FloatArray) -> torch.Tensor:
    return torch.as_tensor(np.array(values), dtype=torch.float64)
