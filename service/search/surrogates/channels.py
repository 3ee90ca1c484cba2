"""Evidence of every price: the target's quadratic, and what other channels tell of it.

Coefficients of channel c are `beta_c = a_c (rho_c beta + sqrt(1 - rho_c^2) gamma_c)`, with `beta`
the target's and `gamma_c` the channel's own, both with the same prior; the constant is the
channel's own altogether. Such a model (Kennedy and O'Hagan, 2000) is Gaussian given the scales,
`rho_c` and `a_c`, and all of these are averaged over by evidence. `rho_c` may be 0, so that a
channel which tells nothing of the target costs little, and 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from service.search import gaussian
from service.search.runs import ALONE, Runs
from service.search.space import SAME, FloatArray, total_variation
from service.search.surrogates.part import (
    LINEAR,
    NOISE,
    PAIRS,
    TYPICAL,
    Carried,
    Part,
    Scaling,
    sampling_variance,
)
from service.search.surrogates.standard import centre_and_scale
from service.search.surrogates.told import Rows, Settings, Told, of_channel, of_target
from service.search.surrogates.worth import worth_in_runs

RHO = np.array([0.0, 0.4, 0.7, 0.85, 0.95, 1.0])
"""Correlations of a channel's coefficients with the target's, all as likely beforehand."""
AMPLITUDE = np.geomspace(0.4, 2.5, 5)
"""Of a channel's effects, in units of its spread, against the target's; typically 1, log-normal."""
AMPLITUDE_SD = 0.5
LEAST_SPREAD = 0.25
"""Of a channel's mixtures, against the target's: closer ones do not tell its scale."""
UNLIKELY = 0.02
"""Noise of a channel that has less weight than this by its own rows is left out."""
STATES, LEFT_OUT_STATES, WORTH_STATES = 400, 100, 20
"""Joint settings that stand for all: in predictions, where a mixture is left out, and where a
channel's worth is counted."""


def fitted_with_channels(runs: Runs, power: float, close: tuple[FloatArray, float] | None) -> Part:
    """The belief about the target's quadratic by its own runs and by all channels.

    A channel of one row has no scale of its own and tells nothing.
    """
    scaling = Scaling.of(runs, power, close)
    target = Rows(
        runs.weights,
        scaling.features(runs.weights),
        (runs.score - scaling.centre) / scaling.scale,
        sampling_variance(runs) / scaling.scale**2,
        np.full(len(runs), ALONE),
    )
    names = sorted(name for name, channel in runs.channels.items() if len(channel) > 1)
    channels: list[Rows] = []
    # 1. Settings that stand for all by their weight, one channel after the other.
    settings, log_prior = _of_target()
    for name in names:
        rows, spread = _standardised(runs.channels[name], runs, scaling)
        noise = _likely_noise(scaling, rows, spread)
        settings, log_prior = _joined(
            scaling, settings, log_prior, target, channels, rows, noise, spread
        )
        channels.append(rows)
    told = _all_told(scaling, settings, target, channels)
    weight = _weights(told.evidence(scaling.prior(settings.scales)) + log_prior)
    # 2. The coefficients.
    covariances = np.asarray(
        np.linalg.inv(told.J + _diagonal(1 / scaling.prior(settings.scales))), dtype=float
    )
    means = (covariances @ told.h[:, :, None])[:, :, 0]
    # 3. Leaving a mixture out in all channels, and how far each channel carries over.
    mean, variance, density = _left_out(scaling, settings, log_prior, target, channels)
    carried = {
        name: _carried(scaling, settings, weight, target, rows, c)
        for c, (name, rows) in enumerate(zip(names, channels, strict=True))
    }
    return Part(
        scaling,
        weight,
        means,
        covariances,
        settings.noise,
        scaling.centre + scaling.scale * mean,
        scaling.scale**2 * variance,
        density - np.log(scaling.scale),
        {name: carried.get(name, Carried(0.0, 0.0, 0.0)) for name in runs.channels},
    )


def _standardised(channel: Runs, runs: Runs, scaling: Scaling) -> tuple[Rows, float]:
    """The channel's rows in units in which its effects are about as large as the target's in its
    own, and how widely its mixtures are spread, against the target's: its scores vary with them.
    """
    F = scaling.features(channel.weights)
    spread = max(scaling.spread(F), LEAST_SPREAD)
    centre, scale = centre_and_scale(channel)
    scale /= spread
    pair = np.full(len(channel), ALONE)
    for i in np.flatnonzero(channel.run != ALONE):
        same = (runs.run == channel.run[i]) & (
            total_variation(channel.weights[i], runs.weights) <= SAME
        )
        if same.any():
            pair[i] = np.argmax(same)
    y, sampling = (channel.score - centre) / scale, sampling_variance(channel) / scale**2
    return Rows(channel.weights, F, y, sampling, pair), spread


def _likely_noise(scaling: Scaling, rows: Rows, spread: float) -> FloatArray:
    """(S,) settings of the training noise that the channel's own rows do not rule out."""
    grid = np.array(list(product(LINEAR, PAIRS, [0.0], AMPLITUDE, NOISE * spread)))
    alone = replace(rows, pair=np.full(len(rows.y), ALONE))
    settings = Settings(grid[:, :2], np.ones(len(grid)), [grid[:, 2:]])
    told = of_channel(scaling.prior(grid[:, :2]), settings, 0, alone, alone)
    prior = _log_normal(grid[:, :2], TYPICAL[:2]) + _channel_prior(grid[:, 2:], spread)
    each = _weights(told.l + prior).reshape(-1, len(NOISE)).sum(axis=0)
    likely: FloatArray = NOISE[each >= UNLIKELY] * spread
    return likely


def _log_normal(values: FloatArray, typical: Sequence[float]) -> FloatArray:
    """(G,) log density of (G, k) values up to a constant, with a log standard deviation of 1."""
    density: FloatArray = -0.5 * (np.log(values / np.array(typical)) ** 2).sum(axis=1)
    return density


def _channel_prior(channel: FloatArray, spread: float) -> FloatArray:
    """(G,) log density of a channel's settings (G, 3), up to a constant."""
    amplitude = np.log(channel[:, 1]) / AMPLITUDE_SD
    noise = np.log(channel[:, 2] / (TYPICAL[2] * spread))
    density: FloatArray = -0.5 * (amplitude**2 + noise**2)
    return density


def _weights(log_weight: FloatArray) -> FloatArray:
    weight: FloatArray = np.exp(log_weight - logsumexp(log_weight))
    return weight


def _diagonal(values: FloatArray) -> FloatArray:
    """(G, p, p) from (G, p)."""
    return values[:, :, None] * np.eye(values.shape[1])


def _of_target() -> tuple[Settings, FloatArray]:
    """All settings of the target's scales and noise, and their log prior."""
    grid = np.array(list(product(LINEAR, PAIRS, NOISE)))
    return Settings(grid[:, :2], grid[:, 2], []), _log_normal(grid, TYPICAL)


def _standing_for_all(weight: FloatArray, n: int) -> NDArray[np.intp]:
    """n settings (with repeats), as often as their weights (G,) say, evenly along their order."""
    steps = (np.arange(n) + 0.5) / n
    return np.minimum(np.searchsorted(np.cumsum(weight), steps), len(weight) - 1)


def _joined(
    scaling: Scaling,
    settings: Settings,
    log_prior: FloatArray,
    target: Rows,
    channels: list[Rows],
    rows: Rows,
    noise: FloatArray,
    spread: float,
) -> tuple[Settings, FloatArray]:
    """Settings of one more channel beside those there are, and their log prior.

    What is drawn in proportion to its weight has lost its own prior: the number returned makes up
    for that, so that evidence and it give the weights again.
    """
    combos = np.array(list(product(RHO, AMPLITUDE, noise)))
    told = _all_told(scaling, settings, target, channels)
    prior = scaling.prior(settings.scales)
    added = _channel_prior(combos, spread)
    log_weight = np.empty((len(log_prior), len(combos)))
    # What the channel tells is the same where scales (and, with shared runs, noise) are.
    key = np.column_stack([settings.scales, settings.noise * rows.has_pairs])
    _, group = np.unique(key, axis=0, return_inverse=True)
    for g in range(int(group.max()) + 1):
        members = np.flatnonzero(group.reshape(-1) == g)
        one = settings[np.full(len(combos), members[0])]
        more = of_channel(
            prior[np.full(len(combos), members[0])], one.joined(combos), -1, target, rows
        )
        for i in members:
            both = Told(told.J[i] + more.J, told.h[i] + more.h, told.l[i] + more.l)
            log_weight[i] = both.evidence(np.broadcast_to(prior[i], both.h.shape))
            log_weight[i] += log_prior[i] + added
    chosen, count = np.unique(
        _standing_for_all(_weights(log_weight.ravel()), STATES), return_counts=True
    )
    state, combo = np.divmod(chosen, len(combos))
    kept = settings[state].joined(combos[combo])
    evidence = log_weight.ravel()[chosen] - log_prior[state] - added[combo]
    return kept, np.log(count) - evidence


def _all_told(scaling: Scaling, settings: Settings, target: Rows, channels: Sequence[Rows]) -> Told:
    prior = scaling.prior(settings.scales)
    told = of_target(settings, target)
    for c, rows in enumerate(channels):
        told = told + of_channel(prior, settings, c, target, rows)
    return told


def _left_out(
    scaling: Scaling,
    settings: Settings,
    log_prior: FloatArray,
    target: Rows,
    channels: Sequence[Rows],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n,) mean, variance and log density of each score, without its mixture in any channel."""
    prior = scaling.prior(settings.scales)
    each = [of_channel(prior, settings, c, target, rows) for c, rows in enumerate(channels)]
    n = len(target.y)
    mean, variance, density = np.empty(n), np.empty(n), np.empty(n)
    is_left = np.ones(n, dtype=bool)
    for i in range(n):
        if not is_left[i]:
            continue
        same = total_variation(target.X[i], target.X) <= SAME
        is_left &= ~same
        # 1. All that is told by other mixtures.
        told = of_target(settings, target.subset(~same))
        for c, rows in enumerate(channels):
            others = total_variation(target.X[i], rows.X) > SAME
            told = told + (
                each[c]
                if others.all()
                else of_channel(prior, settings, c, target, rows.subset(others))
            )
        # 2. The settings by that, and what they foresee.
        log_weight = told.evidence(prior) + log_prior
        log_weight -= logsumexp(log_weight)
        weight = np.exp(log_weight)
        covariance = np.linalg.inv(told.J + _diagonal(1 / prior))
        f = target.F[np.flatnonzero(same)]
        means = (f @ (covariance @ told.h[:, :, None]))[:, :, 0]
        variances = np.einsum("np,gpq,nq->gn", f, covariance, f)
        variances += settings.noise[:, None] ** 2 + target.sampling[same]
        mean[same] = weight @ means
        variance[same] = weight @ (variances + (means - mean[same]) ** 2)
        each_density = gaussian.log_density(target.y[same], means, variances)
        density[same] = logsumexp(each_density + log_weight[:, None], axis=0)
    return mean, variance, density


def _carried(
    scaling: Scaling,
    settings: Settings,
    weight: FloatArray,
    target: Rows,
    rows: Rows,
    c: int,
) -> Carried:
    rho = settings.channels[c][:, 0]
    mean = float(weight @ rho)
    sd = float(np.sqrt(weight @ (rho - mean) ** 2))
    some = settings[_standing_for_all(weight, WORTH_STATES)]
    prior = scaling.prior(some.scales)
    own = of_target(some, target).J + _diagonal(1 / prior)
    told = of_channel(prior, some, c, target, rows).J
    noise = some.noise**2 + target.sampling.mean()
    worth = [
        worth_in_runs(own[g], told[g], rows.F, float(noise[g])) for g in range(len(some.noise))
    ]
    return Carried(mean, sd, float(np.mean(worth)))
