"""A Gaussian process (BoTorch): a linear or quadratic trend plus a Matern-5/2 bump surface.

The trend is a polynomial kernel, so its coefficients are shrunk like everything else. Weights enter
as they are or as square or fourth roots. Of these kinds the one under which left-out runs are
likeliest is kept. One length scale serves all domains, because with few runs one each leaves
intervals far too narrow; above ten runs a domain, one each is tried too. Each run's noise is its
known sampling error and a training noise common to all, which is learned and has a prior.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import torch
from botorch.exceptions.errors import ModelFittingError
from botorch.fit import fit_gpytorch_mll
from botorch.models import SingleTaskGP
from gpytorch.constraints import GreaterThan, Interval
from gpytorch.kernels import Kernel, LinearKernel, MaternKernel, PolynomialKernel, ScaleKernel
from gpytorch.likelihoods import FixedNoiseGaussianLikelihood
from gpytorch.mlls import ExactMarginalLogLikelihood
from gpytorch.priors import GammaPrior, LogNormalPrior
from linear_operator import to_dense
from linear_operator.utils.warnings import NumericalWarning
from numpy.typing import NDArray

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import coregionalisation
from service.search.surrogates.gp_channels import ChannelsFit
from service.search.surrogates.protocol import Posterior, Searched, log_density
from service.search.surrogates.standard import centre_and_scale

# Jitter on the covariance of near-equal mixtures is expected and harmless here.
warnings.filterwarnings("ignore", category=NumericalWarning)

MIN_NOISE_SHARE = 1e-4
TRAINING_NOISE_SHARE = 0.05
"""Least and typical variance of training noise, as a share of the variance of the scores."""
MAX_ITERATIONS = 75
LEARNED_FROM = 200
"""Length scales, trend and noise are learned from so many runs, drawn at random where there are
more; predictions are by all runs. Learning takes a hundred times as long as predicting."""
ARD_RUNS = 10
"""More runs a domain than this, and one length scale a domain is tried."""
LEAST_WEIGHT = 1e-6


@dataclass(frozen=True, slots=True)
class Kind:
    """What is chosen by leaving runs out.

    Attributes:
        power: of the weights: 1.0, 0.5 or 0.25.
        degree: of the trend, 1 or 2.
        ard: one length scale a domain.
    """

    power: float
    degree: int
    ard: bool = False

    def __str__(self) -> str:
        weights = {1.0: "raw weights", 0.5: "square-root weights"}.get(
            self.power, f"weights to the power {self.power:g}"
        )
        trend = ("linear", "quadratic")[self.degree - 1]
        scales = ", one length scale a domain" if self.ard else ""
        return f"{trend} trend on {weights}{scales}"


KINDS = tuple(Kind(power, degree) for power in (1.0, 0.5, 0.25) for degree in (1, 2))


class GaussianProcess:
    """Fits by maximum a posteriori.

    Args:
        kinds: those that are tried.
        iterations: of the optimizer for one of them, at most.
        learned_from: runs that hyperparameters are learned from, at most; predictions are made by
            all.
    """

    min_runs = 2
    max_runs = 2000
    takes_channels = True
    takes_schedules = False

    def __init__(
        self,
        kinds: Sequence[Kind] = KINDS,
        iterations: int = MAX_ITERATIONS,
        learned_from: int = LEARNED_FROM,
    ) -> None:
        self._kinds = kinds
        self._iterations, self._learned_from = iterations, learned_from

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> GaussianProcessFit | ChannelsFit:
        if any(len(channel) > 1 for channel in runs.channels.values()):
            every = (_with_channels(runs, kind, self._iterations, seed) for kind in self._kinds)
            return max(every, key=log_density)
        return self.fit_alone(runs, seed)

    def fit_alone(self, runs: Runs, seed: int) -> GaussianProcessFit:
        """From the runs themselves, whatever channels there are."""
        best = self._best(runs, self._kinds, seed)
        if min(len(runs), self._learned_from) > ARD_RUNS * runs.m:
            best = max(best, self._one(runs, replace(best.choice, ard=True), seed), key=log_density)
        return best

    def _best(self, runs: Runs, kinds: Sequence[Kind], seed: int) -> GaussianProcessFit:
        return max((self._one(runs, kind, seed) for kind in kinds), key=log_density)

    def _one(self, runs: Runs, kind: Kind, seed: int) -> GaussianProcessFit:
        some = _learned_from(len(runs), self._learned_from, seed)
        return _fitted(runs, kind, some, self._iterations, seed)


def _fitted(
    runs: Runs, kind: Kind, some: NDArray[np.intp], iterations: int, seed: int
) -> GaussianProcessFit:
    centre, scale = centre_and_scale(runs)
    y = (runs.score - centre) / scale
    noise = _sampling_noise(runs, scale)
    given = (runs.weights[some], y[some], noise[some], kind)
    model = _model(*given)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            fit_gpytorch_mll(
                ExactMarginalLogLikelihood(model.likelihood, model),
                optimizer_kwargs={"options": {"maxiter": iterations}},
            )
        except ModelFittingError:
            # The prior's own values stand: a flat likelihood says nothing against them.
            model = _model(*given)
    if len(some) < len(runs):
        everything = _tensor(runs.weights), _tensor(y)
        model.set_train_data(*everything, strict=False)  # type: ignore[operator]
        model.likelihood.noise_covar.noise = _tensor(noise)
    model.eval()
    return GaussianProcessFit(model, kind, centre, scale, runs, len(some))


def _with_channels(runs: Runs, kind: Kind, iterations: int, seed: int) -> ChannelsFit:
    names = sorted(name for name, channel in runs.channels.items() if len(channel) > 1)
    rows = coregionalisation.Rows.of(runs, names, kind.power)
    kernel = _kernel(rows.X, kind).double()
    n_fitted = sum(p.numel() for p in kernel.parameters() if p.requires_grad) + 1
    known = coregionalisation.learned(kernel, rows, iterations, seed)
    settings, log_prior = coregionalisation.settings_of(known, rows)
    scales = centre_and_scale(runs)
    return ChannelsFit(kind, runs, names, rows, known, settings, log_prior, *scales, n_fitted)


def _learned_from(n: int, most: int, seed: int) -> NDArray[np.intp]:
    """Which of n runs hyperparameters are learned from."""
    if n <= most:
        return np.arange(n)
    drawn = np.random.default_rng(seed).choice(n, most, replace=False)
    return np.sort(drawn)


@dataclass(frozen=True, eq=False)
class GaussianProcessFit(Searched):
    """`model` works on standardised scores, (score - centre) / scale; what it has
    besides is learned from `n_learned` of the runs."""

    model: SingleTaskGP
    choice: Kind
    centre: float
    scale: float
    runs: Runs
    n_learned: int

    name = "gp"

    @property
    def kind(self) -> str:
        n = len(self.runs)
        part = f", its scales learned from {self.n_learned} of {n:,} runs"
        return f"{self.choice}{part if self.n_learned < n else ''}"

    @property
    def n_fitted(self) -> int:
        return sum(p.numel() for p in self.model.parameters() if p.requires_grad)

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

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        """By the textbook formula: without the covariances between the mixtures asked for."""
        inverse, coefficients = self._algebra
        Z = _tensor(np.atleast_2d(X))
        cross = self._covariance(Z, self.model.train_inputs[0])
        with torch.no_grad():
            prior = self.model.covar_module(Z, diag=True)
        mean = self._constant + cross @ coefficients
        variance = prior - ((cross @ inverse) * cross).sum(dim=1)
        added = self._noise.mean() if noisy else 0.0
        sd = (variance.clamp_min(0) + added).sqrt()
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
        1 / diag(K^-1). Keeping the hyperparameters makes it a little optimistic.
        """
        inverse, coefficients = self._algebra
        spread = 1 / inverse.diagonal()
        mean = self.model.train_targets - coefficients * spread
        return self.centre + self.scale * mean.numpy(), self.scale * spread.sqrt().numpy()


class _Powers(Kernel):  # type: ignore[misc]
    """A sum of kernels of powers of the weights, so that the model itself takes weights.

    Added up as plain matrices: for tens of runs, building GPyTorch's lazy sums would take a third
    of a fit's time.
    """

    def __init__(self, terms: Sequence[Kernel], power: float) -> None:
        super().__init__()
        self.terms = torch.nn.ModuleList(terms)
        self.power = power

    def forward(
        self, x1: torch.Tensor, x2: torch.Tensor, diag: bool = False, **params: Any
    ) -> torch.Tensor:
        # Where a root starts it is as steep as at this weight, not infinitely so.
        z1, z2 = (x.clamp_min(LEAST_WEIGHT) ** self.power for x in (x1, x2))
        first, *others = (
            to_dense(term.forward(z1, z2, diag=diag, **params)) for term in self.terms
        )
        value: torch.Tensor = sum(others, first)
        return value


def _kernel(X: FloatArray, kind: Kind) -> _Powers:
    """Of weights, with the priors that mixtures (n, m) suggest."""
    n, m = X.shape
    # The usual distance between runs sets the scale of the length scale; broad on the log scale.
    Z = X**kind.power
    usual = math.sqrt(max(2 * float(((Z - Z.mean(axis=0)) ** 2).sum()) / n, 1e-6))
    matern = MaternKernel(
        nu=2.5,
        ard_num_dims=m if kind.ard else None,
        lengthscale_prior=LogNormalPrior(math.log(usual), 0.7),
        lengthscale_constraint=GreaterThan(0.05 * usual),
    )
    matern.lengthscale = usual
    bumps = ScaleKernel(matern, outputscale_prior=GammaPrior(2.0, 2.0))
    terms = [bumps, LinearKernel(variance_prior=GammaPrior(1.0, 1.0))]
    if kind.degree == 2:
        trend = PolynomialKernel(power=2, offset_constraint=Interval(0.0, 2.0))
        terms.append(ScaleKernel(trend, outputscale_prior=GammaPrior(1.0, 2.0)))
    return _Powers(terms, kind.power)


def _model(X: FloatArray, y: FloatArray, sampling: FloatArray, kind: Kind) -> SingleTaskGP:
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
        covar_module=_kernel(X, kind),
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
