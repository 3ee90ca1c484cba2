"""A Gaussian process (BoTorch): a linear trend plus an isotropic Matern-5/2 bump surface.

One length scale for all domains, because with few runs one each leaves intervals far too narrow.
The trend is a linear kernel, so its slope is shrunk like everything else. Each run's noise is its
known sampling error and a training noise common to all, which is learned and has a prior.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan
from gpytorch.kernels import LinearKernel, MaternKernel, ScaleKernel
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior, LogNormalPrior
from linear_operator.utils.warnings import NumericalWarning

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.protocol import Posterior

# Jitter on the covariance of near-equal mixtures is expected and harmless here.
warnings.filterwarnings("ignore", category=NumericalWarning)

MIN_NOISE_SHARE = 1e-4
TRAINING_NOISE_SHARE = 0.05
"""Least and typical variance of training noise, as a share of the variance of the scores."""


class GaussianProcess:
    """Fits by maximum a posteriori."""

    min_runs = 2

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> GaussianProcessFit:
        centre = float(runs.score.mean())
        scale = float(runs.score.std(ddof=1)) or 1.0
        y = (runs.score - centre) / scale
        model = _model(runs.weights, y, _sampling_noise(runs, scale))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            try:
                fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
            except ModelFittingError:
                # The prior's own values stand: a flat likelihood says nothing against them.
                model = _model(runs.weights, y, _sampling_noise(runs, scale))
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
        """Of a run with the usual sampling error: sampling and training noise together."""
        return self.scale * math.sqrt(self._noise.mean().item())

    @property
    def _noise(self) -> torch.Tensor:
        """(n,) noise variance of each run, standardised."""
        noise: torch.Tensor = self.model.likelihood.noise.detach()
        return noise

    @cached_property
    def _algebra(self) -> tuple[torch.Tensor, torch.Tensor]:
        """K^-1 (n, n), with K the covariance of the noisy scores, and K^-1 (y - c) (n,)."""
        X, y = self.model.train_inputs[0], self.model.train_targets
        K = self._covariance(X, X) + torch.diag(self._noise)
        inverse = torch.cholesky_inverse(torch.linalg.cholesky(K))
        return inverse, inverse @ (y - self._constant)

    @property
    def _constant(self) -> torch.Tensor:
        constant: torch.Tensor = self.model.mean_module.constant.detach()
        return constant

    def _covariance(self, A: torch.Tensor, B: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            covariance: torch.Tensor = self.model.covar_module(A, B).to_dense()
        return covariance

    def predict(self, X: FloatArray) -> tuple[FloatArray, FloatArray]:
        """By the textbook formula: without the covariances between the mixtures asked for."""
        inverse, coefficients = self._algebra
        Z = _tensor(np.atleast_2d(X))
        cross = self._covariance(Z, self.model.train_inputs[0])
        with torch.no_grad():
            prior = self.model.covar_module(Z, diag=True)
        mean = self._constant + cross @ coefficients
        variance = prior - ((cross @ inverse) * cross).sum(dim=1)
        sd = variance.clamp_min(0).sqrt()
        return self.centre + self.scale * mean.numpy(), self.scale * sd.numpy()

    def posterior(self, X: FloatArray) -> Posterior:
        inverse, coefficients = self._algebra
        Z = _tensor(np.atleast_2d(X))
        cross = self._covariance(Z, self.model.train_inputs[0])
        mean = self._constant + cross @ coefficients
        covariance = self._covariance(Z, Z) - cross @ inverse @ cross.T
        return Posterior(
            self.centre + self.scale * mean.numpy(), self.scale**2 * covariance.numpy()
        )

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """In closed form with the hyperparameters of the whole fit (Rasmussen and Williams, 5.12).

        With K the covariance of the noisy scores: mean y - K^-1 (y - c) / diag(K^-1), variance
        1 / diag(K^-1). Keeping the hyperparameters makes it a little kind to the model.
        """
        inverse, coefficients = self._algebra
        spread = 1 / inverse.diagonal()
        mean = self.model.train_targets - coefficients * spread
        return self.centre + self.scale * mean.numpy(), self.scale * spread.sqrt().numpy()


def _model(X: FloatArray, y: FloatArray, sampling: FloatArray) -> SingleTaskGP:
    m = X.shape[1]
    matern = MaternKernel(
        nu=2.5,
        # Median length scale about that of the simplex's width, broad on the log scale.
        lengthscale_prior=LogNormalPrior(math.log(0.7 * math.sqrt(m / 2)), 0.7),
        lengthscale_constraint=GreaterThan(0.05),
    )
    matern.lengthscale = 0.7 * math.sqrt(m / 2)
    likelihood = FixedNoiseGaussianLikelihood(
        _tensor(sampling),
        learn_additional_noise=True,
        noise_prior=LogNormalPrior(math.log(TRAINING_NOISE_SHARE), 1.0),
        noise_constraint=GreaterThan(MIN_NOISE_SHARE),
    )
    likelihood.second_noise_covar.noise = TRAINING_NOISE_SHARE
    return SingleTaskGP(
        _tensor(X),
        _tensor(y)[:, None],
        likelihood=likelihood,
        covar_module=ScaleKernel(matern, outputscale_prior=GammaPrior(2.0, 2.0))
        + LinearKernel(variance_prior=GammaPrior(1.0, 1.0)),
        outcome_transform=None,  # standardised by hand, so that leave-one-out is plain algebra
    )


def _sampling_noise(runs: Runs, scale: float) -> FloatArray:
    """(n,) known sampling variances as shares of the scores' variance.

    Runs whose error is unknown are taken to be as exact as the usual one.
    """
    known = np.isfinite(runs.noise_sd)
    usual = float(np.median(runs.noise_sd[known])) if known.any() else 0.0
    noise_sd = np.where(known, runs.noise_sd, usual)
    return np.maximum((noise_sd / scale) ** 2, MIN_NOISE_SHARE)


def _tensor(values: Any) -> torch.Tensor:
    return torch.as_tensor(np.array(values), dtype=torch.float64)
