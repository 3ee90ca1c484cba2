"""Joint settings of several channels: what is averaged over, and which stand for all.

A grid over the settings of every channel at once would be a product of grids. So channels join one
after the other, and after each the settings are drawn anew in proportion to their weight, evenly
rather than at random.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from service.search.runs import ALONE
from service.search.space import FloatArray
from service.search.surrogates.basis import Basis
from service.search.surrogates.part import LINEAR, NOISE, PAIRS, TYPICAL
from service.search.surrogates.told import Rows, Settings, Told, of_channel, of_target

RHO = np.array([0.4, 0.7, 0.85, 0.95, 1.0])
NOTHING_CARRIES = 0.3
"""Correlations of a channel's coefficients with the target's, and the probability beforehand that
it is 0 instead. The others are all as likely."""

AMPLITUDES = np.geomspace(0.25, 4.0, 25)
"""Of a channel's effects, in units of its spread, against the target's: log-normal around 1."""
AMPLITUDE_SD = 0.5
COARSE = AMPLITUDES[2:-1:5]
"""Enough where nothing carries over, so that the ratio does not matter."""
QUANTILES = np.array([0.02, 0.15, 0.325, 0.5, 0.675, 0.85, 0.98])
"""Of what is believed of the amplitude: exact scores tell it within a hundredth."""

UNLIKELY = 0.02
"""Noise of a channel that has less weight than this by its own rows is left out."""
STATES, FEW_STATES = 400, 12
"""Settings that stand for all, in predictions and where rough weights will do."""
BETWEEN = 0.5 * (5**0.5 - 1)
"""Where steps begin: an irrational share of one."""


def of_target_alone() -> tuple[Settings, FloatArray]:
    """All settings of the target's scales and noise, and their log prior."""
    grid = np.array(list(product(LINEAR, PAIRS, NOISE)))
    return Settings(grid[:, :2], grid[:, 2], []), _log_normal(grid, TYPICAL)


def told_by_all(basis: Basis, settings: Settings, target: Rows, channels: Sequence[Rows]) -> Told:
    """What the target's rows and the channels tell together."""
    prior = basis.prior(settings.scales)
    told = of_target(settings, target)
    for c, rows in enumerate(channels):
        told = told + of_channel(prior, settings, c, target, rows)
    return told


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
    channels: Sequence[Rows],
    rows: Rows,
    spread: float,
) -> tuple[Settings, FloatArray]:
    """Settings with those of one more channel, whose mixtures are spread so widely.

    Returns:
        At most `STATES` settings, and what their log evidence has to be added to for their log
        weights: where some were drawn more often than others, that makes up for it.
    """
    told = told_by_all(basis, settings, target, channels)
    state = _Joint(basis, settings, told, log_prior, target, rows)
    noise = _likely_noise(basis, rows, spread)
    combos, added = _combinations(state, noise, noise / (TYPICAL[2] * spread))
    log_weight = np.empty((len(log_prior), len(combos)))
    # What the channel tells is the same where scales (and, with shared runs, noise) are.
    key = np.column_stack([settings.scales, settings.noise * rows.has_pairs])
    _, group = np.unique(key, axis=0, return_inverse=True)
    for g in range(int(group.max()) + 1):
        members = np.flatnonzero(group.reshape(-1) == g)
        log_weight[members] = state.log_weights(members, combos) + added
    chosen, count = np.unique(
        standing_for_all(weights_of(log_weight.ravel()), STATES), return_counts=True
    )
    at, combo = np.divmod(chosen, len(combos))
    evidence = log_weight.ravel()[chosen] - log_prior[at] - added[combo]
    return settings[at].joined(combos[combo]), np.log(count) - evidence


class _Joint:
    """Settings, what is told under them so far, and rows of one more channel."""

    def __init__(
        self,
        basis: Basis,
        settings: Settings,
        told: Told,
        log_prior: FloatArray,
        target: Rows,
        rows: Rows,
    ) -> None:
        self._settings, self._told, self._log_prior = settings, told, log_prior
        self._prior = basis.prior(settings.scales)
        self._target, self._rows = target, rows
        self.log_weight = told.evidence(self._prior) + log_prior
        """(G,) without the channel."""

    def log_weights(self, members: NDArray[np.intp], combos: FloatArray) -> FloatArray:
        """(k, Q) of k settings that differ in nothing the channel tells, each with channel settings
        (Q, 3), but for the prior of the latter."""
        same = np.full(len(combos), members[0])
        more = of_channel(
            self._prior[same], self._settings[same].joined(combos), -1, self._target, self._rows
        )
        found = []
        for i in members:
            both = self._told[int(i)] + more
            prior = np.broadcast_to(self._prior[i], both.h.shape)
            found.append(both.evidence(prior) + self._log_prior[i])
        return np.array(found)


def _likely_noise(basis: Basis, rows: Rows, spread: float) -> FloatArray:
    """(S,) settings of the training noise that the channel's own rows do not rule out."""
    grid = np.array(list(product(LINEAR, PAIRS, [0.0], COARSE, NOISE * spread)))
    alone = replace(rows, pair=np.full(len(rows.y), ALONE))
    settings = Settings(grid[:, :2], np.ones(len(grid)), [grid[:, 2:]])
    told = of_channel(basis.prior(grid[:, :2]), settings, 0, alone, alone)
    prior = _log_normal(grid[:, :2], TYPICAL[:2])
    prior = prior + _of_amplitude(grid[:, 3]) + _log_normal(grid[:, 4:], [TYPICAL[2] * spread])
    each = weights_of(told.l - told.s / 2 + prior).reshape(-1, len(NOISE)).sum(axis=0)
    likely: FloatArray = NOISE[each >= UNLIKELY] * spread
    return likely


def _combinations(
    state: _Joint, noise: FloatArray, against_typical: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(Q, 3) settings of a channel, and their log prior probabilities."""
    of_noise = np.log(weights_of(-0.5 * np.log(against_typical) ** 2))
    nothing = np.array(list(product([0.0], COARSE, noise)))
    coarse = np.log(weights_of(_of_amplitude(COARSE)))
    fine = _likely_amplitudes(state, noise)
    something = np.array(list(product(RHO, fine, noise)))
    cells = np.gradient(np.log(fine)) if len(fine) > 1 else np.ones(1)
    density = _of_amplitude(fine) - 0.5 * np.log(2 * np.pi) - np.log(AMPLITUDE_SD)
    carries = np.log((1 - NOTHING_CARRIES) / len(RHO))
    return np.vstack([nothing, something]), np.concatenate(
        [
            np.log(NOTHING_CARRIES) + (coarse[:, None] + of_noise).ravel(),
            np.tile(carries + ((density + np.log(cells))[:, None] + of_noise).ravel(), len(RHO)),
        ]
    )


def _likely_amplitudes(state: _Joint, noise: FloatArray) -> FloatArray:
    """Rising quantiles of the amplitude where something carries over, by a few settings."""
    combos = np.array(list(product(RHO, AMPLITUDES, noise)))
    few = standing_for_all(weights_of(state.log_weight), FEW_STATES)
    # They were drawn by their weight: it does not count twice.
    log_weight = np.array([state.log_weights(i, combos)[0] for i in few[:, None]])
    log_weight += _of_amplitude(combos[:, 1]) - state.log_weight[few][:, None]
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


def _of_amplitude(amplitude: FloatArray) -> FloatArray:
    """Log density up to a constant."""
    density: FloatArray = -0.5 * (np.log(amplitude) / AMPLITUDE_SD) ** 2
    return density
