"""Coregionalisation of the target and of all channels: rows, what is learned, and how likely.

Channel c is `f_c = a_c (rho_c f + sqrt(1 - rho_c^2) g_c)` beside a level of its own, with `f` the
target and `g_c` the channel's own share, both with the same kernel: coregionalisation (Bonilla,
Chai and Williams, 2008) in the form of Kennedy and O'Hagan (2000). Kernel, amplitudes and noise are
learned together with one `rho_c`; then `rho_c` is averaged over a grid by evidence, 0 among it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gpytorch.kernels import Kernel
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.optimize import minimize
from scipy.special import logsumexp

from service.search.runs import ALONE, Runs
from service.search.space import FloatArray
from service.search.surrogates.channel_settings import NOTHING_CARRIES, RHO
from service.search.surrogates.likelihood import LOG_2_PI, SHARED
from service.search.surrogates.part import LEVEL, NEGLIGIBLE
from service.search.surrogates.standard import centre_and_scale

MOST_SETTINGS = 12
"""Joint correlations that are kept, the likeliest."""
LEAST_SPREAD = 0.25
AMPLITUDE_OFF = 0.5
"""Log standard deviation of a channel's amplitude beforehand."""
TYPICAL_NOISE = 0.05
"""Median of the variance of training noise beforehand, as a share of the scores'; its log standard
deviation is 1."""
LEARNED_FROM = 300
"""Rows of all channels that kernel, amplitudes and noise are learned from."""
GRID = np.array([0.0, *RHO])
LOG_PRIOR = np.log([NOTHING_CARRIES, *[(1 - NOTHING_CARRIES) / len(RHO)] * len(RHO)])


@dataclass(frozen=True, eq=False)
class Rows:
    """N rows of the target (channel 0) and the channels, each in units of its own.

    Attributes:
        X: (N, m) mixtures.
        channel: (N,) its number.
        y, sampling: (N,) scores and their sampling variances.
        run: (N,) number of the training run; `ALONE` for none.
    """

    X: FloatArray
    channel: NDArray[np.intp]
    y: FloatArray
    sampling: FloatArray
    run: NDArray[np.intp]

    @classmethod
    def of(cls, runs: Runs, names: Sequence[str], power: float) -> Rows:
        each = [runs, *(runs.channels[name] for name in names)]
        scores, sampling = [], []
        usual = _spread(runs.weights, power)
        for one in each:
            centre, scale = centre_and_scale(one)
            if one is not runs:
                scale /= max(_spread(one.weights, power) / usual, LEAST_SPREAD)
            known = np.isfinite(one.noise_sd)
            typical = float(np.median(one.noise_sd[known])) if known.any() else 0.0
            scores.append((one.score - centre) / scale)
            sampling.append((np.where(known, one.noise_sd, typical) / scale) ** 2)
        return cls(
            np.vstack([one.weights for one in each]),
            np.repeat(np.arange(len(each)), [len(one) for one in each]),
            np.concatenate(scores),
            np.maximum(np.concatenate(sampling), 1e-4),
            np.concatenate([one.run for one in each]),
        )

    def subset(self, chosen: NDArray[Any]) -> Rows:
        return Rows(*(values[chosen] for values in vars(self).values()))

    @property
    def same_run(self) -> NDArray[np.bool_]:
        """(N, N) whether two different rows are of one training run."""
        same: NDArray[np.bool_] = (self.run[:, None] == self.run) & (self.run != ALONE)[:, None]
        np.fill_diagonal(same, False)
        return same


def _spread(X: FloatArray, power: float) -> float:
    Z = X**power
    return max(float(np.sqrt(((Z - Z.mean(axis=0)) ** 2).sum(axis=1).mean())), 1e-3)


@dataclass(frozen=True, eq=False)
class Learned:
    """What all correlations share.

    Attributes:
        kernel: of weights.
        amplitude, noise: (1 + C,) of each channel's effects and training noise; the target first,
            whose amplitude is 1.
    """

    kernel: Kernel
    amplitude: FloatArray
    noise: FloatArray

    def between(self, rho: FloatArray) -> FloatArray:
        """(1 + C, 1 + C) of the channels, for correlations (1 + C,) with the target."""
        between = np.outer(rho, rho)
        np.fill_diagonal(between, 1.0)
        covariance: FloatArray = np.outer(self.amplitude, self.amplitude) * between
        return covariance

    def among(self, A: FloatArray, B: FloatArray) -> FloatArray:
        """(a, b) covariances of the target between mixtures."""
        with torch.no_grad():
            value: FloatArray = self.kernel.forward(_tensor(A), _tensor(B)).numpy()
        return value

    def at_each(self, X: FloatArray) -> FloatArray:
        """(k,) variances of the target at mixtures: the diagonal of `among(X, X)`."""
        points = _tensor(X)
        with torch.no_grad():
            value: FloatArray = self.kernel.forward(points, points, diag=True).numpy()
        return value


def learned(kernel: Kernel, rows: Rows, iterations: int, seed: int) -> Learned:
    """By maximum a posteriori, from `LEARNED_FROM` rows at most, the target's before others."""
    n_channels = int(rows.channel.max()) + 1
    if len(rows.y) > LEARNED_FROM:
        order = np.random.default_rng(seed).permutation(len(rows.y))
        first = order[np.argsort(rows.channel[order] > 0, kind="stable")]
        rows = rows.subset(np.sort(first[:LEARNED_FROM]))
    X, y, sampling = _tensor(rows.X), _tensor(rows.y), _tensor(rows.sampling)
    channel = torch.as_tensor(rows.channel)
    together = _tensor(SHARED * rows.same_run + np.eye(len(rows.y)))
    level = LEVEL**2 * _tensor(rows.channel[:, None] == rows.channel)
    own = torch.zeros(3, n_channels, dtype=torch.float64, requires_grad=True)
    parameters = [p for p in kernel.parameters() if p.requires_grad] + [own]

    def loss() -> torch.Tensor:
        free = torch.arange(n_channels) > 0
        amplitude = torch.exp(AMPLITUDE_OFF * own[0] * free)
        noise = torch.sqrt(1e-4 + TYPICAL_NOISE * torch.exp(own[1]))
        rho = torch.where(free, torch.sigmoid(1.5 + own[2]), 1.0)
        between = rho[:, None] * rho + torch.diag(1 - rho**2)
        B = amplitude[:, None] * amplitude * between
        s = noise[channel]
        K = kernel.forward(X, X) * B[channel][:, channel] + level
        K = K + s[:, None] * s * together + torch.diag(sampling)
        factor = torch.linalg.cholesky(K)
        white = torch.linalg.solve_triangular(factor, y[:, None], upper=False)
        value: torch.Tensor = (
            0.5 * (white**2).sum() + factor.diagonal().log().sum() + 0.5 * (own**2).sum()
        )
        for _, module, prior, closure, _ in kernel.named_priors():
            value = value - prior.log_prob(closure(module)).sum()
        return value

    def with_slopes(flat: FloatArray) -> tuple[float, FloatArray]:
        _set(parameters, flat)
        for parameter in parameters:
            parameter.grad = None
        try:
            value = loss()
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            return 1e10, np.zeros_like(flat)
        value.backward()  # type: ignore[no-untyped-call]
        slopes = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        return float(value.detach()), np.concatenate([s.numpy().ravel() for s in slopes])

    start = np.concatenate([p.detach().numpy().ravel() for p in parameters])
    found = minimize(
        with_slopes, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations}
    )
    _set(parameters, found.x if np.isfinite(found.x).all() else start)
    values = own.detach().numpy()
    amplitude = np.exp(AMPLITUDE_OFF * values[0] * (np.arange(n_channels) > 0))
    return Learned(kernel, amplitude, np.sqrt(1e-4 + TYPICAL_NOISE * np.exp(values[1])))


def _set(parameters: Sequence[torch.Tensor], flat: FloatArray) -> None:
    at = 0
    with torch.no_grad():
        for parameter in parameters:
            n = parameter.numel()
            parameter.copy_(_tensor(flat[at : at + n]).reshape(parameter.shape))
            at += n


def solved(known: Learned, rows: Rows, rho: FloatArray) -> tuple[FloatArray, FloatArray, float]:
    """K^-1, K^-1 y and the log evidence of rows for correlations (1 + C,), the target's being 1."""
    channel = rows.channel
    B = known.between(rho)
    noise = known.noise[channel]
    K = known.among(rows.X, rows.X) * B[np.ix_(channel, channel)]
    K += LEVEL**2 * (channel[:, None] == channel)
    K += np.outer(noise, noise) * (SHARED * rows.same_run + np.eye(len(noise)))
    K += np.diag(rows.sampling)
    factor = np.linalg.cholesky(K)
    inverse: FloatArray = cho_solve((factor, True), np.eye(len(K)))
    pull = inverse @ rows.y
    log_det = 2 * float(np.log(np.diag(factor)).sum())
    return inverse, pull, -0.5 * (float(rows.y @ pull) + log_det + len(K) * LOG_2_PI)


def settings_of(known: Learned, rows: Rows) -> tuple[FloatArray, FloatArray]:
    """(S, 1 + C) correlations that are likely, and their log prior: one channel after the other."""
    settings, log_prior = np.ones((1, 1)), np.zeros(1)
    for c in range(1, int(rows.channel.max()) + 1):
        so_far = rows.subset(rows.channel <= c)
        part = Learned(known.kernel, known.amplitude[: c + 1], known.noise[: c + 1])
        settings = np.column_stack(
            [np.repeat(settings, len(GRID), axis=0), np.tile(GRID, len(settings))]
        )
        log_prior = np.repeat(log_prior, len(GRID)) + np.tile(LOG_PRIOR, len(log_prior))
        log_weight = log_prior + [solved(part, so_far, rho)[2] for rho in settings]
        log_weight -= logsumexp(log_weight)
        likely = np.argsort(-log_weight, kind="stable")[:MOST_SETTINGS]
        likely = np.sort(likely[log_weight[likely] >= math.log(NEGLIGIBLE) + log_weight.max()])
        settings, log_prior = settings[likely], log_prior[likely]
    return settings, log_prior


def _tensor(values: Any) -> torch.Tensor:
    return torch.as_tensor(np.array(values, dtype=float), dtype=torch.float64)
