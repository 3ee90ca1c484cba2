"""Evidence of every price: the target's quadratic, and what other channels say of it.

Coefficients of channel c are `beta_c = a_c (rho_c beta + sqrt(1 - rho_c^2) gamma_c)`, with `beta`
the target's and `gamma_c` the channel's own, both with the same prior; the constant is the
channel's own altogether. Such a model (Kennedy and O'Hagan, 2000) is Gaussian given the scales,
`rho_c` and `a_c`, and all of these are averaged over by evidence. `rho_c` may be 0, so that a
channel which tells nothing of the target costs little, and 1.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logsumexp

from service.search import gaussian
from service.search.runs import ALONE, Runs
from service.search.space import SAME, FloatArray, total_variation
from service.search.surrogates.basis import Basis
from service.search.surrogates.carried import Carried, worth_in_runs
from service.search.surrogates.channel_belief import ChannelBelief
from service.search.surrogates.channel_settings import (
    Channel,
    SolvedChannel,
    joined,
    of_target_alone,
    standing_for_all,
    weights_of,
)
from service.search.surrogates.likelihood import (
    Likelihood,
    Rows,
    Settings,
    counts_of,
    of_target,
)
from service.search.surrogates.part import (
    Part,
    Scaling,
    sampling_variance,
)
from service.search.surrogates.regression import Stored
from service.search.surrogates.standard import centre_and_scale

LEAST_SPREAD = 0.25
"""Of a channel's mixtures, against the target's: closer ones do not tell its scale."""
WORTH_STATES = 20
"""Settings by which a channel's worth is counted."""


def fitted_with_channels(runs: Runs, scaling: Scaling) -> Part:
    """The belief about the target's quadratic by its own runs and by all channels.

    A channel of one row has no scale of its own and tells nothing.
    """
    names = sorted(name for name, channel in runs.channels.items() if len(channel) > 1)
    everything = [runs.weights, *(runs.channels[name].weights for name in names)]
    basis = Basis.of(scaling, np.vstack(everything))
    nowhere = np.full(len(runs), ALONE)
    target = _rows(basis, runs, scaling.centre, scaling.scale, nowhere, np.ones(len(runs)))
    n_channels = Counter(
        int(run) for name in names for run in np.unique(runs.channels[name].run) if run != ALONE
    )
    channels: list[Channel] = []
    # 1. Settings that stand for all by their weight, one channel after the other.
    settings, log_prior = of_target_alone()
    for name in names:
        rows, spread = _standardised(runs.channels[name], runs, basis, n_channels)
        channel = Channel.of(basis, rows, spread, len(runs))
        settings, log_prior = joined(basis, settings, log_prior, target, channels, channel)
        channels.append(channel)
    prior = basis.prior(settings.scales)
    solved = [channel.solved(prior, settings, c, target) for c, channel in enumerate(channels)]
    likelihood = sum((one.likelihood for one in solved), of_target(settings, target))
    weight = weights_of(likelihood.evidence(prior) + log_prior)
    # 2. The coefficients.
    covariances = np.asarray(np.linalg.inv(likelihood.J + _diagonal(1 / prior)), dtype=float)
    means = (covariances @ likelihood.h[:, :, None])[:, :, 0]
    means, covariances = basis.all_coefficients(means, covariances, settings.scales)
    # 3. Leaving a mixture out in all channels, and how far each channel carries over.
    mean, variance, density = _left_out(prior, settings, log_prior, target, likelihood, solved)
    carried = {
        name: _carried(basis, settings, weight, target, channel, c)
        for c, (name, channel) in enumerate(zip(names, channels, strict=True))
    }
    return Part(
        scaling,
        weight,
        means,
        Stored(covariances),
        settings.noise,
        scaling.centre + scaling.scale * mean,
        scaling.scale**2 * variance,
        density - np.log(scaling.scale),
        {name: carried.get(name, Carried(0.0, 0.0, 0.0)) for name in runs.channels},
        ChannelBelief(basis, names, settings, weight, target, channels).joint,
    )


def _rows(
    basis: Basis,
    runs: Runs,
    centre: float,
    scale: float,
    pair: NDArray[np.intp],
    counts: FloatArray,
) -> Rows:
    """In units of a channel's own."""
    F, dropped = basis.features(runs.weights)
    y, sampling = (runs.score - centre) / scale, sampling_variance(runs) / scale**2
    return Rows(runs.weights, F, y, sampling, pair, dropped, counts)


def _standardised(
    channel: Runs, runs: Runs, basis: Basis, n_channels: Mapping[int, int]
) -> tuple[Rows, float]:
    """The channel's rows in units in which its effects are about as large as the target's in its
    own, and how widely its mixtures are spread, against the target's: its scores vary with them.
    """
    scaling = basis.scaling
    spread = max(scaling.spread(scaling.features(channel.weights)), LEAST_SPREAD)
    centre, scale = centre_and_scale(channel)
    scale /= spread
    pair = np.full(len(channel), ALONE)
    for i in np.flatnonzero(channel.run != ALONE):
        same = (runs.run == channel.run[i]) & (
            total_variation(channel.weights[i], runs.weights) <= SAME
        )
        if same.any():
            pair[i] = np.argmax(same)
    of_run = np.array([n_channels.get(int(run), 1) for run in channel.run])
    counts = counts_of(of_run, pair != ALONE)
    return _rows(basis, channel, centre, scale, pair, counts), spread


def _diagonal(values: FloatArray) -> FloatArray:
    """(G, p, p) from (G, p)."""
    return values[:, :, None] * np.eye(values.shape[1])


def _left_out(
    prior: FloatArray,
    settings: Settings,
    log_prior: FloatArray,
    target: Rows,
    likelihood: Likelihood,
    channels: Sequence[SolvedChannel],
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """(n,) mean, variance and log density of each score, without its mixture in any channel.

    Args:
        likelihood: of all rows.
    """
    n = len(target.y)
    mean, variance, density = np.empty(n), np.empty(n), np.empty(n)
    is_left = np.ones(n, dtype=bool)
    for i in range(n):
        if not is_left[i]:
            continue
        same = total_variation(target.X[i], target.X) <= SAME
        is_left &= ~same
        # 1. What other mixtures say.
        rest = likelihood - of_target(settings, target.subset(same))
        for channel in channels:
            theirs = total_variation(target.X[i], channel.solved.rows.X) <= SAME
            if theirs.any():
                rest = rest - channel.added_by(np.flatnonzero(theirs))
        # 2. The settings by that, and what they foresee.
        log_weight = rest.evidence(prior) + log_prior
        log_weight -= logsumexp(log_weight)
        weight = np.exp(log_weight)
        f = target.F[np.flatnonzero(same)]
        means, variances = rest.foreseen(prior, f)
        variances += settings.noise[:, None] ** 2 + target.sampling[same]
        variances += settings.scales[:, 1, None] ** 2 * target.dropped[same]
        mean[same] = weight @ means
        variance[same] = weight @ (variances + (means - mean[same]) ** 2)
        each_density = gaussian.log_density(target.y[same], means, variances)
        density[same] = logsumexp(each_density + log_weight[:, None], axis=0)
    return mean, variance, density


def _carried(
    basis: Basis,
    settings: Settings,
    weight: FloatArray,
    target: Rows,
    channel: Channel,
    c: int,
) -> Carried:
    rho = settings.channels[c][:, 0]
    mean = min(float(weight @ rho), 1.0)
    sd = float(np.sqrt(weight @ (rho - mean) ** 2))
    some = settings[standing_for_all(weight, WORTH_STATES)]
    prior = basis.prior(some.scales)
    own = of_target(some, target).J + _diagonal(1 / prior)
    added = channel.solved(prior, some, c, target).likelihood.J
    noise = some.noise**2 + target.sampling.mean()
    F = channel.rows.F
    worth = [worth_in_runs(own[g], added[g], F, float(noise[g])) for g in range(len(noise))]
    return Carried(mean, sd, float(np.mean(worth)))
