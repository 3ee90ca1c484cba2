"""How well surrogates foresee real runs they have not seen, and how well they know it.

`python -m bench.surrogates [--only gp,auto] [--again]`
"""

from __future__ import annotations

import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Annotated, Any

import numpy as np
import scipy
import typer

from bench import units
from bench.regmix import TARGETS, load
from bench.report import IMAGES, table, write_section
from service.search import gaussian, intervals
from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import fit

TABLES = {"1M": ("train_1m", "test_1m"), "60M": ("test_60m", None), "1B": ("test_1B", None)}
"""Where runs are fitted, and where predictions are tested: the rest of the same table if None."""
SIZES = (16, 32, 64, 128)
DRAWS = 5
LEAST_TESTED = 20
OURS = ("auto", "bayes-quadratic", "gp")
PEERS = ("quadsurface", "log-linear", "lightgbm", "botorch default", "ax")
GOALS = {32: 0.89, 64: 0.94, 128: 0.95}
"""Least mean Spearman of `auto` on 1M."""
COVERAGE = (0.85, 0.95)
WORSE = 0.03

Predictions = tuple[FloatArray, FloatArray]


def main(
    only: Annotated[str, typer.Option(help="Surrogates, with commas; all if empty.")] = "",
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
) -> None:
    named = [name for name in only.split(",") if name] or [*OURS, *PEERS]
    todo = _units(named)
    units.compute("surrogates", measure, todo, again=again)
    known = units.stored("surrogates")
    found = {key: known[key] for key in _units([*OURS, *PEERS]) if key in known}
    rows = summarise(found)
    draw(rows)
    write_section("surrogates", report(rows))


def _units(names: list[str]) -> dict[str, tuple[Any, ...]]:
    return {
        f"{part}/{n}/{draw}/{target}/{name}": (part, n, draw, target, name)
        for part, (train, test) in TABLES.items()
        for n in SIZES
        if test is not None or len(load(train).weights) - n >= LEAST_TESTED
        for draw in range(DRAWS)
        for target in TARGETS
        for name in names
    }


def measure(part: str, n: int, draw: int, target: str, name: str) -> units.Figures:
    """One surrogate fitted to one draw of runs, tested on the runs it has not seen."""
    warnings.filterwarnings("ignore")
    train, test = (None if t is None else load(t) for t in TABLES[part])
    assert train is not None
    order = np.random.default_rng([n, draw]).permutation(len(train.weights))
    X, y = train.weights[order[:n]], train.losses[target][order[:n]]
    if test is None:
        new, actual = train.weights[order[n:]], train.losses[target][order[n:]]
    else:
        new, actual = test.weights, test.losses[target]
    start = time.perf_counter()
    mean, sd = MODELS.get(name, _ours(name))(X, y, new)
    seconds = time.perf_counter() - start
    off = actual - mean
    return {
        "spearman": float(scipy.stats.spearmanr(mean, actual).statistic),
        "r2": float(1 - (off**2).mean() / actual.var()),
        "coverage": float((np.abs(off) <= intervals.Z90 * sd).mean()),
        # Of the loss in units of its spread over the tested runs, so that tables compare.
        "nlpd": float(-gaussian.log_density(actual, mean, sd**2).mean() - np.log(actual.std())),
        "seconds": seconds,
    }


def _ours(name: str) -> Callable[[FloatArray, FloatArray, FloatArray], Predictions]:
    def predicted(X: FloatArray, y: FloatArray, new: FloatArray) -> Predictions:
        space = MixtureSpace.simplex([f"d{i}" for i in range(X.shape[1])])
        nothing = np.full(len(y), np.nan)
        # Higher is better inside.
        fitted = fit(name, space, Runs(X, -y, nothing, nothing, nothing), seed=0)
        mean, sd = fitted.predict(new, noisy=True)
        return -mean, sd

    return predicted


def _botorch(X: FloatArray, y: FloatArray, new: FloatArray) -> Predictions:
    """SingleTaskGP as it comes: its own kernel, priors and standardisation."""
    import torch
    from botorch.fit import fit_gpytorch_mll
    from botorch.models import SingleTaskGP
    from gpytorch.mlls import ExactMarginalLogLikelihood

    torch.manual_seed(0)
    model = SingleTaskGP(torch.tensor(X), torch.tensor(y)[:, None])
    fit_gpytorch_mll(ExactMarginalLogLikelihood(model.likelihood, model))
    belief = model.posterior(torch.tensor(new), observation_noise=True)
    mean, variance = belief.mean.detach().numpy()[:, 0], belief.variance.detach().numpy()[:, 0]
    return mean, np.sqrt(variance)


def _ax(X: FloatArray, y: FloatArray, new: FloatArray) -> Predictions:
    """Ax's default model behind its Client, over all weights but the last, in a plain box.

    It predicts without the noise of a run and does not tell how large that is.
    """
    from ax.api.client import Client
    from ax.api.configs import RangeParameterConfig

    from service.search import ax

    free = list(range(X.shape[1] - 1))
    with ax.quiet():
        client = Client(random_seed=0)
        client.configure_experiment(
            parameters=[
                RangeParameterConfig(name=f"w{i}", parameter_type="float", bounds=(0.0, 1.0))
                for i in free
            ]
        )
        client.configure_optimization(objective="score")
        for weights, score in zip(X, y, strict=True):
            trial = client.attach_trial(ax.parameters(weights, free))
            client.complete_trial(trial, raw_data={"score": -float(score)})
        for _ in range(2):  # the first it draws at random, for the second it fits its model
            client.get_next_trials(max_trials=1)
        told = client.predict([ax.parameters(weights, free) for weights in new])
    means, sems = np.array([point["score"] for point in told]).T
    return -means, np.maximum(sems, 1e-9)


MODELS: dict[str, Callable[[FloatArray, FloatArray, FloatArray], Predictions]] = {
    "botorch default": _botorch,
    "ax": _ax,
}


# --- report -----------------------------------------------------------------------------------

Rows = dict[tuple[str, int, str], units.Figures]


def summarise(found: Mapping[str, units.Figures]) -> Rows:
    """Means over draws and targets, by table, size and surrogate."""
    groups: dict[tuple[str, int, str], list[units.Figures]] = defaultdict(list)
    for key, figures in found.items():
        part, n, _, _, name = key.split("/")
        groups[part, int(n), name].append(figures)
    return {
        key: {figure: float(np.mean([each[figure] for each in group])) for figure in group[0]}
        for key, group in groups.items()
    }


def report(rows: Rows) -> str:
    return f"""
Fitted to n real runs of RegMix (17 domains), tested on runs not seen: means over {DRAWS} draws and
the targets {" and ".join(TARGETS)}. `auto` is what the search uses.

Rank correlation (Spearman) of predictions with results:

{_table(rows, "spearman", "{:.2f}")}

Share of results inside the 90% interval (Ax tells no observation noise, so its intervals are too
narrow by that):

{_table(rows, "coverage", "{:.2f}")}

Mean negative log density, in units of the results' spread (lower is better):

{_table(rows, "nlpd", "{:.2f}")}

Seconds to fit and predict:

{_table(rows, "seconds", "{:.2f}")}

![Rank correlation and coverage against the number of runs](images/surrogates.svg)

{_verdicts(rows)}
"""


def _table(rows: Rows, figure: str, form: str) -> str:
    names = [*OURS, *PEERS]
    places = sorted({(part, n) for part, n, _ in rows}, key=lambda x: (list(TABLES).index(x[0]), x))
    lines = []
    for part, n in places:
        cells = [rows.get((part, n, name)) for name in names]
        lines.append(
            [f"{part}, n = {n}", *("" if c is None else form.format(c[figure]) for c in cells)]
        )
    return table(["runs", *names], lines)


def _verdicts(rows: Rows) -> str:
    auto = {(part, n): figures for (part, n, name), figures in rows.items() if name == "auto"}
    said = []
    for n, goal in GOALS.items():
        reached = auto["1M", n]["spearman"]
        said.append(f"- 1M, n = {n}: Spearman {reached:.3f}, {_met(reached >= goal)} {goal}.")
    covers = [figures["coverage"] for figures in auto.values()]
    is_within = COVERAGE[0] <= min(covers) and max(covers) <= COVERAGE[1]
    said.append(
        f"- Coverage from {min(covers):.3f} to {max(covers):.3f} over all tables and sizes, "
        f"{_met(is_within)} {COVERAGE[0]} to {COVERAGE[1]}."
    )
    behind = {
        (part, n, name): figures["spearman"] - auto[part, n]["spearman"]
        for (part, n, name), figures in rows.items()
        if name in PEERS
    }
    part, n, name = max(behind, key=lambda key: behind[key])
    lead = behind[part, n, name]
    how = f"{lead:.3f} ahead of" if lead > 0 else f"{-lead:.3f} behind"
    said.append(
        f"- The closest peer anywhere: {name}, {part}, n = {n}, is {how} `auto`; "
        f"{_met(lead <= WORSE)} at most {WORSE} ahead."
    )
    return "\n".join(said)


def _met(is_met: bool) -> str:
    return "which meets the goal of" if is_met else "which MISSES the goal of"


def draw(rows: Rows) -> None:
    """Small multiples: a column a table, rank correlation above, coverage below."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 6), layout="constrained")
    axes = figure.subplots(2, len(TABLES), sharex=True, sharey="row")
    for column, part in enumerate(TABLES):
        for name in (*OURS, *PEERS):
            sizes = [n for n in SIZES if (part, n, name) in rows]
            style = {"linewidth": 2.2} if name in OURS else {"linewidth": 1, "linestyle": "--"}
            for row, what in enumerate(("spearman", "coverage")):
                values = [rows[part, n, name][what] for n in sizes]
                axes[row, column].plot(sizes, values, marker="o", markersize=3, label=name, **style)
        axes[0, column].set(title=part, xscale="log", xticks=SIZES, xticklabels=SIZES)
        axes[1, column].axhspan(*COVERAGE, color="green", alpha=0.12)
        axes[1, column].set(xlabel="runs fitted")
    axes[0, 0].set(ylabel="Spearman, runs not seen", ylim=(0.2, 1))
    axes[1, 0].set(ylabel="inside the 90% interval", ylim=(0, 1))
    axes[0, -1].legend(fontsize=8, loc="lower right")
    IMAGES.mkdir(parents=True, exist_ok=True)
    figure.savefig(IMAGES / "surrogates.svg")


if __name__ == "__main__":
    typer.run(main)
