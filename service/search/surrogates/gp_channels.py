"""A Gaussian process of the target and of all channels together, averaged over how far each channel
carries over (`coregionalisation.py`)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from service.search.runs import TARGET, Runs
from service.search.space import SAME, FloatArray, total_variation
from service.search.surrogates.carried import Carried, worth_by_covariance
from service.search.surrogates.channel_settings import weights_of
from service.search.surrogates.coregionalisation import Learned, Rows, solved
from service.search.surrogates.part import LEVEL
from service.search.surrogates.protocol import Joint, Posterior, Searched


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
        own = self.learned.at_each(X) + LEVEL**2
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
