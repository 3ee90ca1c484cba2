"""Several surrogates averaged, each by how likely it makes left-out runs.

The shares are those under which the mixture of the surrogates' predictions makes left-out runs
likeliest (stacking of predictive distributions: Yao, Vehtari, Simpson and Gelman, 2018). Picking
one instead stakes everything on a difference in densities that often is chance. With one more run's
worth of belief in each surrogate beforehand, few runs do not shut one out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from service.search import gaussian
from service.search.runs import Runs
from service.search.schedules import ScheduleSpace
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.carried import Carried, averaged
from service.search.surrogates.protocol import (
    ENDLESS,
    Fitted,
    Joint,
    Posterior,
    Surrogate,
    mixed,
    mixed_in_all,
    scores_for,
)

MIN_SHARE = 0.05
"""Surrogates with a smaller share are left out altogether."""
BELIEF = 1.0
"""Runs' worth of belief in each surrogate beforehand."""
ROUNDS = 500


class Automatic:
    """Fits several surrogates and averages them.

    Args:
        candidates: makers; the first takes any runs and channels.
    """

    min_runs = 2
    max_runs = ENDLESS
    takes_channels = True
    takes_schedules = True

    def __init__(self, candidates: Sequence[Callable[[], Surrogate]]) -> None:
        self._candidates = candidates

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> Fitted:
        """Those are averaged that can take so many runs, and their channels where they have some;
        where one has all the share, it alone."""
        able = [
            made
            for make in self._candidates
            if takes(made := make(), runs)
            and (made.takes_schedules or not isinstance(space, ScheduleSpace))
        ]
        return average([s.fit(space, runs, seed) for s in able])


def takes(surrogate: Surrogate, runs: Runs) -> bool:
    """Whether a surrogate can be fitted to these runs, their channels and their schedules."""
    return (
        surrogate.min_runs <= len(runs)
        and scores_for(surrogate, runs) <= surrogate.max_runs
        and (surrogate.takes_channels or not runs.channels)
        and (surrogate.takes_schedules or not runs.schedules.size)
    )


def average(fits: Sequence[Fitted]) -> Fitted:
    """Surrogates fitted to the same runs as one; the only one with a share as it is."""
    share = shares_kept(fits[0].runs.score, [LeftOut.of(fitted) for fitted in fits])
    kept = [int(i) for i in np.flatnonzero(share)]
    if len(kept) == 1:
        return fits[kept[0]]
    return AverageFit([fits[i] for i in kept], share[kept])


class LeftOut(NamedTuple):
    """Each of n runs foreseen without it."""

    mean: FloatArray
    """(n,)"""
    sd: FloatArray
    """(n,) of a new observation."""
    n_fitted: int
    """Numbers that leaving a run out does not fit again."""

    @classmethod
    def of(cls, fitted: Fitted) -> LeftOut:
        return cls(*fitted.leave_one_out(), fitted.n_fitted)


def shares_kept(score: FloatArray, each: Sequence[LeftOut]) -> FloatArray:
    """(S,) the `shares` of several surrogates; too small ones are 0, and the rest sums to 1."""
    share = shares(score, each)
    kept = np.where(share >= min(MIN_SHARE, float(share.max())), share, 0.0)
    whole: FloatArray = kept / kept.sum()
    return whole


def named_shares(fitted: Fitted) -> Mapping[str, float]:
    """Of the surrogates that it averages, by their names; its own name where it is no average."""
    return fitted.shares if isinstance(fitted, AverageFit) else {fitted.name: 1.0}


def shares(score: FloatArray, each: Sequence[LeftOut]) -> FloatArray:
    """(S,) what each of several surrogates contributes; one without an interval nothing.

    A number that was fitted and that leaving a run out does not fit again costs a nat of the sum of
    log densities (Akaike, 1974), spread evenly over the runs.
    """
    density = np.full((len(each), len(score)), -np.inf)
    for log_density, left_out in zip(density, each, strict=True):
        if np.all(left_out.sd > 0):
            of_runs = gaussian.log_density(score, left_out.mean, left_out.sd**2)
            log_density[:] = of_runs - left_out.n_fitted / len(score)
    able = np.isfinite(density).all(axis=1)
    if not able.any():
        first: FloatArray = np.eye(len(each))[0]
        return first
    share: FloatArray = able / able.sum()
    likelihood = np.exp(density - density.max(axis=0))
    # Expectation maximisation: which surrogate each run speaks for, and what that makes of shares.
    for _ in range(ROUNDS):
        speaks = share[:, None] * likelihood
        total = (speaks / speaks.sum(axis=0)).sum(axis=1) + BELIEF * able
        share = total / total.sum()
    return share


@dataclass(frozen=True, eq=False)
class AverageFit:
    """The mixture of the beliefs of `parts`, with shares (S,) that sum to 1."""

    parts: Sequence[Fitted]
    share: FloatArray

    name = "auto"

    @property
    def runs(self) -> Runs:
        return self.parts[0].runs

    @property
    def shares(self) -> Mapping[str, float]:
        return {part.name: float(s) for part, s in zip(self.parts, self.share, strict=True)}

    @property
    def kind(self) -> str:
        return " and ".join(
            f"{100 * share:.0f}% {part.name} ({part.kind})"
            for share, part in zip(self.share, self.parts, strict=True)
        )

    @property
    def channels(self) -> Mapping[str, Carried]:
        """Averaged over the surrogates by their shares."""
        each = [part.channels for part in self.parts]
        names = {name: None for one in each for name in one}
        return {
            name: averaged([one.get(name, Carried(0.0, 0.0, 0.0)) for one in each], self.share)
            for name in names
        }

    @property
    def trust(self) -> FloatArray | None:
        """Averaged over those that use a similarity."""
        using = [
            (share, part.trust)
            for share, part in zip(self.share, self.parts, strict=True)
            if part.trust is not None
        ]
        if not using:
            return None
        weights, each = zip(*using, strict=True)
        return np.average(each, axis=0, weights=weights)

    @property
    def noise_sd(self) -> float:
        return float(np.sqrt(self.share @ np.array([part.noise_sd**2 for part in self.parts])))

    @property
    def n_fitted(self) -> int:
        return max(part.n_fitted for part in self.parts)

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        return self._mixed([part.predict(X, noisy=noisy) for part in self.parts])

    def posterior(self, X: FloatArray) -> Posterior:
        return mixed([part.posterior(X) for part in self.parts], self.share)

    def joint(self, X: FloatArray) -> Joint:
        return mixed_in_all([part.joint(X) for part in self.parts], self.share)

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        return self._mixed([part.leave_one_out() for part in self.parts])

    def highest(
        self, space: MixtureSpace, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """From the best of each surrogate upwards."""
        tops = np.array([part.highest(space, also, rng) for part in self.parts])
        return space.maximise(lambda X: self.predict(X)[0], rng, also=np.vstack([also, tops]))

    def maxima(
        self, space: MixtureSpace, n: int, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """Each by a surrogate that was drawn by its share."""
        counts = np.bincount(
            rng.choice(len(self.parts), size=n, p=self.share), minlength=len(self.parts)
        )
        drawn = [
            part.maxima(space, int(count), also, rng)
            for part, count in zip(self.parts, counts, strict=True)
            if count
        ]
        found: FloatArray = rng.permutation(np.vstack([np.empty((0, space.m)), *drawn]))
        return found

    def _mixed(self, each: list[tuple[FloatArray, FloatArray]]) -> tuple[FloatArray, FloatArray]:
        """By the law of total variance."""
        means, sds = np.array([mean for mean, _ in each]), np.array([sd for _, sd in each])
        mean = self.share @ means
        return mean, np.sqrt(self.share @ (sds**2 + (means - mean) ** 2))
