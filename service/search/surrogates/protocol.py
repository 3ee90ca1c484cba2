"""What every surrogate can do."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

import numpy as np

from service.search import gaussian
from service.search.runs import TARGET, Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates.carried import Carried

MAXIMA_SAMPLES = 384

NO_CHANNELS: Mapping[str, Carried] = MappingProxyType({})

ENDLESS = 10**9
"""`max_runs` of those that take any number."""


class Posterior(NamedTuple):
    """Belief about the noise-free objective at k mixtures."""

    mean: FloatArray
    """(k,)"""
    covariance: FloatArray
    """(k, k)"""

    @property
    def sd(self) -> FloatArray:
        """(k,) standard deviations."""
        sd: FloatArray = np.sqrt(np.clip(np.diag(self.covariance), 0, None))
        return sd

    def difference(self) -> tuple[float, float]:
        """Mean and standard deviation of the first less the second, both uncertain together."""
        one, other, cov = *self.mean[:2], self.covariance
        variance = float(cov[0, 0] + cov[1, 1] - 2 * cov[0, 1])
        return float(one - other), math.sqrt(max(variance, 0.0))


class Joint(NamedTuple):
    """Belief about k mixtures as the target and every channel see them.

    Channels are in units in which their effects are about as large as the target's, and have levels
    of their own: what matters is how they vary together.
    """

    names: tuple[str, ...]
    """Of the target and the C channels that tell something of it."""
    mean: FloatArray
    """(1 + C, k)"""
    covariance: FloatArray
    """((1 + C) k, (1 + C) k), one after the other."""
    noise: FloatArray
    """(1 + C,) variance of a score around what it is a score of."""


def mixed(each: Sequence[Posterior], share: FloatArray) -> Posterior:
    """The mixture of beliefs (S,) about the same mixtures, by the law of total variance."""
    mean = share @ np.array([belief.mean for belief in each])
    covariance = np.zeros((len(mean), len(mean)))
    for s, belief in zip(share, each, strict=True):
        off = belief.mean - mean
        covariance += s * (belief.covariance + np.outer(off, off))
    return Posterior(mean, covariance)


def mixed_in_all(each: Sequence[Joint], share: FloatArray) -> Joint:
    """The same of beliefs about the same channels."""
    first = each[0]
    found = mixed([Posterior(one.mean.ravel(), one.covariance) for one in each], share)
    noise = share @ np.array([one.noise for one in each])
    return Joint(first.names, found.mean.reshape(first.mean.shape), found.covariance, noise)


class Fitted(Protocol):
    """A surrogate that has seen runs."""

    @property
    def runs(self) -> Runs: ...

    @property
    def name(self) -> str:
        """The surrogate's name in the registry."""
        ...

    @property
    def kind(self) -> str:
        """What of the surrogate's choices was taken, in words."""
        ...

    @property
    def noise_sd(self) -> float:
        """Standard deviation of one run around the noise-free objective."""
        ...

    @property
    def n_fitted(self) -> int:
        """Numbers that were fitted to the runs and that `leave_one_out` does not fit again."""
        ...

    @property
    def channels(self) -> Mapping[str, Carried]:
        """How far each channel of the runs carries over; none where only the runs are used."""
        ...

    @property
    def trust(self) -> FloatArray | None:
        """(k,) what is believed of each of `similarity.TRUSTS`; None where no similarity of domains
        is used."""
        ...

    def predict(self, X: FloatArray, *, noisy: bool = False) -> tuple[FloatArray, FloatArray]:
        """Mean and standard deviation (k,) at mixtures (k, m).

        Of the noise-free objective, or with `noisy` of the score that one run there would get.
        """
        ...

    def posterior(self, X: FloatArray) -> Posterior:
        """The joint belief about the noise-free objective at mixtures (k, m)."""
        ...

    def joint(self, X: FloatArray) -> Joint:
        """The belief about mixtures (k, m) in every channel; of all it has, `posterior` is a part.

        Where settings are averaged over, it may be by fewer of them.
        """
        ...

    def leave_one_out(self) -> tuple[FloatArray, FloatArray]:
        """(n,) mean and standard deviation of each run's score as foreseen without that run.

        The standard deviation is that of a new observation: model and noise together.
        """
        ...

    def highest(
        self, space: MixtureSpace, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """(m,) the mixture with the highest mean; `also` (k, m) are good places to start."""
        ...

    def maxima(
        self, space: MixtureSpace, n: int, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        """(n, m) the best mixtures of n draws from the belief (Thompson, 1933)."""
        ...


class Surrogate(Protocol):
    """A kind of model. Higher scores are better."""

    @property
    def min_runs(self) -> int:
        """Fewest runs it can be fitted to."""
        ...

    @property
    def max_runs(self) -> int:
        """Most runs, with scores of other channels if it takes them, to fit in reasonable time."""
        ...

    @property
    def takes_channels(self) -> bool:
        """Whether it learns from other channels than the target, too."""
        ...

    @property
    def takes_schedules(self) -> bool:
        """Whether it tells runs apart that changed their mixture on the way."""
        ...

    def fit(self, space: MixtureSpace, runs: Runs, seed: int) -> Fitted:
        """The model after these runs; deterministic given the seed."""
        ...


def scores_for(surrogate: Surrogate, runs: Runs) -> int:
    """How many scores a surrogate is fitted to: of the runs, and of channels if it takes them."""
    others = runs.channels.values() if surrogate.takes_channels else ()
    return len(runs) + sum(map(len, others))


class Searched:
    """The searches of `Fitted` for models that know no better way than to try many mixtures."""

    @property
    def channels(self) -> Mapping[str, Carried]:
        return NO_CHANNELS

    @property
    def trust(self) -> FloatArray | None:
        return None

    def joint(self: Fitted, X: FloatArray) -> Joint:
        return of_target_alone(self.posterior(X), self.noise_sd)

    def highest(
        self: Fitted, space: MixtureSpace, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        return space.maximise(lambda X: self.predict(X)[0], rng, also=also)

    def maxima(
        self: Fitted, space: MixtureSpace, n: int, also: FloatArray, rng: np.random.Generator
    ) -> FloatArray:
        X = np.vstack([also, space.sample(MAXIMA_SAMPLES, rng)])
        belief = self.posterior(X)
        values, vectors = np.linalg.eigh(belief.covariance)
        spread = vectors * np.sqrt(np.clip(values, 0, None))
        draws = belief.mean + rng.normal(size=(n, len(X))) @ spread.T
        best: FloatArray = X[np.argmax(draws, axis=1)]
        return best


def of_target_alone(belief: Posterior, noise_sd: float) -> Joint:
    """Where nothing is known of channels."""
    return Joint((TARGET,), belief.mean[None], belief.covariance, np.array([noise_sd**2]))


def log_density(fitted: Fitted) -> float:
    """Of all runs, each as foreseen without itself, less one for each number fitted (Akaike, 1974).

    What surrogates are compared by: leaving a run out does not fit hyperparameters again, which
    favours those that have many.
    """
    mean, sd = fitted.leave_one_out()
    if not np.all(sd > 0):
        return -np.inf
    return float(gaussian.log_density(fitted.runs.score, mean, sd**2).sum()) - fitted.n_fitted
