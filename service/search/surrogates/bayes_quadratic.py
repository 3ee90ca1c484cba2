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
from typing import TypeGuard

import numpy as np
from scipy.special import logsumexp

from service.search.quadratics import Blend, Phased, Quadratic, climb, has_few_faces, maximise
from service.search.runs import Runs
from service.search.schedules import has_schedules, of_mean_mixtures
from service.search.similarity import Similarity
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.averaging import Grid, averaged_over
from service.search.surrogates.carried import Carried, averaged
from service.search.surrogates.channels import fitted_with_channels
from service.search.surrogates.part import (
    LINEAR,
    NOISE,
    PAIRS,
    TYPICAL,
    Part,
    Scaling,
    sampling_variance,
)
from service.search.surrogates.phased import fitted_with_phases, in_words
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


class BayesQuadratic:
    """Averages over scales, noise and roots of the weights."""

    min_runs = 2
    max_runs = ENDLESS
    takes_channels = True
    takes_schedules = True

    def __init__(self, powers: Sequence[float] = POWERS) -> None:
        self._powers = powers

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> BayesQuadraticFit:
        """Deterministic; the seed is not used."""
        told, points = runs, None
        if has_schedules(space, runs):
            told, points = of_mean_mixtures(space, runs), runs.points
        close = least_spread_of(space.of_means, told)
        scalings = [Scaling.of(told, power, close) for power in self._powers]
        parts = [_part(told, points, scaling, space.of_means.similarity) for scaling in scalings]
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
        return f"quadratic, {', '.join(said)}{in_words(self.parts, self.share)}"

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
        means = [part.mean.over(space) for part in self.parts]
        if len(means) == 1 and is_of_raw_weights(means[0]) and has_few_faces(space):
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
            drawn = self.parts[i].draw(rng).over(space)
            if is_quick and is_of_raw_weights(drawn):
                best = maximise(drawn, space)
            else:
                best = climb(drawn, space, starts, 1)
            found.append(best.weights)
        return np.array(found).reshape(-1, space.m)


def _part(
    runs: Runs, points: FloatArray | None, scaling: Scaling, similarity: Similarity | None
) -> Part:
    """The belief by the runs and all channels there are, or by the schedules they had.

    Args:
        points: (n, P m) of runs of which some change on the way; their means are then the runs.
    """

    def of_all(scaling: Scaling) -> Part:
        if points is not None:
            return fitted_with_phases(points, runs, scaling)
        return fitted_with_channels(runs, scaling)

    if points is None and not any(len(channel) > 1 for channel in runs.channels.values()):
        # One row has no scale of its own: such channels tell nothing, so this is the fit without.
        silent = {name: Carried(0.0, 0.0, 0.0) for name in runs.channels}
        return replace(_fitted(runs, scaling, similarity), channels=silent)
    if similarity is None:
        return of_all(scaling)
    # One trust stands for all, as the runs alone tell it: with the mean trust, coefficients vary
    # together as they do on average over all.
    alone = _fitted(runs, scaling, similarity)
    root = similarity.root(alone.mean_trust)
    return replace(of_all(replace(scaling, root=root)), trust=alone.trust)


def _fitted(runs: Runs, scaling: Scaling, similarity: Similarity | None) -> Part:
    """From the runs alone."""
    settings = np.array(list(product(LINEAR, PAIRS, NOISE)))
    off = np.log(settings / TYPICAL)
    grid = Grid(settings[:, :2], settings[:, 2], -0.5 * (off**2).sum(axis=1))
    return averaged_over(grid, scaling, runs.weights, runs, similarity).part


def is_of_raw_weights(objective: Quadratic | Phased) -> TypeGuard[Quadratic]:
    """Whether `maximise` takes it."""
    return isinstance(objective, Quadratic) and objective.power == 1.0
