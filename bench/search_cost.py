"""What finding a good mixture costs, in full runs, where cheaper scores can be had.

`python -m bench.search_cost [--only evidence,asha] [--worlds "offline world"] [--again]`
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import typer

from bench import units
from bench.priced import EARLY_RHO, MERGED_COST, MERGED_RHO, OFFLINE, STEPS, Priced, priced
from bench.report import IMAGES, table, write_section
from service.search.runs import MERGED, TARGET, Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.strategies import propose, recommend
from service.search.surrogates import fit

SEEDS = 6
CAP = 24.0
"""Full runs' cost after which a search gives up."""
BATCH = 4
WORLDS = (OFFLINE, "root-5", "quadratic-5")
WITHIN = (0.01, 0.05)
HALF = "step-50%"
SLOW = {"mf-kg": 1, "auto": 4, "bayes-quadratic, all channels": 4}
"""Searches that take seconds to half a minute a proposal have fewer seeds."""


@dataclass(eq=False)
class Told:
    """What a search has seen, and spent in full runs."""

    world: Priced
    rng: np.random.Generator
    seed: int
    spent: float = 0.0
    runs_made: list[tuple[FloatArray, FloatArray]] = field(default_factory=list)
    """Mixtures with their scores at the `STEPS`."""
    prices: list[tuple[FloatArray, float]] = field(default_factory=list)

    def run(self, weights: FloatArray, last: int = len(STEPS) - 1) -> FloatArray:
        """(4,) scores of a run that ends at one of the `STEPS`; what it does not reach is NaN."""
        scores = self.world.run(weights, self.rng)
        scores[last + 1 :] = np.nan
        self.runs_made.append((weights, scores))
        self.spent += STEPS[last]
        return scores

    def price(self, weights: FloatArray) -> float:
        found = self.world.price(weights, self.seed)
        self.prices.append((weights, found))
        self.spent += MERGED_COST
        return found

    def runs(self, channels: Iterable[str] = ()) -> Runs:
        """Of these channels, and the full runs."""
        m = self.world.space.m
        X = np.array([weights for weights, _ in self.runs_made]).reshape(-1, m)
        scores = np.array([scores for _, scores in self.runs_made]).reshape(-1, len(STEPS))
        which = np.arange(len(X))
        told = {}
        if MERGED in channels and self.prices:
            at = np.array([weights for weights, _ in self.prices])
            told[MERGED] = _runs(at, np.array([price for _, price in self.prices]))
        if HALF in channels and len(X):
            told[HALF] = _runs(X, scores[:, STEPS.index(0.5)], which)
        whole = np.isfinite(scores[:, -1])
        return _runs(X[whole], scores[whole, -1], which[whole], told)


def _runs(X: FloatArray, y: FloatArray, run: Any = (), channels: Any = None) -> Runs:
    unknown = np.full(len(y), np.nan)
    return Runs(X, y, unknown, unknown, unknown, run=run, channels=channels or {})


# --- searches: each yields the mixture it would choose, after every step it takes -----------------

Search = Callable[[Told], Iterator[FloatArray]]


def ours(strategy: str, costs: Mapping[str, float]) -> Search:
    """One of this project's strategies with what it may spend on."""

    def search(told: Told) -> Iterator[FloatArray]:
        space, turn = told.world.space, 0
        nothing = np.empty((0, space.m))
        while True:
            runs = told.runs(costs)
            asked = propose(
                strategy, space, runs, nothing, BATCH, 1000 * told.seed + turn, costs=costs
            )
            for item in asked:
                if item.channel == MERGED:
                    told.price(item.weights)
                else:
                    told.run(item.weights, STEPS.index(item.cost))
            turn += 1
            yield recommend(strategy, space, told.runs(costs), told.seed).weights

    return search


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
        scores = told.run(weights, last)[: last + 1]
        rows.extend([*weights, share] for share in STEPS[: last + 1])
        values.extend(map(float, scores))

    for weights in [space.uniform, *space.sample(m, told.rng)]:
        measure(_runnable(space, weights), len(STEPS) - 1)
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
            mean, bounds[:, :m], 1, 4, 64, equality_constraints=sums, options={"maxiter": 50}
        )
        yield _runnable(space, chosen[0].numpy())
        gradient = qMultiFidelityKnowledgeGradient(
            model,
            num_fantasies=8,
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
            num_restarts=2,
            raw_samples=16,
            fixed_features_list=[{m: share} for share in STEPS],
            equality_constraints=sums,
            options={"maxiter": 20},
        )
        *weights, share = best[0].numpy()
        measure(
            _runnable(space, np.array(weights)),
            STEPS.index(min(STEPS, key=lambda s: abs(s - share))),
        )


def _runnable(space: MixtureSpace, weights: FloatArray) -> FloatArray:
    return weights if space.listed() is None else space.project(weights)


FULL = {TARGET: 1.0}
PRICES = {TARGET: 1.0, MERGED: MERGED_COST}
ALL = {**PRICES, HALF: 0.5}
OURS = "bayes-quadratic, merged"
TODAY = "auto"
SEARCHES: dict[str, Search] = {
    OURS: ours("bayes-quadratic", PRICES),
    "bayes-quadratic, all channels": ours("bayes-quadratic", ALL),
    "bayes-quadratic": ours("bayes-quadratic", FULL),
    TODAY: ours("auto", FULL),
    "asha": successive("asha"),
    "hyperband": successive("hyperband"),
    "regmix-proxies": regmix,
    "mf-kg": mf_kg,
}
PEERS = ("asha", "hyperband", "regmix-proxies", "mf-kg")


def main(
    only: Annotated[str, typer.Option(help="Searches, with semicolons; all if empty.")] = "",
    worlds: Annotated[str, typer.Option(help="Worlds, with semicolons; all if empty.")] = "",
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
    parallel: Annotated[int, typer.Option()] = 2,
) -> None:
    names = [name for name in only.split(";") if name] or list(SEARCHES)
    where = [name for name in worlds.split(";") if name] or list(WORLDS)
    units.compute("search_cost", search, _units(names, where), again=again, parallel=parallel)
    known = units.stored("search_cost")
    found = {key: known[key] for key in _units(SEARCHES, WORLDS) if key in known}
    draw(found)
    write_section("search_cost", report(found))


def _units(names: Iterable[str], where: Iterable[str]) -> dict[str, tuple[Any, ...]]:
    # Seeds outermost: what is stopped early is a smaller run of all of it.
    return {
        f"{place}/{name}/{seed}": (place, name, seed)
        for seed in range(SEEDS)
        for place in where
        for name in names
        if seed < SLOW.get(name, SEEDS)
    }


def search(place: str, name: str, seed: int) -> units.Figures:
    """One search: the regret of the chosen mixture after what was spent."""
    warnings.filterwarnings("ignore")
    told = Told(priced(place), np.random.default_rng([seed, 1]), seed)
    found = []
    for chosen in SEARCHES[name](told):
        found.append([round(told.spent, 3), told.world.regret(chosen)])
        if told.spent >= CAP:
            break
    return {"regret": found}


# --- report -----------------------------------------------------------------------------------


def needed(figures: units.Figures, within: float) -> float:
    """Cost until the chosen mixture is, and stays, that close to the best; infinite if never."""
    last = np.inf
    for cost, regret in reversed(figures["regret"]):
        if regret > within:
            break
        last = cost
    return float(last)


def _costs(found: Mapping[str, units.Figures], place: str, name: str, within: float) -> list[float]:
    keys = [f"{place}/{name}/{seed}" for seed in range(SEEDS)]
    return sorted(needed(found[key], within) for key in keys if key in found)


def _at(values: list[float], q: float) -> float:
    """The upper of the two neighbours of a quantile: infinities cannot be averaged."""
    return values[min(len(values) - 1, int(np.ceil(q * (len(values) - 1))))]


def _said(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.1f}"


def _cell(values: list[float]) -> str:
    if not values:
        return ""
    low, middle, high = (_said(_at(values, q)) for q in (0.25, 0.5, 0.75))
    return f"{middle} ({low} to {high}), {len(values)}"


def report(found: Mapping[str, units.Figures]) -> str:
    rho = ", ".join(f"{value:g}" for value in EARLY_RHO)
    parts = []
    for within in WITHIN:
        lines = [
            [name, *(_cell(_costs(found, place, name, within)) for place in WORLDS)]
            for name in SEARCHES
        ]
        parts.append(f"Within {within:.0%}:\n\n{table(['search', *WORLDS], lines)}")
    return f"""
Cost, in full runs, until the chosen mixture is, and from then on stays, within 1% or 5% of the best
(as a share of the range): median (quartiles) and number of seeds. "never" is more than {CAP:.0f}.
The offline world is the table of real runs in `bench/data/world`: a run is one of its mixture's
two, scores are Out-Scores, and how good a mixture is a Gaussian process of all runs says.
The others are emulators with made-up channels: earlier steps that carry over by {rho}, prices by
{MERGED_RHO}. A score at a quarter of the steps costs a quarter, a merged model {MERGED_COST} of a
run; its experts are full runs that the search pays for. "All channels" may buy prices and runs of
half the steps. A blank is a search that was not run there.

{chr(10).join(f"{part}{chr(10)}" for part in parts)}
![Regret of the chosen mixture by cost](images/search_cost.svg)

{_verdicts(found)}
"""


def _verdicts(found: Mapping[str, units.Figures]) -> str:
    said = []
    for within in WITHIN:
        for place in WORLDS:
            mine = _costs(found, place, OURS, within)
            others = {
                name: _at(values, 0.5)
                for name in (TODAY, *PEERS)
                if (values := _costs(found, place, name, within))
            }
            if not mine or not others:
                continue
            cost, name = _at(mine, 0.5), min(others, key=lambda name: others[name])
            said.append(
                f"- Within {within:.0%}, {place}: {_said(cost)} against {_said(others[name])} of "
                f"the best other, {name}: {_compared(cost, others[name])}."
            )
    return "Against today's `auto` and the best peer (the aim is half the cost):\n\n" + "\n".join(
        said
    )


def _compared(mine: float, other: float) -> str:
    if np.isinf(mine) or np.isinf(other):
        return "neither gets there" if mine == other else "LOST" if np.isinf(mine) else "it alone"
    said = f"{mine / other:.2f} of it"
    return said if mine <= other else f"LOST, {said}"


def draw(found: Mapping[str, units.Figures]) -> None:
    """Median regret by cost, a panel a world."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 4.2), layout="constrained")
    axes = figure.subplots(1, len(WORLDS))
    costs = np.arange(1, CAP + 1)
    for axis, place in zip(axes, WORLDS, strict=True):
        for name in SEARCHES:
            curves = [
                found[key]["regret"]
                for seed in range(SEEDS)
                if (key := f"{place}/{name}/{seed}") in found
            ]
            if not curves:
                continue
            middle = [np.median([_after(curve, cost) for curve in curves]) for cost in costs]
            style = {"linestyle": "--"} if name in PEERS else {"linewidth": 2.2}
            axis.plot(costs, np.maximum(middle, 1e-3), label=name, **style)
        axis.set(title=place, yscale="log", ylim=(8e-4, 1), xlabel="cost in full runs")
        for within in WITHIN:
            axis.axhline(within, color="grey", linewidth=0.8)
    axes[0].set(ylabel="regret, share of the range")
    axes[0].legend(fontsize=7)
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / "search_cost.svg")


def _after(curve: list[list[float]], cost: float) -> float:
    """Regret of what was chosen when so much had been spent; 1 before anything was."""
    return next((regret for spent, regret in reversed(curve) if spent <= cost), 1.0)


if __name__ == "__main__":
    typer.run(main)
