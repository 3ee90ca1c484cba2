"""Who spends: our strategies on scores of every price, and the peers.

Each search yields the mixture that it would choose, after every step it takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bench.priced import MERGED_COST, STEPS, Priced
from service.search.runs import MERGED, TARGET, Runs
from service.search.situation import Begun as Standing
from service.search.situation import Situation
from service.search.space import FloatArray, MixtureSpace
from service.search.stopping import judge
from service.search.strategies import propose, recommend
from service.search.surrogates import fit

BATCH = 4
HALF = "step-50%"
AT_HALF, WHOLE = STEPS.index(0.5), len(STEPS) - 1


@dataclass(eq=False)
class Begun:
    """A run, and how far it was trained.

    Attributes:
        scores: (4,) at the `STEPS`, also at those that it has not come to.
        last: the last of them that it has come to.
    """

    weights: FloatArray
    scores: FloatArray
    last: int

    @property
    def seen(self) -> FloatArray:
        """(4,) scores; NaN where it has not come to."""
        found = self.scores.copy()
        found[self.last + 1 :] = np.nan
        return found


@dataclass(eq=False)
class Told:
    """What a search has seen, and spent in full runs."""

    world: Priced
    rng: np.random.Generator
    seed: int
    spent: float = 0.0
    begun: list[Begun] = field(default_factory=list)
    prices: list[tuple[FloatArray, float]] = field(default_factory=list)

    def run(self, weights: FloatArray, last: int = WHOLE) -> FloatArray:
        """(4,) scores of a run that ends at one of the `STEPS`; what it does not reach is NaN."""
        self.begun.append(Begun(weights, self.world.run(weights, self.rng), last))
        self.spent += STEPS[last]
        return self.begun[-1].seen

    def go_on(self, number: int, last: int = WHOLE) -> None:
        """Trains a begun run, the how manyth it is, further."""
        one = self.begun[number]
        self.spent += STEPS[last] - STEPS[one.last]
        one.last = last

    def price(self, weights: FloatArray) -> float:
        found = self.world.price(weights, self.seed)
        self.prices.append((weights, found))
        self.spent += MERGED_COST
        return found

    def runs(self, channels: Iterable[str] = ()) -> Runs:
        """Of these channels, and the full runs."""
        m = self.world.space.m
        X = np.array([one.weights for one in self.begun]).reshape(-1, m)
        scores = np.array([one.seen for one in self.begun]).reshape(-1, len(STEPS))
        which = np.arange(len(X))
        told = {}
        if MERGED in channels and self.prices:
            at = np.array([weights for weights, _ in self.prices])
            told[MERGED] = _runs(at, np.array([price for _, price in self.prices]))
        if HALF in channels and len(X):
            half = np.isfinite(scores[:, AT_HALF])
            told[HALF] = _runs(X[half], scores[half, AT_HALF], which[half])
        whole = np.isfinite(scores[:, -1])
        return _runs(X[whole], scores[whole, -1], which[whole], told)

    def standing(self, numbers: Iterable[int] | None = None) -> Standing:
        """Runs that stand at half their steps, all or of these numbers."""
        among = range(len(self.begun)) if numbers is None else numbers
        found = tuple(i for i in among if self.begun[i].last == AT_HALF)
        weights = np.array([self.begun[i].weights for i in found]).reshape(-1, self.world.space.m)
        rest = np.full(len(found), 1 - STEPS[AT_HALF])
        return Standing(weights, (HALF,) * len(found), rest, found)


def _runs(X: FloatArray, y: FloatArray, run: Any = (), channels: Any = None) -> Runs:
    unknown = np.full(len(y), np.nan)
    return Runs(X, y, unknown, unknown, unknown, run=run, channels=channels or {})


Search = Callable[[Told], Iterator[FloatArray]]


def ours(
    strategy: str, costs: Mapping[str, float], *, stops: bool = False, batch: int = BATCH
) -> Search:
    """One of this project's strategies with what it may spend on.

    Args:
        stops: it may pause what it begins at half its steps, by the service's rule.
        batch: how many it proposes before it sees their scores, as to so many workers.
    """
    told_of = {**costs, HALF: 0.5} if stops else costs

    def search(told: Told) -> Iterator[FloatArray]:
        space, turn = told.world.space, 0
        nothing = np.empty((0, space.m))
        while True:
            seed, standing = 1000 * told.seed + turn, told.standing()
            asked = propose(
                strategy,
                space,
                told.runs(told_of),
                nothing,
                batch,
                seed,
                costs=costs,
                begun=standing,
                n_continued=batch,
            )
            fresh = []
            for item in asked:
                if item.run is not None:
                    told.go_on(item.run)
                elif item.channel == MERGED:
                    told.price(item.weights)
                elif item.cost < 1 or (stops and item.strategy == strategy and not item.is_repeat):
                    told.run(item.weights, AT_HALF)
                    if item.cost == 1:
                        fresh.append(len(told.begun) - 1)
                else:
                    told.run(item.weights)
            if fresh:
                _train_on(told, strategy, fresh, told_of, costs, seed)
            turn += 1
            yield recommend(strategy, space, told.runs(told_of), told.seed).weights

    return search


def _train_on(
    told: Told,
    strategy: str,
    fresh: Sequence[int],
    told_of: Mapping[str, float],
    costs: Mapping[str, float],
    seed: int,
) -> None:
    """Has those of the runs that stand at half their steps go on that are worth it."""
    nothing = np.empty((0, told.world.space.m))
    before = told.standing(set(range(len(told.begun))) - set(fresh))
    situation = Situation(
        told.world.space, told.runs(told_of), 1.0, {}, nothing, seed, costs=costs, begun=before
    )
    verdicts = judge(strategy, situation, told.standing(fresh))
    waiting = {verdict.run for verdict in verdicts if verdict.action != "continue"}
    for number in fresh:
        if number not in waiting:
            told.go_on(number)


def successive(pruner: str) -> Search:
    """Optuna's TPE with a pruner: every run is a trial that reports at `STEPS`."""

    def search(told: Told) -> Iterator[FloatArray]:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.ERROR)
        pruners: dict[str, Any] = {
            "asha": lambda: optuna.pruners.SuccessiveHalvingPruner(1, reduction_factor=2),
            "hyperband": lambda: optuna.pruners.HyperbandPruner(1, len(STEPS), 2),
        }
        study = optuna.create_study(
            direction="maximize",
            sampler=optuna.samplers.TPESampler(seed=told.seed),
            pruner=pruners[pruner](),
        )
        space = told.world.space
        best, chosen = -np.inf, space.uniform
        while True:
            trial = study.ask()
            part = -np.log([trial.suggest_float(f"x{i}", 1e-9, 1 - 1e-9) for i in range(space.m)])
            weights = _runnable(space, part / part.sum())
            scores = told.world.run(weights, told.rng)
            last, before = 0, 0.0
            for last, (score, share) in enumerate(zip(scores, STEPS, strict=True)):
                told.spent += share - before
                before = share
                trial.report(float(score), last + 1)
                if last + 1 < len(STEPS) and trial.should_prune():
                    break
            is_whole = last + 1 == len(STEPS)
            state = optuna.trial.TrialState.COMPLETE if is_whole else None
            study.tell(
                trial,
                float(scores[-1]) if is_whole else None,
                state=(state or optuna.trial.TrialState.PRUNED),
            )
            if is_whole and scores[-1] > best:
                best, chosen = float(scores[-1]), weights
            yield chosen

    return search


def regmix(told: Told) -> Iterator[FloatArray]:
    """RegMix's recipe: proxies of random mixtures, a regression, the best of many predictions.

    The proxies are runs of a quarter of the steps.
    """
    space, X, y = told.world.space, [], []
    for weights in space.sample(10_000, np.random.default_rng(told.seed)):
        weights = _runnable(space, weights)
        X.append(weights)
        y.append(told.run(weights, 0)[0])
        if len(y) < space.m + 2 or len(y) % BATCH:
            yield space.uniform if not y else X[int(np.argmax(y))]
            continue
        fitted: Any = fit("lightgbm", space, _runs(np.array(X), np.array(y)), told.seed)
        listed = space.listed()
        many = space.sample(20_000, np.random.default_rng(1)) if listed is None else listed
        guess = fitted.guess(many)
        top = np.argsort(-guess, kind="stable")
        yield many[top[0]] if listed is not None else many[top[:100]].mean(axis=0)


FIDELITIES = (AT_HALF, WHOLE)
FANTASIES = 4
"""Of BoTorch's knowledge gradient; with its usual 64 a proposal takes minutes."""


SHORT_WALK = {"n_burnin": 50, "n_thinning": 4}
"""Of the random walk by which BoTorch draws from a simplex; its usual 10,000 steps took most of the
time."""


def mf_kg(told: Told) -> Iterator[FloatArray]:
    """BoTorch's multi-fidelity knowledge gradient per cost; the fidelity is the share of a run."""
    import torch
    from botorch.acquisition import PosteriorMean
    from botorch.acquisition.cost_aware import InverseCostWeightedUtility
    from botorch.acquisition.fixed_feature import FixedFeatureAcquisitionFunction
    from botorch.acquisition.knowledge_gradient import qMultiFidelityKnowledgeGradient
    from botorch.acquisition.utils import project_to_target_fidelity
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskMultiFidelityGP
    from botorch.models.cost import AffineFidelityCostModel
    from botorch.models.transforms import Standardize
    from botorch.optim import optimize_acqf, optimize_acqf_mixed
    from gpytorch.mlls import ExactMarginalLogLikelihood

    space = told.world.space
    m = space.m
    target = {m: 1.0}
    bounds = torch.tensor([[0.0] * (m + 1), [1.0] * (m + 1)], dtype=torch.float64)
    ones = torch.ones(m, dtype=torch.float64)
    sums = [(torch.arange(m), ones, 1.0)]
    rows, values = [], []

    def measure(weights: FloatArray, last: int) -> None:
        scores = told.run(weights, last)
        for at in FIDELITIES[: FIDELITIES.index(last) + 1]:
            rows.append([*weights, STEPS[at]])
            values.append(float(scores[at]))

    for weights in [space.uniform, *space.sample(m, told.rng)]:
        measure(_runnable(space, weights), WHOLE)
        yield _runnable(space, weights)
    torch.manual_seed(told.seed)
    while True:
        X = torch.tensor(np.array(rows), dtype=torch.float64)
        y = torch.tensor(values, dtype=torch.float64)[:, None]
        model = SingleTaskMultiFidelityGP(
            X, y, data_fidelities=[m], outcome_transform=Standardize(1)
        )
        fit_gpytorch_mll(
            ExactMarginalLogLikelihood(model.likelihood, model),
            optimizer_kwargs={"options": {"maxiter": 100}},
        )
        mean = FixedFeatureAcquisitionFunction(PosteriorMean(model), m + 1, [m], [1.0])
        chosen, current = optimize_acqf(
            mean,
            bounds[:, :m],
            1,
            2,
            32,
            equality_constraints=sums,
            options={**SHORT_WALK, "maxiter": 20},
        )
        yield _runnable(space, chosen[0].numpy())
        gradient = qMultiFidelityKnowledgeGradient(
            model,
            num_fantasies=FANTASIES,
            current_value=current,
            cost_aware_utility=InverseCostWeightedUtility(
                AffineFidelityCostModel({m: 1.0}, fixed_cost=0.01)
            ),
            project=lambda X: project_to_target_fidelity(X, target, m + 1),
        )
        best, _ = optimize_acqf_mixed(
            gradient,
            bounds,
            q=1,
            num_restarts=1,
            raw_samples=4,
            fixed_features_list=[{m: STEPS[at]} for at in FIDELITIES],
            equality_constraints=sums,
            options={
                **SHORT_WALK,
                "maxiter": 8,
                "num_inner_restarts": 1,
                "raw_inner_samples": 16,
            },
        )
        *weights, share = best[0].numpy()
        last = min(FIDELITIES, key=lambda at: abs(STEPS[at] - share))
        measure(_runnable(space, np.array(weights)), last)


def _runnable(space: MixtureSpace, weights: FloatArray) -> FloatArray:
    return weights if space.listed() is None else space.project(weights)


FULL = {TARGET: 1.0}
PRICES = {TARGET: 1.0, MERGED: MERGED_COST}
PARTS = {TARGET: 1.0, HALF: 0.5}
ALL = {**PRICES, HALF: 0.5}
OURS = "bayes-quadratic, merged, one by one"
TODAY = ("auto", "auto, one by one")
KG = "mf-kg"
SEARCHES: dict[str, Search] = {
    OURS: ours("bayes-quadratic", PRICES, batch=1),
    "bayes-quadratic, merged": ours("bayes-quadratic", PRICES),
    "bayes-quadratic, all channels": ours("bayes-quadratic", ALL),
    "bayes-quadratic": ours("bayes-quadratic", FULL),
    "bayes-quadratic, steps": ours("bayes-quadratic", PARTS),
    "bayes-quadratic, early stopping": ours("bayes-quadratic", FULL, stops=True),
    "bayes-quadratic, merged, early stopping": ours("bayes-quadratic", PRICES, stops=True),
    "auto": ours("auto", FULL),
    "auto, one by one": ours("auto", FULL, batch=1),
    "auto, steps": ours("auto", PARTS),
    "auto, early stopping": ours("auto", FULL, stops=True),
    "asha": successive("asha"),
    "hyperband": successive("hyperband"),
    "regmix-proxies": regmix,
    KG: mf_kg,
}
PEERS = ("asha", "hyperband", "regmix-proxies", KG)
