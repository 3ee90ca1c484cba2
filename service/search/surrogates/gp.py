"""A Gaussian process (BoTorch): a linear trend plus an isotropic Matern-5/2 bump surface.

One length scale for all domains, because with few runs one each leaves intervals far too narrow.
The trend is a linear kernel, so its slope is shrunk like everything else. The noise has a prior and
never falls below the known sampling error of the runs.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import LinearKernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import GaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior, LogNormalPrior
from linear_operator.utils.warnings import NumericalWarning

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.protocol import Posterior

# Jitter on the covariance of near-equal mixtures is expected and harmless here.
warnings.filterwarnings("ignore", category=NumericalWarning)

MIN_NOISE_SHARE = 1e-4
"""Of the variance of the scores: no run is free of training noise."""


class GaussianProcess:
    """Fits by maximum a posteriori."""

    min_runs = 2

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> GaussianProcessFit:
        centre = float(runs.score.mean())
        scale = float(runs.score.std(ddof=1)) or 1.0
        y = (runs.score - centre) / scale
        model = _model(runs.weights, y, _noise_floor(runs, scale))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            except ModelFittingError:
                # The prior's own values stand: a flat likelihood says nothing against them.
                model = _model(runs.weights, y, _noise_floor(runs, scale))
        model.eval()
        return GaussianProcessFit(model, centre, scale, runs)


@dataclass(frozen=True, eq=False)
class GaussianProcessFit:
    """`model` works on standardised scores: (score - centre) / scale."""

    model: SingleTaskGP
    centre: float
    scale: float
    runs: Runs

    @property
    def noise_sd(self) -> float:
        return self.scale * math.sqrt(self.model.likelihood.noise.item())

    def predict(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        with torch.no_grad():
            posterior = self.model.posterior(_tensor(np.atleast_2d(X)))
            mean = posterior.mean[:, 0].numpy()
            sd = posterior.variance[:, 0].clamp_min(0).sqrt().numpy()
        return self.centre + self.scale * mean, self.scale * sd

    def posterior(self, X: FloatArray) -> Posterior:
        with torch.no_grad():
            joint = self.model(_tensor(np.atleast_2d(X)))
            mean, covariance = joint.mean.numpy(), joint.covariance_matrix.numpy()
        return Posterior(self.centre + self.scale * mean, self.scale**2 * covariance)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """In closed form with the hyperparameters of the whole fit (Rasmussen and Williams, 5.12).

        With K the covariance of the noisy scores: mean y - K^-1 (y - c) / diag(K^-1), variance
        1 / diag(K^-1). Keeping the hyperparameters makes it a little kind to the model.
        """
        model = self.model
        with torch.no_grad():
            X, y = model.train_inputs[0], model.train_targets
            K = model.covar_module(X).to_dense() + model.likelihood.noise * torch.eye(
                len(y), dtype=y.dtype
            )
            inverse = torch.linalg.inv(K)
            spread = 1 / inverse.diagonal()
            mean = y - (inverse @ (y - model.mean_module(X))) * spread
        return (
            self.centre + self.scale * mean.numpy(),
            self.scale * spread.sqrt().numpy(),
        )


def _model(X: FloatArray, y: FloatArray, noise_floor: float) -> SingleTaskGP:
    m = X.shape[1]
    matern = MaternKernel(
        nu=2.5,
        # Median length scale about that of the simplex's width, broad on the log scale.
        lengthscale_prior=LogNormalPrior(math.log(0.7 * math.sqrt(m / 2)), 0.7),
        lengthscale_constraint=GreaterThan(0.05),
    )
    matern.lengthscale = 0.7 * math.sqrt(m / 2)
    likelihood = GaussianLikelihood(
        noise_prior=LogNormalPrior(math.log(max(0.05, 2 * noise_floor)), 1.0),
        noise_constraint=GreaterThan(noise_floor),
    )
    likelihood.noise = max(0.05, 2 * noise_floor)
    return SingleTaskGP(
        _tensor(X),
        _tensor(y)[:, None],
        likelihood=likelihood,
        covar_module=ScaleKernel(matern, outputscale_prior=GammaPrior(2.0, 2.0))
        + LinearKernel(variance_prior=GammaPrior(1.0, 1.0)),
        outcome_transform=None,  # standardised by hand, so that leave-one-out is plain algebra
    )


def _noise_floor(runs: Runs, scale: float) -> float:
    """Known sampling variance as a share of the scores' variance."""
    known = runs.noise_sd[np.isfinite(runs.noise_sd)]
    sampling = float(np.mean(known**2)) / scale**2 if known.size else 0.0
    return float(np.clip(sampling, MIN_NOISE_SHARE, 0.9))


def _tensor(values: Any) -> torch.Tensor:
    return torch.as_tensor(np.array(values), dtype=torch.float64)
