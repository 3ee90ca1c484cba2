"""Joint settings of several channels: what is averaged over, and which stand for all.

A grid over the settings of every channel at once would be a product of grids. So channels join one
after the other, and after each the settings are drawn anew in proportion to their weight, evenly
rather than at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from service.search.runs import ALONE
from service.search.space import FloatArray
from service.search.surrogates.basis import Basis
from service.search.surrogates.likelihood import (
    Likelihood,
    Rows,
    Scaled,
    Settings,
    Solved,
    of_combinations,
    of_target,
)
from service.search.surrogates.part import LINEAR, NOISE, PAIRS, TYPICAL

RHO = np.array([0.4, 0.7, 0.85, 0.95, 1.0])
NOTHING_CARRIES = 0.5
"""Correlations of a channel's coefficients with the target's, and the probability beforehand that
it is 0 instead. The others are all as likely."""

AMPLITUDES = np.geomspace(0.25, 4.0, 25)
"""Of a channel's effects, in units of its spread, against the target's: log-normal around 1."""
LEAST_OFF = 0.25
"""Log standard deviation of the amplitude between channels whose spreads are known exactly."""
QUANTILES = np.array([0.02, 0.15, 0.325, 0.5, 0.675, 0.85, 0.98])
"""Of what is believed of the amplitude: exact scores tell it within a hundredth."""

UNLIKELY = 0.02
"""Noise of a channel that has less weight than this by its own rows is left out."""
LEFT_OUT = 1e-4
"""Weight of all those settings together that are left out when one more channel joins: the least
likely by what is known so far. Without them it takes half of the time."""
STATES, FEW_STATES = 400, 12
"""Settings that stand for all, in predictions and where rough weights will do."""
BETWEEN = 0.5 * (5**0.5 - 1)
"""Where steps begin: an irrational share of one."""


def of_target_alone() -> tuple[Settings, FloatArray]:
    """All settings of the target's scales and noise, and their log prior."""
    grid = np.array(list(product(LINEAR, PAIRS, NOISE)))
    return Settings(grid[:, :2], grid[:, 2], []), _log_normal(grid, TYPICAL)


def joint_likelihood(
    basis: Basis, settings: Settings, target: Rows, channels: Sequence[Channel]
) -> Likelihood:
    """Of the target's rows and the channels' together."""
    prior = basis.prior(settings.scales)
    found = of_target(settings, target)
    for c, channel in enumerate(channels):
        found = found + channel.solved(prior, settings, c, target).likelihood
    return found


@dataclass(frozen=True, eq=False)
class Channel:
    """Rows of a channel.

    Attributes:
        noise: (S,) settings of its training noise that its own rows do not rule out, rising.
        log_prior: (S,) of these.
        off: log standard deviation of its amplitude beforehand.
    """

    basis: Basis
    rows: Rows
    noise: FloatArray
    log_prior: FloatArray
    off: float

    @classmethod
    def of(cls, basis: Basis, rows: Rows, spread: float, n_target: int) -> Channel:
        """Of rows whose mixtures are spread so widely, beside so many rows of the target."""
        # Both spreads, which the amplitude is in units of, are estimated.
        counts = np.maximum([n_target - 1, len(rows.y) - 1], 1)
        off = float(np.sqrt(LEAST_OFF**2 + (0.5 / counts).sum()))
        every = NOISE * spread
        log_prior = _log_normal(every[:, None], [TYPICAL[2] * spread])
        of_all = cls(basis, rows, every, log_prior, off)
        likely = weights_of(of_all._by_noise(of_all._solved_alone.likelihood)) >= UNLIKELY
        kept = np.log(weights_of(log_prior[likely]))
        return cls(basis, rows, every[likely], kept, off)

    @cached_property
    def _solved_alone(self) -> Solved:
        """Without the target, by scales of its own and then by noise."""
        grid = np.array(list(product(LINEAR, PAIRS, [0.0], [1.0], self.noise)))
        alone = replace(self.rows, pair=np.full(len(self.rows.y), ALONE))
        settings = Settings(grid[:, :2], np.ones(len(grid)), [grid[:, 2:]])
        return Solved.of(self.basis.prior(grid[:, :2]), settings, 0, alone, alone)

    def _by_noise(self, found: Likelihood) -> FloatArray:
        """(S,) log evidence of rows by themselves, whatever the scales, prior of noise included."""
        scales = np.log(
            weights_of(_log_normal(np.array(list(product(LINEAR, PAIRS))), TYPICAL[:2]))
        )
        each = (found.l - found.s / 2).reshape(-1, len(self.noise)) + scales[:, None]
        evidence: FloatArray = logsumexp(each, axis=0) + self.log_prior
        return evidence

    @cached_property
    def alone(self) -> float:
        """Log evidence of the rows by themselves."""
        return float(logsumexp(self._by_noise(self._solved_alone.likelihood)))

    def alone_without(self, some: NDArray[np.intp]) -> float:
        """The same without some rows (r,)."""
        solved = self._solved_alone
        return float(logsumexp(self._by_noise(solved.likelihood - solved.added_by(some))))

    def solved(self, prior: FloatArray, settings: Settings, c: int, target: Rows) -> SolvedChannel:
        """Its rows as channel `c`."""
        carries = settings.channels[c][:, 0] != 0
        return SolvedChannel(self, Solved.of(prior, settings, c, target, self.rows), carries)

    def of_combinations(
        self, prior: FloatArray, noise: float, combos: FloatArray, target: Rows
    ) -> Scaled:
        """What its rows tell for Q settings of the channel beside one of the target."""
        carries = combos[:, 0] != 0
        A, l = of_combinations(prior, noise, combos, target, self.rows)  # noqa: E741
        return Scaled(A * carries[:, None, None], np.where(carries, l, self.alone))


@dataclass(frozen=True, eq=False)
class SolvedChannel:
    """Rows of a channel under G settings; where nothing carries over (rho is 0) they tell no more
    than how likely they are by themselves, with scales of their own.

    Attributes:
        carries: (G,) whether something carries over.
    """

    channel: Channel
    solved: Solved
    carries: NDArray[np.bool_]

    @cached_property
    def likelihood(self) -> Likelihood:
        return self._where_it_carries(self.solved.likelihood, self.channel.alone)

    def added_by(self, some: NDArray[np.intp]) -> Likelihood:
        """What these of the rows (r,) add to the likelihood of the others."""
        alone = self.channel.alone - self.channel.alone_without(some)
        return self._where_it_carries(self.solved.added_by(some), alone)

    def _where_it_carries(self, found: Likelihood, alone: float) -> Likelihood:
        return Likelihood(
            found.J * self.carries[:, None, None],
            found.h * self.carries[:, None],
            found.s * self.carries,
            np.where(self.carries, found.l, alone),
        )


def weights_of(log_weight: FloatArray) -> FloatArray:
    """Summing to 1."""
    weight: FloatArray = np.exp(log_weight - logsumexp(log_weight))
    return weight


def standing_for_all(weight: FloatArray, n: int) -> NDArray[np.intp]:
    """n settings (with repeats), as often as their weights (G,) say, evenly along their order."""
    # Weights that were drawn before are counts: no step may fall where two of them meet.
    steps = (np.arange(n) + BETWEEN) / n
    return np.minimum(np.searchsorted(np.cumsum(weight), steps), len(weight) - 1)


def joined(
    basis: Basis,
    settings: Settings,
    log_prior: FloatArray,
    target: Rows,
    channels: Sequence[Channel],
    channel: Channel,
) -> tuple[Settings, FloatArray]:
    """Settings with those of one more channel.

    Returns:
        At most `STATES` settings, and what their log evidence has to be added to for their log
        weights: where some were drawn more often than others, that makes up for it.
    """
    so_far = joint_likelihood(basis, settings, target, channels)
    state = _Joint(basis, settings, so_far, log_prior, target, channel)
    combos, added = _combinations(state, channel)
    log_weight = np.full((len(log_prior), len(combos)), -np.inf)
    likely = state.likely()
    # What the channel tells is the same where scales (and, with shared runs, noise) are.
    key = np.column_stack([settings.scales, settings.noise * channel.rows.has_pairs])
    _, group = np.unique(key[likely], axis=0, return_inverse=True)
    for g in range(int(group.max()) + 1):
        members = likely[group.reshape(-1) == g]
        log_weight[members] = state.log_weights(members, combos) + added
    chosen, count = np.unique(
        standing_for_all(weights_of(log_weight.ravel()), STATES), return_counts=True
    )
    at, combo = np.divmod(chosen, len(combos))
    evidence = log_weight.ravel()[chosen] - log_prior[at] - added[combo]
    return settings[at].joined(combos[combo]), np.log(count) - evidence


class _Joint:
    """Settings, the likelihood under them so far, and rows of one more channel."""

    def __init__(
        self,
        basis: Basis,
        settings: Settings,
        so_far: Likelihood,
        log_prior: FloatArray,
        target: Rows,
        channel: Channel,
    ) -> None:
        self._settings, self._log_prior = settings, log_prior
        self._prior = basis.prior(settings.scales)
        self._so_far = so_far.scaled(self._prior)
        self._target, self._channel = target, channel
        self.log_weight = self._so_far.evidence() + log_prior
        """(G,) without the channel."""

    def likely(self) -> NDArray[np.intp]:
        """Settings in their order, but the unlikely ones."""
        weight = weights_of(self.log_weight)
        rising = np.argsort(weight)
        dropped = np.searchsorted(np.cumsum(weight[rising]), LEFT_OUT)
        return np.sort(rising[dropped:])

    def log_weights(self, members: NDArray[np.intp], combos: FloatArray) -> FloatArray:
        """(k, Q) of k settings that differ in nothing the channel tells, each with channel settings
        (Q, 3), but for the prior of the latter."""
        prior, noise = self._prior[members[0]], float(self._settings.noise[members[0]])
        more = self._channel.of_combinations(prior, noise, combos, self._target)
        found = [
            Scaled(self._so_far.A[i] + more.A, self._so_far.l[i] + more.l).evidence()
            + self._log_prior[i]
            for i in members
        ]
        return np.array(found)


def _combinations(state: _Joint, channel: Channel) -> tuple[FloatArray, FloatArray]:
    """(Q, 3) settings of a channel, and their log prior probabilities."""
    fine = _likely_amplitudes(state, channel)
    cells = np.gradient(np.log(fine)) if len(fine) > 1 else np.ones(1)
    density = _of_amplitude(fine, channel.off) - np.log(np.sqrt(2 * np.pi) * channel.off)
    carries = np.log((1 - NOTHING_CARRIES) / len(RHO))
    each = carries + ((density + np.log(cells))[:, None] + channel.log_prior).ravel()
    nothing = [0.0, 1.0, channel.noise[0]]  # amplitude and noise have been averaged over
    return (
        np.array([nothing, *product(RHO, fine, channel.noise)]),
        np.array([np.log(NOTHING_CARRIES), *np.tile(each, len(RHO))]),
    )


def _likely_amplitudes(state: _Joint, channel: Channel) -> FloatArray:
    """Rising quantiles of the amplitude where something carries over, by a few settings."""
    combos = np.array(list(product(RHO, AMPLITUDES, channel.noise)))
    few = standing_for_all(weights_of(state.log_weight), FEW_STATES)
    # They were drawn by their weight: it does not count twice.
    log_weight = np.array([state.log_weights(i, combos)[0] for i in few[:, None]])
    log_weight += _of_amplitude(combos[:, 1], channel.off) - state.log_weight[few][:, None]
    each = weights_of(logsumexp(log_weight, axis=0)).reshape(len(RHO), len(AMPLITUDES), -1)
    total = np.cumsum(each.sum(axis=(0, 2)))
    # Weight lies between the amplitudes: half of an amplitude's own comes before it.
    middle = total - each.sum(axis=(0, 2)) / 2
    found = np.exp(np.interp(QUANTILES, middle, np.log(AMPLITUDES)))
    return np.unique(found)


def _log_normal(values: FloatArray, typical: Sequence[float]) -> FloatArray:
    """(G,) log density of (G, k) values up to a constant, with a log standard deviation of 1."""
    density: FloatArray = -0.5 * (np.log(values / np.array(typical)) ** 2).sum(axis=1)
    return density


def _of_amplitude(amplitude: FloatArray, off: float) -> FloatArray:
    """Log density up to a constant."""
    density: FloatArray = -0.5 * (np.log(amplitude) / off) ** 2
    return density
