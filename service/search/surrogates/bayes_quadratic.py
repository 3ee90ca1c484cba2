"""A quadratic with a belief about every coefficient: the paper's model, made Bayesian.

The objective is `c + a . z + sum b_ij z_i z_j` over pairs i < j. With z the weights this is the
Scheffe quadratic, all that a quadratic can identify on the simplex; with z their square or fourth
roots it is an effect that saturates, as effects of more data do. Coefficients have normal priors;
how large linear and pair terms are, and how noisy a run is, is not chosen but averaged over, each
setting by how well it explains the runs, so the intervals know that these scales are unknown too.
Weights and their roots are averaged by the density they give to left-out runs. Where domains are
said to be alike, coefficients are correlated as far as that is trusted, which is averaged over as
the scales are. Everything is in closed form: no iteration, no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

import numpy as np
from scipy.special import logsumexp

from service.search import gaussian
from service.search.quadratics import Blend, climb, has_few_faces, maximise
from service.search.runs import Runs
from service.search.similarity import TRUSTS, Similarity, prior_weights
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import regression
from service.search.surrogates.carried import Carried, averaged
from service.search.surrogates.channel_settings import standing_for_all
from service.search.surrogates.channels import fitted_with_channels
from service.search.surrogates.part import (
    LINEAR,
    NEGLIGIBLE,
    NOISE,
    PAIRS,
    TYPICAL,
    Part,
    Scaling,
    sampling_variance,
)
from service.search.surrogates.protocol import (
    ENDLESS,
    Joint,
    Posterior,
    mixed,
    mixed_in_all,
    of_target_alone,
)
from service.search.surrogates.standard import least_spread_of

POWERS = (1.0, 0.5, 0.25)
"""Of the weights. The fourth root is nearly a logarithm that is finite at 0."""

MIN_SHARE = 0.05
"""Powers with a share of the belief below this are left out altogether."""

STARTS = 256
"""Random mixtures of which the best are climbed from."""
FEW_FACES = 500
"""Up to here going through all faces is as quick as a climb."""
BY_RUNS_TO = 64
"""Runs up to which settings by the thousand are gone through at once."""
MOST_STATES, FEWEST_STATES = 400, 40
MOST_NUMBERS = 20_000_000
"""Settings that stand for all where domains are said to be alike: fewer, where there are so many
domains that the covariances of that many would have more numbers than this."""


class BayesQuadratic:
    """Averages over scales, noise and roots of the weights."""

    min_runs = 2
    max_runs = ENDLESS
    takes_channels = True

    def __init__(self, powers: Sequence[float] = POWERS) -> None:
        self._powers = powers

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> BayesQuadraticFit:
        """Deterministic; the seed is not used."""
        close = least_spread_of(space, runs)
        scalings = [Scaling.of(runs, power, close) for power in self._powers]
        parts = [_part(runs, scaling, space.similarity) for scaling in scalings]
        log_density = np.array([part.log_density for part in parts])
        share = np.exp(log_density - logsumexp(log_density))
        share = np.where(share < MIN_SHARE, 0.0, share)
        share /= share.sum()
        kept = np.flatnonzero(share)
        return BayesQuadraticFit([parts[i] for i in kept], share[kept], runs)


@dataclass(frozen=True, eq=False)
class BayesQuadraticFit:
    """`parts` quadratics on powers of the weights, with their `share` of the belief."""

    parts: list[Part]
    share: FloatArray
    runs: Runs

    name = "bayes-quadratic"
    n_fitted = 0

    @property
    def kind(self) -> str:
        names = {1.0: "raw weights", 0.5: "square roots", 0.25: "fourth roots"}
        said = [
            f"{100 * share:.0f}% on {names.get(power, f'weights to the power {power:g}')}"
            for power, share in self.power_share.items()
        ]
        return f"quadratic, {', '.join(said)}"

    @property
    def noise_sd(self) -> float:
        """Of a run with the usual sampling error: sampling and training noise together."""
        variances = [part.noise_variance for part in self.parts]
        return float(np.sqrt(self.share @ variances + sampling_variance(self.runs).mean()))

    @property
    def power_share(self) -> dict[float, float]:
        """How much of the belief each power of the weights has."""
        return {part.power: float(s) for part, s in zip(self.parts, self.share, strict=True)}

    @property
    def channels(self) -> Mapping[str, Carried]:
        """How far each channel's evidence carries over to the target, averaged over the powers."""
        return {
            name: averaged([part.channels[name] for part in self.parts], self.share)
            for name in self.parts[0].channels
        }

    @property
    def trust(self) -> FloatArray | None:
        each = [part.trust for part in self.parts if part.trust is not None]
        return self.share @ np.array(each) if each else None

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        each = [part.predict(np.atleast_2d(X)) for part in self.parts]
        means, variances = np.array([m for m, _ in each]), np.array([v for _, v in each])
        mean = self.share @ means
        variance = self.share @ (variances + (means - mean) ** 2)
        return mean, np.sqrt(variance + (self.noise_sd**2 if noisy else 0.0))

    def posterior(self, X: FloatArray) -> Posterior:
        return mixed([part.posterior(np.atleast_2d(X)) for part in self.parts], self.share)

    def joint(self, X: FloatArray) -> Joint:
        each = [part.joint(X) for part in self.parts if part.joint is not None]
        if not each:
            return of_target_alone(self.posterior(X), self.noise_sd)
        return mixed_in_all(each, self.share)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """In closed form, each run's weight in the averages taken out too."""
        share = np.array([part.left_out_density for part in self.parts])
        share = self.share[:, None] / np.exp(share)  # without the run's own vote
        share /= share.sum(axis=0)
        means = np.array([part.left_out_mean for part in self.parts])
        variances = np.array([part.left_out_variance for part in self.parts])
        mean = (share * means).sum(axis=0)
        variance = (share * (variances + (means - mean) ** 2)).sum(axis=0)
        return mean, np.sqrt(variance)

    def highest(
        self, space: MixtureSpace, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Exact where the belief is one quadratic of raw weights with few enough faces."""
        means = [part.mean for part in self.parts]
        if len(means) == 1 and means[0].power == 1.0 and has_few_faces(space):
            return maximise(means[0], space).weights
        starts = np.vstack([space.project(also), space.sample(STARTS, rng), space.uniform[None]])
        return climb(Blend(means, self.share), space, starts).weights

    def maxima(
        self, space: MixtureSpace, n: int, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Exact draws; their maxima exact where that is quick, else one climb each."""
        starts = np.vstack([space.project(also), space.sample(STARTS, rng), space.uniform[None]])
        is_quick = has_few_faces(space, FEW_FACES)
        found = []
        for i in rng.choice(len(self.parts), size=n, p=self.share):
            drawn = self.parts[i].draw(rng)
            is_exact = is_quick and drawn.power == 1.0
            best = maximise(drawn, space) if is_exact else climb(drawn, space, starts, 1)
            found.append(best.weights)
        return np.array(found).reshape(-1, space.m)


def _part(runs: Runs, scaling: Scaling, similarity: Similarity | None) -> Part:
    """The belief by the runs and all channels there are."""
    if not runs.channels:
        return _fitted(runs, scaling, similarity)
    if similarity is None:
        return fitted_with_channels(runs, scaling)
    # One trust stands for all, as the runs alone tell it: with the mean trust, coefficients vary
    # together as they do on average over all.
    alone = _fitted(runs, scaling, similarity)
    root = similarity.root(alone.mean_trust)
    told = fitted_with_channels(runs, replace(scaling, root=root))
    return replace(told, trust=alone.trust)


def _fitted(runs: Runs, scaling: Scaling, similarity: Similarity | None) -> Part:
    """From the runs alone."""
    # 1. Features such that linear and pair terms each vary by 1 in all over the runs.
    y = (runs.score - scaling.centre) / scaling.scale
    F = scaling.features(runs.weights)
    # 2. What each setting makes of the runs: all scales with one trust, then with the next.
    settings = np.array(list(product(LINEAR, PAIRS, NOISE)))
    prior = scaling.prior(settings[:, :2])
    noise = settings[:, 2:] ** 2 + sampling_variance(runs) / scaling.scale**2
    if similarity is None:
        told = [regression.evidence(F, y, prior, noise)]
    else:
        roots = map(similarity.root, TRUSTS)
        told = [regression.evidence(F @ R, y, prior, noise, BY_RUNS_TO) for R in roots]
    log_likelihood, pull, precision = (np.concatenate(each) for each in zip(*told, strict=True))
    # 3. How well each explains the runs: log marginal likelihood and prior.
    off = np.log(settings / TYPICAL)
    log_prior = -0.5 * (off**2).sum(axis=1)
    if similarity is not None:
        log_prior = (np.log(prior_weights())[:, None] + log_prior).ravel()
    log_weight = log_likelihood + log_prior
    log_weight -= logsumexp(log_weight)
    # 4. Leaving a run out of a setting (Rasmussen and Williams, 2006, eq. 5.12), and out of the
    # weights of the settings: p(y_i | y_-i) is the harmonic mean of the settings' densities.
    variance = 1 / precision
    mean = y - pull * variance
    density = gaussian.log_density(y, mean, variance)
    without = log_weight[:, None] - density
    evidence = logsumexp(without, axis=0)
    without = np.exp(without - evidence)
    left_out = (without * mean).sum(axis=0)
    left_out_variance = (without * (variance + (mean - left_out) ** 2)).sum(axis=0)
    # 5. The coefficients, where a setting counts.
    weight = np.exp(log_weight)
    if similarity is None:
        trust = None
        kept = np.flatnonzero(weight >= min(NEGLIGIBLE, float(weight.max())))
        share = weight[kept] / weight[kept].sum()
        each = [regression.coefficients(F, y, prior[g], noise[g]) for g in kept]
    else:
        trust = weight.reshape(len(TRUSTS), -1).sum(axis=1)
        n_states = int(np.clip(MOST_NUMBERS // F.shape[1] ** 2, FEWEST_STATES, MOST_STATES))
        chosen, counts = np.unique(standing_for_all(weight, n_states), return_counts=True)
        trusted, kept = np.divmod(chosen, len(settings))
        share = counts / n_states
        correlations = [similarity.correlation(t) for t in TRUSTS]
        each = [
            regression.correlated_coefficients(
                F, y, correlations[t] * np.sqrt(np.outer(prior[g], prior[g])), noise[g]
            )
            for t, g in zip(trusted, kept, strict=True)
        ]
    return Part(
        scaling,
        share,
        np.array([mean for mean, _ in each]),
        np.array([covariance for _, covariance in each]),
        settings[kept, 2],
        scaling.centre + scaling.scale * left_out,
        scaling.scale**2 * left_out_variance,
        -evidence - np.log(scaling.scale),
        trust=trust,
    )
