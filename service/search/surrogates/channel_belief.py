"""The joint belief about a quadratic's coefficients and those of its channels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from service.search.runs import TARGET
from service.search.space import FloatArray
from service.search.surrogates.basis import Basis
from service.search.surrogates.channel_settings import (
    Channel,
    joint_likelihood,
    standing_for_all,
)
from service.search.surrogates.likelihood import Rows, Settings, given_target
from service.search.surrogates.protocol import Joint

STATES = 64
"""Settings that stand for all."""


@dataclass(frozen=True, eq=False)
class ChannelBelief:
    """What `fitted_with_channels` knows, kept to tell of channels when asked.

    Attributes:
        names: of the channels.
        weight: (G,) of the settings.
    """

    basis: Basis
    names: Sequence[str]
    settings: Settings
    weight: FloatArray
    target: Rows
    channels: Sequence[Channel]

    @cached_property
    def _some(self) -> Settings:
        return self.settings[standing_for_all(self.weight, STATES)]

    @cached_property
    def _coefficients(self) -> tuple[FloatArray, FloatArray]:
        """(1 + C, q) means and ((1 + C) q, (1 + C) q) covariance, over all settings."""
        prior = self.basis.prior(self._some.scales)
        told = joint_likelihood(self.basis, self._some, self.target, self.channels)
        G, q = prior.shape
        own = np.linalg.inv(told.J + np.eye(q) / prior[:, :, None])
        mean = (own @ told.h[:, :, None])[:, :, 0]
        # Given the settings, all coefficients are linear in the target's: E beta + b + N(0, T).
        n = 1 + len(self.channels)
        E = np.zeros((G, n * q, q))
        means, left = np.zeros((G, n * q)), np.zeros((G, n * q, n * q))
        E[:, :q] = np.eye(q)
        for c, channel in enumerate(self.channels):
            at = slice((1 + c) * q, (2 + c) * q)
            A, b, T = given_target(prior, self._some, c, self.target, channel.rows)
            carries = self._some.channels[c][:, 0] != 0
            E[:, at], means[:, at], left[:, at, at] = A * carries[:, None, None], b, T
        means += (E @ mean[:, :, None])[:, :, 0]
        average = means.mean(axis=0)
        off = means - average
        covariance = (left + E @ own @ np.swapaxes(E, 1, 2)).mean(axis=0) + off.T @ off / G
        return average.reshape(n, q), covariance

    @cached_property
    def _left_out(self) -> FloatArray:
        """(1 + C, 1 + C) prior covariance of what the basis leaves out, the same for all of it."""
        some = self._some
        shares = [np.ones(len(some.noise)), *(one[:, 0] * one[:, 1] for one in some.channels)]
        own = [np.zeros(len(some.noise))]
        own += [one[:, 1] ** 2 * (1 - one[:, 0] ** 2) for one in some.channels]
        pairs = some.scales[:, 1] ** 2
        covariance: FloatArray = np.einsum("ag,bg,g->ab", shares, shares, pairs) / len(pairs)
        covariance += np.diag(np.mean(np.array(own) * pairs, axis=1))
        return covariance

    def joint(self, X: FloatArray) -> Joint:
        """About mixtures (k, m), in the target's units."""
        scaling = self.basis.scaling
        mean, covariance = self._coefficients
        F, _ = self.basis.features(X)
        n, (k, q) = len(mean), F.shape
        among = np.einsum("ip,apbq,jq->aibj", F, covariance.reshape(n, q, n, q), F, optimize=True)
        among = among.reshape(n * k, n * k) + np.kron(self._left_out, self.basis.left_out(X))
        return Joint(
            (TARGET, *self.names),
            scaling.centre + scaling.scale * (mean @ F.T),
            scaling.scale**2 * among,
            scaling.scale**2 * self._noise,
        )

    @cached_property
    def _noise(self) -> FloatArray:
        """(1 + C,) variance of a score, with the usual sampling error."""
        some = self._some
        each = [
            (some.noise, self.target),
            *(
                (one[:, 2], channel.rows)
                for one, channel in zip(some.channels, self.channels, strict=True)
            ),
        ]
        return np.array([np.mean(noise**2) + rows.sampling.mean() for noise, rows in each])
