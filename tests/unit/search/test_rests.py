"""The rest of a run that was begun, as one of the things that the next GPU-hour can be spent on."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from service.search import stopping
from service.search.acquisition import Knowledge
from service.search.by_surrogate import barred_in
from service.search.runs import TARGET, Runs
from service.search.situation import Begun, Situation
from service.search.space import MixtureSpace
from service.search.stopping import judge
from service.search.surrogates.likelihood import SHARED
from service.search.surrogates.protocol import Joint, Posterior

SPACE = MixtureSpace.simplex("abc")
STEP = "step-5"
NOISE = np.array([0.03, 0.02])
"""Standard deviation of a run's score at its end, and at the step."""
RHO = 0.9


def terms(x):
    x = np.asarray(x, float)
    pairs = [4 * x[..., i] * x[..., j] for i, j in ((0, 1), (0, 2), (1, 2))]
    return np.concatenate([x, np.stack(pairs, axis=-1)], axis=-1)


@dataclass
class Quadratic:
    """A belief about a quadratic, and about the one of the scores at a step: the prior, given some
    scores (mixture, whether at the step, score, run), noise shared within a run."""

    scores: list = field(default_factory=list)
    sd: float = 0.3
    name, kind, channels = "quadratic", "plain", {STEP: None}
    noise_sd = float(NOISE[0])

    @property
    def runs(self):
        whole = [(x, y) for x, early, y, _ in self.scores if not early]
        X, y = np.array([x for x, _ in whole]), np.array([y for _, y in whole])
        return Runs(X, y, *[np.full(len(y), np.nan)] * 3)

    def _given(self):
        among = self.sd**2 * np.array([[1, RHO], [RHO, 1]])
        prior = np.kron(among, np.eye(6))
        rows = [np.kron([not early, early], terms(x)) for x, early, _, _ in self.scores]
        H = np.array(rows, float).reshape(-1, 12)
        y = np.array([y for *_, y, _ in self.scores])
        R = np.zeros((len(y), len(y)))
        for i, (_, a, _, one) in enumerate(self.scores):
            for j, (_, b, _, other) in enumerate(self.scores):
                shared = 1.0 if i == j else SHARED * (one == other)
                R[i, j] = shared * NOISE[int(a)] * NOISE[int(b)]
        K = prior @ H.T @ np.linalg.inv(H @ prior @ H.T + R)
        return K @ y, prior - K @ H @ prior

    def joint(self, X):
        mean, covariance = self._given()
        G = np.kron(np.eye(2), terms(X))
        return Joint((TARGET, STEP), (G @ mean).reshape(2, -1), G @ covariance @ G.T, NOISE**2)

    def posterior(self, X):
        joint, k = self.joint(X), len(X)
        return Posterior(joint.mean[0], joint.covariance[:k, :k])

    def predict(self, X):
        belief = self.posterior(X)
        return belief.mean, belief.sd

    def highest(self, space, also, rng):
        some = space.sample(500, np.random.default_rng(1))
        return some[np.argmax(self.predict(some)[0])]

    def maxima(self, space, n, also, rng):
        return space.sample(n, rng)


def of(x, y, run, *, early=False):
    return np.array(x, float), early, y, run


OPENED = [
    of([1, 0, 0], 0.5, 1),
    of([0, 1, 0], 0.45, 2),
    of([0, 0, 1], 0.1, 3),
    of([1 / 3, 1 / 3, 1 / 3], 0.35, 4),
]


def begun(*mixtures, cost=0.5, first=11):
    n = len(mixtures)
    runs = tuple(range(first, first + n))
    return Begun(np.array(mixtures).reshape(n, 3), (STEP,) * n, np.full(n, cost), runs)


def gathered(fitted, some, costs=None):
    rng = np.random.default_rng(0)
    return Knowledge.gathered(fitted, SPACE, {}, rng, costs or {TARGET: 1.0}, some)


def test_what_the_rest_of_a_run_tells_is_that_of_its_last_score_given_its_score_so_far():
    x = [0.7, 0.3, 0.0]
    fitted = Quadratic([*OPENED, of(x, 0.5, 11, early=True)])
    knowledge = gathered(fitted, begun(x))
    after = knowledge.after_rest(11)
    # By conditioning on any last score of the same run: a covariance does not ask which.
    told = Quadratic([*fitted.scores, of(x, 0.9, 11)]).posterior(knowledge.X).covariance
    k = len(knowledge.X)
    assert after.covariance[:k, :k] == pytest.approx(told, abs=1e-9)
    assert after.rests == []


def test_the_rest_of_a_run_is_worth_less_than_a_new_run_there_and_more_for_its_cost():
    x = [0.55, 0.45, 0.0]
    fitted = Quadratic([*OPENED, of(x, 0.5, 11, early=True)])
    knowledge = gathered(fitted, begun(x, cost=0.25))
    [rest] = knowledge.continued()
    assert rest.gain == pytest.approx(knowledge.gains[0][0], rel=0.6)
    assert rest.rate > knowledge.gains[0][0]
    assert knowledge.best({}).run == 11
    assert knowledge.best({}, may_continue=False).run is None


def test_a_channel_that_may_not_be_bought_is_known_and_not_proposed():
    x = [0.55, 0.45, 0.0]
    fitted = Quadratic([*OPENED, of(x, 0.5, 11, early=True)])
    knowledge = gathered(fitted, begun(x))
    assert dict(knowledge.costs) == {TARGET: 1.0, STEP: np.inf}
    assert knowledge.best({}, may_continue=False).channel == TARGET
    cheap = gathered(fitted, begun(x), {TARGET: 1.0, STEP: 0.01})
    assert cheap.best({}, may_continue=False).channel == STEP


# --- which go on --------------------------------------------------------------------------------


def situation(fitted, standing=None, **more):
    nothing = np.empty((0, 3))
    return Situation(
        SPACE, fitted.runs, 1.0, {}, nothing, 0, costs={TARGET: 1.0}, begun=standing, **more
    )


@pytest.fixture
def judged(monkeypatch):
    def actions(scores, running, standing=None):
        fitted = Quadratic([*OPENED, *scores])
        monkeypatch.setattr(stopping, "fit", lambda *_: fitted)
        verdicts = judge("quadratic", situation(fitted, standing), running)
        return {verdict.run: verdict for verdict in verdicts}

    return actions


GOOD, OTHER = [0.6, 0.4, 0.0], [0.0, 0.5, 0.5]


def so_far(good=0.8, other=0.3):
    return [of(GOOD, good, 11, early=True), of(OTHER, other, 12, early=True)]


@pytest.mark.parametrize(("score", "action"), [(0.3, "pause"), (0.0, "stop")])
def test_a_run_that_may_be_the_best_goes_on_one_that_others_beat_pauses_or_ends(
    judged, score, action
):
    found = judged(so_far(other=score), begun(GOOD, OTHER))
    assert (found[11].action, found[12].action) == ("continue", action)
    assert found[11].reason.startswith("goes on: for its cost the rest, 0.5 of a run")
    assert ("below 1%" in found[12].reason) == (action == "stop")


def test_one_that_is_nearly_done_goes_on(judged):
    found = judged(so_far(), begun(GOOD, cost=0.01))
    assert found[11].action == "continue"


def test_a_run_that_stands_ends_once_it_has_no_chance(judged):
    found = judged(so_far(other=0.0), begun(GOOD), begun(OTHER, first=12))
    assert {run: one.action for run, one in found.items()} == {11: "continue", 12: "stop"}


def test_the_same_scores_give_the_same_verdicts_in_any_order(judged):
    one = judged(so_far(), begun(GOOD, OTHER))
    other = judged(
        so_far(), Begun(*(np.array([OTHER, GOOD]), (STEP,) * 2, np.full(2, 0.5), (12, 11)))
    )
    assert one == other


def test_before_a_surrogate_may_choose_nothing_is_judged(monkeypatch):
    few = Quadratic(OPENED[:3])
    monkeypatch.setattr(stopping, "fit", lambda *_: pytest.fail("too few runs"))
    assert judge("quadratic", situation(few), begun(GOOD)) == []


def test_a_begun_mixture_is_not_begun_again():
    here = situation(Quadratic(OPENED), begun(GOOD))
    assert not here.is_new(np.array(GOOD))
    assert np.allclose(barred_in(here, TARGET), [GOOD])


def test_a_run_under_way_is_not_begun_again_for_its_score_at_a_step():
    """It will have that score itself, or may come to it."""
    here = situation(Quadratic(OPENED), begun(GOOD))
    here.costs = {TARGET: 1.0, STEP: 0.5}
    here.pending = {TARGET: np.array([OTHER])}
    for mixture in (GOOD, OTHER):
        assert not here.is_new(np.array(mixture), STEP)
    assert {tuple(x) for x in barred_in(here, STEP)} >= {tuple(GOOD), tuple(OTHER)}
