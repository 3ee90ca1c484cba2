"""Which score would teach most about where the best mixture is: the knowledge gradient.

Works for every surrogate that has a joint belief, and judges a score by what it is expected to add
to the highest posterior mean: what matters in the end is the mixture that will be recommended, not
the luckiest score on the way (Frazier, Powell and Dayanik, "The knowledge-gradient policy for
correlated normal beliefs", 2009). Where there is something cheaper than a full run, whatever adds
most for its cost comes first (Poloczek, Wang and Frazier, "Multi-information source optimization",
2017). The rest of a run that was begun is such a thing, too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy.special import ndtr

from service.search.gaussian import quantiles
from service.search.runs import TARGET
from service.search.situation import FULL_RUNS, Begun
from service.search.space import SAME, FloatArray, MixtureSpace, total_variation
from service.search.surrogates.likelihood import SHARED
from service.search.surrogates.protocol import Fitted, Posterior, of_target_alone

DRAWS = 32
"""Maxima of draws from the belief among the candidates."""
LISTED = 512
"""Of a list of mixtures, at most so many are candidates: the best by mean."""
SAMPLES = 64
"""Uniform samples among the candidates."""
KEPT_RUNS = 32
"""Tried mixtures, the best by mean, that may be run once more."""
LEVELS = 31
"""Outcomes of a run that are looked at: quantiles of its predictive distribution."""

PATHS = 1024
"""Draws of the whole belief for the chance that something better is left."""

LEAST_VARIANCE = 1e-12

_OUTCOMES = quantiles(LEVELS)


@dataclass(frozen=True, eq=False)
class Candidate:
    """What to do next.

    Attributes:
        weights: (m,).
        mean, sd: belief about the noise-free objective there.
        gain: by how much its score is expected to raise the highest posterior mean.
        channel, cost: what of it is scored, and what that costs in full runs.
        run: number of the begun run that goes on for it; None for a new one.
    """

    weights: FloatArray
    mean: float
    sd: float
    gain: float
    channel: str
    cost: float
    run: int | None = None

    @property
    def rate(self) -> float:
        """Gain for its cost."""
        return self.gain / self.cost


@dataclass(frozen=True, eq=False)
class Rest:
    """A later score that a begun run would get: its mixture's, with the noise that the run has.

    Attributes:
        channel: its last score, or that of a step on the way.
        i: its mixture among the candidates.
        of: (A k,) what of the noise-free scores it is the sum of, up to what is known.
        noise: variance of its score around that.
    """

    run: int
    channel: str
    cost: float
    i: int
    of: FloatArray
    noise: float


@dataclass(eq=False)
class Knowledge:
    """A joint belief about mixtures that may be best, as it will be once pending runs are scored.

    Attributes:
        X: (k, m) candidates, distinct.
        belief: about them now.
        covariance: (A k, A k) of all channels, the target first, that will be left when what is
            pending has its scores.
        noise: (A,) variance of a score in each.
        costs: of a score in each, in full runs; infinite where it is not to be had.
        rests: what may be had of runs that were begun.
    """

    X: FloatArray
    belief: Posterior
    covariance: FloatArray
    noise: FloatArray
    costs: Mapping[str, float] = field(default_factory=lambda: FULL_RUNS)
    rests: Sequence[Rest] = ()

    @classmethod
    def gathered(
        cls,
        fitted: Fitted,
        space: MixtureSpace,
        pending: Mapping[str, FloatArray],
        rng: np.random.Generator,
        costs: Mapping[str, float] = FULL_RUNS,
        begun: Begun | None = None,
    ) -> Knowledge:
        """Candidates: the maxima of draws, the highest mean, good tried mixtures, the uniform one,
        random ones, corners, and what is pending. Of a list of mixtures, all or the best.

        Args:
            pending: (p, m) mixtures whose scores are to come, by channel.
            costs: of a score in each channel that may be proposed.
            begun: runs whose rest may be trained.
        """
        begun = Begun.none(space.m) if begun is None else begun
        runs = fitted.runs.weights
        order = np.argsort(-fitted.predict(runs)[0], kind="stable")
        tried = space.within(runs[order[:KEPT_RUNS]])
        listed = space.listed()
        if listed is not None:
            order = np.argsort(-fitted.predict(listed)[0], kind="stable")
            return cls._of(fitted, pending, listed[order[:LISTED]], costs, begun)
        parts = [
            fitted.highest(space, tried, rng)[None],
            fitted.maxima(space, DRAWS, tried[:8], rng),
            space.project(tried),
            space.uniform[None],
            space.sample(SAMPLES, rng),
        ]
        if space.has_listed_vertices:
            corners = space.vertices()
            parts.append(corners[: 4 * space.m])
        return cls._of(fitted, pending, space.and_plainer(np.vstack(parts)), costs, begun)

    @classmethod
    def _of(
        cls,
        fitted: Fitted,
        pending: Mapping[str, FloatArray],
        candidates: FloatArray,
        costs: Mapping[str, float],
        begun: Begun,
    ) -> Knowledge:
        n_pending = sum(map(len, pending.values()))
        X = np.vstack([*pending.values(), begun.weights, _distinct(candidates)])
        belief = fitted.posterior(X)
        wanted = dict.fromkeys((*costs, *begun.channel))
        channels = [name for name in wanted if name != TARGET and name in fitted.channels]
        joint = fitted.joint(X) if channels else of_target_alone(belief, fitted.noise_sd)
        names = [name for name in (TARGET, *channels) if name in joint.names]
        rows = [joint.names.index(name) for name in names]
        k = len(X)
        at = np.concatenate([np.arange(row * k, (row + 1) * k) for row in rows])
        noise = joint.noise[rows]
        known = cls(
            X,
            belief,
            joint.covariance[np.ix_(at, at)],
            noise,
            {name: costs.get(name, np.inf) for name in names},
            [
                _rest(begun, b, channel, cost, n_pending + b, k, names, noise)
                for b in range(len(begun))
                for channel, cost in {TARGET: float(begun.cost[b]), **begun.steps_of(b)}.items()
                if channel in names
            ],
        )
        i = 0
        for name, mixtures in pending.items():
            for _ in mixtures:
                if name in names:
                    known = known._after_score(names.index(name), i)
                i += 1
        return known

    def best(self, barred: Mapping[str, FloatArray], *, may_continue: bool = True) -> Candidate:
        """What gains most for its cost, none of the mixtures barred in its channel (b, m).

        Args:
            may_continue: whether it may be the rest of a begun run.
        """
        costs = np.array(list(self.costs.values()))
        first = self._first(self.gains / costs[:, None], barred)
        rests = self.continued() if may_continue else []
        return max([first, *rests], key=lambda candidate: candidate.rate)

    def highest(self, barred: Mapping[str, FloatArray]) -> Candidate:
        """A full run of the candidate with the highest mean that is none of the barred."""
        return self._first(self.belief.mean[None], barred)

    def continued(self) -> list[Candidate]:
        """The rest of each begun run, and what it may go on to before its end."""
        means, sds = self.belief.mean, self.belief.sd
        return [
            Candidate(
                self.X[rest.i],
                float(means[rest.i]),
                float(sds[rest.i]),
                float(gain),
                rest.channel,
                rest.cost,
                rest.run,
            )
            for rest, gain in zip(self.rests, self._gains_of_rests, strict=True)
        ]

    def _first(self, worth: FloatArray, barred: Mapping[str, FloatArray]) -> Candidate:
        worth = worth.copy()
        for values, (name, cost) in zip(worth, self.costs.items(), strict=False):
            if np.isinf(cost):
                values[:] = -np.inf
            if len(mixtures := barred.get(name, ())):
                near = np.abs(self.X[:, None, :] - mixtures).sum(axis=-1).min(axis=1) / 2
                values[near <= SAME] = -np.inf
        c, i = np.unravel_index(int(np.argmax(worth)), worth.shape)
        mean, sd = float(self.belief.mean[i]), float(self.belief.sd[i])
        name = list(self.costs)[c]
        return Candidate(self.X[i], mean, sd, float(self.gains[c, i]), name, self.costs[name])

    @cached_property
    def gains(self) -> FloatArray:
        """(A, k) expected rise of the highest mean by one score of each candidate in each."""
        noise = np.repeat(self.noise, len(self.X))
        variance = np.clip(np.diag(self.covariance), 0, None) + noise
        return self._raised(self.covariance, variance).reshape(-1, len(self.X))

    @cached_property
    def _gains_of_rests(self) -> FloatArray:
        """(q,) the same by the rest of each begun run."""
        if not self.rests:
            return np.empty(0)
        of = np.array([rest.of for rest in self.rests])
        moved = of @ self.covariance
        variance = np.clip((moved * of).sum(axis=1), 0, None)
        return self._raised(moved, variance + np.array([rest.noise for rest in self.rests]))

    def _raised(self, moved: FloatArray, variance: FloatArray) -> FloatArray:
        """(s,) by how much scores are expected to raise the highest mean.

        Args:
            moved: (s, A k) their covariances with all that is believed.
            variance: (s,) of the scores.
        """
        mean = self.belief.mean
        moves = moved[:, : len(self.X)] / np.sqrt(variance + LEAST_VARIANCE)[:, None]
        # Score by score, mean by mean, outcome by outcome.
        highest = (mean[None, :, None] + moves[:, :, None] * _OUTCOMES).max(axis=1)
        gains: FloatArray = highest.mean(axis=1) - mean.max()
        return np.maximum(gains, 0.0)

    def chance_of_better(self, margin: float, rng: np.random.Generator) -> float:
        """Probability that some candidate beats the one with the highest mean by over `margin`."""
        values, vectors = np.linalg.eigh(self.belief.covariance)
        spread = vectors * np.sqrt(np.clip(values, 0, None))
        draws = self.belief.mean + rng.normal(size=(PATHS, len(self.X))) @ spread.T
        incumbent = draws[:, int(np.argmax(self.belief.mean))]
        return float((draws.max(axis=1) > incumbent + margin).mean())

    def chance_within(self, run: int, margin: float) -> float:
        """Probability that the mixture of a begun run is less than `margin` below the one with the
        highest mean."""
        i = next(rest.i for rest in self.rests if rest.run == run)
        best, cov = int(np.argmax(self.belief.mean)), self.belief.covariance
        variance = float(cov[i, i] + cov[best, best] - 2 * cov[i, best])
        above = float(self.belief.mean[i] - self.belief.mean[best]) + margin
        return float(ndtr(above / np.sqrt(max(variance, LEAST_VARIANCE))))

    def after(self, weights: FloatArray, channel: str = TARGET) -> Knowledge:
        """What will be known when a candidate has one more score in a channel."""
        i = int(np.argmin(total_variation(weights, self.X)))
        return self._after_score(list(self.costs).index(channel), i)

    def after_rest(self, run: int, channel: str = TARGET) -> Knowledge:
        """What will be known when a begun run has come to its end, or to a channel's step."""
        rest = next(one for one in self.rests if (one.run, one.channel) == (run, channel))
        moved = rest.of @ self.covariance
        known = self._after(moved, float(moved @ rest.of), rest.noise)
        known.rests = [other for other in self.rests if other.run != run]
        return known

    def _after_score(self, c: int, i: int) -> Knowledge:
        at = c * len(self.X) + i
        row = self.covariance[at]
        return self._after(row, float(row[at]), float(self.noise[c]))

    def _after(self, moved: FloatArray, variance: float, noise: float) -> Knowledge:
        total = max(variance, 0.0) + noise + LEAST_VARIANCE
        left = self.covariance - np.outer(moved, moved) / total
        return Knowledge(self.X, self.belief, left, self.noise, self.costs, self.rests)


def _rest(
    begun: Begun,
    b: int,
    channel: str,
    cost: float,
    i: int,
    k: int,
    names: Sequence[str],
    noise: FloatArray,
) -> Rest:
    """What one begun run, whose mixture is the i-th of k, gets by going on to a channel's score.

    What of its score so far was the run's own luck is in its later one, too: that is
    `f + s (y - g) + e`, with f and g the noise-free scores there and at the step where it stands,
    y its score here, and s the slope of one's noise on the other's. y is known, so its later score
    tells of `f - s g`, with the noise that y does not tell.
    """
    to = names.index(channel)
    of = np.zeros(len(names) * k)
    of[to * k + i] = 1.0
    left = float(noise[to])
    if begun.channel[b] in names:
        c = names.index(begun.channel[b])
        of[c * k + i] = -SHARED * np.sqrt(noise[to] / noise[c])
        left *= 1 - SHARED**2
    return Rest(begun.run[b], channel, cost, i, of, left)


def _distinct(X: FloatArray) -> FloatArray:
    """Without those that are as good as the same as an earlier one."""
    kept: list[FloatArray] = []
    for x in X:
        if not kept or np.all(total_variation(x, np.array(kept)) > SAME / 5):
            kept.append(x)
    return np.array(kept)
