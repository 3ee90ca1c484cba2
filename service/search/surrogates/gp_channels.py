"""A Gaussian process of the target and of all channels together.

Channel c is `f_c = a_c (rho_c f + sqrt(1 - rho_c^2) g_c)` beside a level of its own, with `f` the
target and `g_c` the channel's own share, both with the same kernel: coregionalisation (Bonilla,
Chai and Williams, 2008) in the form of Kennedy and O'Hagan (2000). Kernel, amplitudes and noise are
learned together with one `rho_c`; then `rho_c` is averaged over a grid by evidence, 0 among it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from gpytorch.kernels import Kernel
from numpy.typing import NDArray
from scipy.linalg import cho_solve
from scipy.optimize import minimize
from scipy.special import logsumexp

from service.search.runs import ALONE, TARGET, Runs
from service.search.space import SAME, FloatArray, total_variation
from service.search.surrogates.carried import Carried, worth_by_covariance
from service.search.surrogates.channel_settings import NOTHING_CARRIES, RHO, weights_of
from service.search.surrogates.part import LEVEL, NEGLIGIBLE
from service.search.surrogates.protocol import Joint, Posterior, Searched
from service.search.surrogates.standard import centre_and_scale
from service.search.surrogates.told import LOG_2_PI, SHARED

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

    def told(flat: FloatArray) -> tuple[float, FloatArray]:
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
    found = minimize(told, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations})
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


@dataclass(frozen=True, eq=False)
class ChannelsFit(Searched):
    """The belief about the target by its own rows and those of channels.

    Attributes:
        choice: kind of kernel.
        settings: (S, 1 + C) correlations with the target, which are averaged over.
        log_prior: (S,) of these.
        n_fitted: numbers that the target's kernel and noise have.
    """

    choice: Any
    runs: Runs
    names: Sequence[str]
    rows: Rows
    learned: Learned
    settings: FloatArray
    log_prior: FloatArray
    centre: float
    scale: float
    n_fitted: int

    name = "gp"

    @property
    def kind(self) -> str:
        return str(self.choice)

    @property
    def noise_sd(self) -> float:
        sampling = self.rows.sampling[self.rows.channel == 0].mean()
        return self.scale * math.sqrt(float(self.learned.noise[0] ** 2 + sampling))

    @cached_property
    def _solved(self) -> list[tuple[FloatArray, FloatArray, float]]:
        """Of each setting K^-1 (N, N), K^-1 y (N,), and its log evidence."""
        return [solved(self.learned, self.rows, rho) for rho in self.settings]

    @cached_property
    def weight(self) -> FloatArray:
        """(S,)"""
        return weights_of(np.array([one[2] for one in self._solved]) + self.log_prior)

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        X = np.atleast_2d(X)
        among = self.learned.among(X, self.rows.X)
        own = np.array([self.learned.among(x[None], x[None])[0, 0] for x in X])
        own += LEVEL**2
        means, variances = [], []
        for rho, (inverse, pull, _) in zip(self.settings, self._solved, strict=True):
            cross = self._cross(among, rho)
            means.append(cross @ pull)
            variances.append(np.maximum(own - ((cross @ inverse) * cross).sum(axis=1), 0))
        mean = self.weight @ np.array(means)
        variance = self.weight @ (np.array(variances) + (np.array(means) - mean) ** 2)
        added = self.noise_sd**2 if noisy else 0.0
        return self.centre + self.scale * mean, np.sqrt(self.scale**2 * variance + added)

    def _cross(self, among: FloatArray, rho: FloatArray) -> FloatArray:
        """(k, N) covariances of the target with the rows."""
        channel = self.rows.channel
        share = (rho * self.learned.amplitude)[channel]
        cross: FloatArray = among * share + LEVEL**2 * (channel == 0)
        return cross

    def posterior(self, X: FloatArray) -> Posterior:
        X = np.atleast_2d(X)
        among = self.learned.among(X, self.rows.X)
        prior = self.learned.among(X, X) + LEVEL**2
        means, covariance = [], np.zeros((len(X), len(X)))
        for w, rho, (inverse, pull, _) in zip(
            self.weight, self.settings, self._solved, strict=True
        ):
            cross = self._cross(among, rho)
            means.append(cross @ pull)
            covariance += w * (prior - cross @ inverse @ cross.T)
        mean = self.weight @ np.array(means)
        off = np.array(means) - mean
        covariance += (self.weight[:, None] * off).T @ off
        return Posterior(self.centre + self.scale * mean, self.scale**2 * covariance)

    def joint(self, X: FloatArray) -> Joint:
        k, n = len(X), 1 + len(self.names)
        among, own = self.learned.among(X, self.rows.X), self.learned.among(X, X)
        level = LEVEL**2 * (np.arange(n)[:, None] == self.rows.channel)
        means, covariance = [], np.zeros((n * k, n * k))
        for w, rho, (inverse, pull, _) in zip(
            self.weight, self.settings, self._solved, strict=True
        ):
            B = self.learned.between(rho)
            cross = B[:, self.rows.channel][:, None] * among + level[:, None]
            cross = cross.reshape(n * k, -1)
            prior = np.kron(B, own) + np.kron(np.eye(n), np.full((k, k), LEVEL**2))
            means.append(cross @ pull)
            covariance += w * (prior - cross @ inverse @ cross.T)
        mean = self.weight @ np.array(means)
        off = np.array(means) - mean
        covariance += (self.weight[:, None] * off).T @ off
        sampling = [self.rows.sampling[self.rows.channel == c].mean() for c in range(n)]
        return Joint(
            (TARGET, *self.names),
            self.centre + self.scale * mean.reshape(n, k),
            self.scale**2 * covariance,
            self.scale**2 * (self.learned.noise**2 + np.array(sampling)),
        )

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """In closed form, each mixture left out in all channels, with what was learned by all."""
        n = len(self.runs)
        mean, variance = np.empty(n), np.empty(n)
        for i in range(n):
            out = np.flatnonzero(total_variation(self.rows.X[i], self.rows.X) <= SAME)
            at = int(np.flatnonzero(out == i)[0])
            log_weight, means, variances = [], [], []
            for (inverse, pull, evidence), prior in zip(self._solved, self.log_prior, strict=True):
                covariance = np.linalg.inv(inverse[np.ix_(out, out)])
                off = covariance @ pull[out]
                # What these rows said for the setting is taken back.
                said = -0.5 * (off @ pull[out] + np.linalg.slogdet(covariance)[1])
                log_weight.append(evidence + prior - said)
                means.append(self.rows.y[i] - off[at])
                variances.append(covariance[at, at])
            weight = weights_of(np.array(log_weight))
            mean[i] = weight @ np.array(means)
            variance[i] = weight @ (np.array(variances) + (np.array(means) - mean[i]) ** 2)
        return self.centre + self.scale * mean, self.scale * np.sqrt(variance)

    @cached_property
    def channels(self) -> Mapping[str, Carried]:
        found = {name: Carried(0.0, 0.0, 0.0) for name in self.runs.channels}
        for c, name in enumerate(self.names, 1):
            rho = self.settings[:, c]
            mean = min(float(self.weight @ rho), 1.0)
            sd = float(np.sqrt(self.weight @ (rho - mean) ** 2))
            found[name] = Carried(mean, sd, self._worth(c))
        return found

    def _worth(self, c: int) -> float:
        """By the likeliest setting in which something carries over, for the share of such."""
        carries = np.flatnonzero(self.settings[:, c] > 0)
        if not len(carries):
            return 0.0
        s = carries[int(np.argmax(self.weight[carries]))]
        rho, X = self.settings[s], self.rows.X[self.rows.channel == c]
        left = []
        for rows in (self.rows.subset(self.rows.channel != c), self.rows):
            inverse = solved(self.learned, rows, rho)[0]
            cross = self.learned.among(X, rows.X) * (rho * self.learned.amplitude)[rows.channel]
            cross += LEVEL**2 * (rows.channel == 0)
            left.append(self.learned.among(X, X) + LEVEL**2 - cross @ inverse @ cross.T)
        noise = (self.noise_sd / self.scale) ** 2
        share = float(self.weight[carries].sum())
        return share * worth_by_covariance(left[0], float(np.diag(left[1]).mean()), noise)


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
