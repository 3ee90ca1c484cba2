"""Whole searches on real runs, by a service and two workers; what they chose is trained again.

`python -m bench.tiny_search [--only "auto, 24 runs"] [--seeds 1] [--repeats 3] [--again]`

Searches and re-runs are kept as they come. The report is of all that are kept.
"""

from __future__ import annotations

import json
import math
import re
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import numpy as np
import typer

from bench import intervals, tiny_corners, units
from bench.report import machine, table, write_section
from bench.tiny_spending import (
    HALF,
    SCORED_HALFWAY,
    STEPS,
    CpuTime,
    Kind,
    counted,
    is_part,
    is_run,
    spent,
)
from modomodo.errors import CommandFailed
from modomodo.local import LocalFleet
from modomodo.summary import mixture_text
from service.client import Client
from service.schemas import Score, StudyPatch, StudySpec, Trial
from service.schemas.spec import FULL, MERGED
from service.study import points
from service.study.headline import is_uniform
from trainer.job import Job
from trainer.recipe import Recipe
from trainer.tiny.study import study_spec
from trainer.tiny.world import DOMAIN_SIZES

RESULTS = "tiny_search"
FIRST_FRESH_SEED = 10_000
UNIFORM = dict.fromkeys(DOMAIN_SIZES, 1 / len(DOMAIN_SIZES))
BEST_RUN, BEST_PREDICTED = "best run", "best predicted"
LOOK_EVERY_S = 1.0

SEARCHES = {
    "modomodo, 24 runs": Kind("modomodo", (FULL,), 24),
    "auto, 24 runs": Kind("auto", (FULL,), 24),
    "all channels, 12 runs": Kind("bayes-quadratic", (FULL, f"step-{HALF}", MERGED), 12),
    "merged, 12 runs": Kind("bayes-quadratic", (FULL, MERGED), 12),
}
TODAY = "auto, 24 runs"


class Chosen(NamedTuple):
    """A mixture that a search would train with; `said` is what it knew of it, in points of 100."""

    search: str
    by: str
    mixture: dict[str, float]
    said: str

    @property
    def label(self) -> str:
        return f"{self.search}, {self.by}"


def main(
    only: Annotated[str, typer.Option(help="Searches, with semicolons; all if empty.")] = "",
    seeds: Annotated[int, typer.Option(help="Searches of each kind.")] = 1,
    repeats: Annotated[int, typer.Option(help="Runs of what was chosen.")] = 3,
    again: Annotated[bool, typer.Option(help="Search anew what is kept.")] = False,
) -> None:
    names = [name for name in only.split(";") if name] or list(SEARCHES)
    wanted = {f"search/{name}/{seed}": (name, seed) for seed in range(seeds) for name in names}
    # One after the other: each has two workers.
    units.compute(RESULTS, search, wanted, again=again, parallel=1)
    searches = kept_searches(units.stored(RESULTS))
    chosen = [item for name, found in searches.items() for item in choose(name, found)]
    fresh = range(FIRST_FRESH_SEED, FIRST_FRESH_SEED + repeats)
    mixtures = {"uniform": UNIFORM, **{item.label: item.mixture for item in chosen}}
    trained = trained_as(mixtures)
    reruns = {
        f"rerun/{label}/{seed}": (mixtures[label], seed)
        for label in dict.fromkeys(trained.values())
        for seed in fresh
    }
    scored = units.compute(RESULTS, rerun, reruns)
    values = scores_of(trained, scored, fresh)
    cpu_s = [figures["cpu_s"] for figures in scored.values() if "cpu_s" in figures]
    write_section(RESULTS, report(searches, chosen, values, cpu_s))


def kept_searches(known: Mapping[str, units.Figures]) -> dict[str, units.Figures]:
    """By name, those of a kind together and numbered from the second on."""
    found = {}
    for name in SEARCHES:
        of_kind = {key: known[key] for key in sorted(known) if key.startswith(f"search/{name}/")}
        for place, figures in enumerate(of_kind.values(), 1):
            found[name if place == 1 else f"{name}, search {place}"] = figures
    return found


# --- a search ---------------------------------------------------------------------------------


def search(name: str, seed: int) -> units.Figures:
    """One search: its trials, what its surrogate recommends, and what it spent."""
    kind, started = SEARCHES[name], time.monotonic()
    spec = study_spec(
        "tiny-search",
        recipe=kind.recipe,
        budget=math.floor(kind.budget / kind.a_run),
        strategy=kind.strategy,
        seed=seed,
        channels=kind.channels,
    )
    with (
        tempfile.TemporaryDirectory() as folder,
        LocalFleet(Path(folder), port=0, keeps_runs=len(kind.channels) > 1) as fleet,
        Client(fleet.url) as client,
    ):
        client.create_study(spec)
        fleet.start_workers(2, spec.name)
        cpu = CpuTime()
        trials: list[Trial] = []
        while fleet.check():
            time.sleep(LOOK_EVERY_S)
            cpu.look()
            trials = _look(client, spec, kind, trials)
        if client.study(spec.name).state != "finished":
            raise CommandFailed(f"{name}: the workers ended before the search; see {folder}")
        recommended = client.best(spec.name).predicted
        assert recommended
        return {
            "trials": [trial.model_dump(mode="json", exclude={"artifacts"}) for trial in trials],
            "recommended": recommended.model_dump(mode="json"),
            "hours": client.cost(spec.name).trials,
            "seconds": time.monotonic() - started,
            "cpu_s": {"workers": cpu.of("worker"), "service": cpu.of("serve")},
        }


def _look(client: Client, spec: StudySpec, kind: Kind, before: list[Trial]) -> list[Trial]:
    """The trials now; what prices and parts of runs cost is taken off the budget, which counts
    runs."""
    trials = client.trials(spec.name)
    if [trial.state for trial in trials] == [trial.state for trial in before]:
        return trials
    used = spent(trials, client.cost(spec.name).trials, kind)
    print(f"{len(trials)} trials, {used:.1f} runs' worth spent", flush=True)
    left = math.floor(counted(trials) + (kind.budget - used) / kind.a_run)
    study = client.study(spec.name)
    if len(kind.channels) > 1 and 1 <= left < study.budget and study.state == "active":
        client.patch_study(spec.name, StudyPatch(budget=left))
    return trials


# --- what was chosen --------------------------------------------------------------------------


def choose(name: str, found: units.Figures) -> list[Chosen]:
    """What a search would train with: its best run, and its surrogate's best mixture."""
    best = max(filter(is_run, _trials(found)), key=_objective)
    expected = found["recommended"]
    said = f"{points.score(expected['mean'], expected['sd'])} predicted"
    return [
        Chosen(name, BEST_RUN, best.mixture, _scored(best)),
        Chosen(name, BEST_PREDICTED, expected["weights"], said),
    ]


def _trials(found: units.Figures) -> list[Trial]:
    whole = [{"artifacts": {}, **trial} for trial in found["trials"]]
    return [Trial.model_validate_json(json.dumps(trial)) for trial in whole]


def _objective(trial: Trial) -> float:
    assert trial.scores.objective
    return trial.scores.objective.value


def _scored(trial: Trial) -> str:
    return f"{100 * _objective(trial):.1f}"


def trained_as(mixtures: Mapping[str, dict[str, float]]) -> dict[str, str]:
    """By label, the first of the same mixture: what two searches chose alike is trained once."""
    first: dict[tuple[float, ...], str] = {}
    return {
        label: first.setdefault(tuple(mixture.values()), label)
        for label, mixture in mixtures.items()
    }


def scores_of(
    trained: Mapping[str, str], scored: Mapping[str, units.Figures], fresh: Iterable[int]
) -> dict[str, list[Score]]:
    """Objectives of the re-runs, by label."""
    return {
        label: [Score(**scored[f"rerun/{first}/{seed}"]["objective"]) for seed in fresh]
        for label, first in trained.items()
    }


def rerun(mixture: dict[str, float], seed: int) -> units.Figures:
    """The objective of a whole run."""
    from trainer.run.run import train_and_score  # with torch

    began = time.process_time()
    outcome = train_and_score(Job(mixture, Recipe(), seed))
    spec = study_spec("tiny-search", recipe=Recipe(), budget=1)
    objective = spec.scores(outcome.measurements).objective
    assert objective
    return {"objective": objective.model_dump(), "cpu_s": time.process_time() - began}


# --- report -----------------------------------------------------------------------------------


def report(
    searches: Mapping[str, units.Figures],
    chosen: Sequence[Chosen],
    reruns: Mapping[str, Sequence[Score]],
    cpu_s: Sequence[float],
) -> str:
    """Args:
    cpu_s: of whole runs alone.
    """
    uniform = _points(reruns["uniform"])
    first = next(trial for trial in _trials(next(iter(searches.values()))) if _is_uniform(trial))
    rows = [["uniform", mixture_text(UNIFORM), _scored(first), intervals.mean(uniform), ""]]
    for item in chosen:
        mine = _points(reruns[item.label])
        scores = [intervals.mean(mine), intervals.gain(mine, uniform)]
        rows.append([item.label, mixture_text(item.mixture), item.said, *scores])
    repeats = f"re-run, {len(uniform)} fresh seeds"
    head = ["", "mixture", "Out-Score in the search", repeats, "over uniform"]
    spending = ["search", "spent, in runs", "runs", "parts", "prices", "minutes", "CPU-minutes"]
    return f"""
Searches by two workers. "Spent" is all that the workers computed, in whole runs of the recipe: the
24-run searches count runs, whatever these took. Of the others, which may buy what is cheaper, each
trial counts with the time that it held its worker, against a run of the same search; one that is
scored at half its steps, too, is {SCORED_HALFWAY} runs. Experts are whole runs, the first price
includes finding how far to scale, and what prices cost is taken off the budget of runs.
`bayes-quadratic` with all channels may train to step {HALF} of {STEPS} and continue, and price
merged models; of the strategies it is the one whose search with all channels
[was tried](#what-finding-a-good-mixture-costs) on the table of real runs, and with whole runs alone
it is ahead of `auto` there after 12. The machine was shared, so CPU-minutes tell more than minutes:
those of the workers and, behind, of the service; a re-run took {np.mean(cpu_s) / 60:.2f}. Of the
24-run searches they were not measured.

{table(spending, [_spending(name, found) for name, found in searches.items()])}

Out-Score in points of 100. "Best run" is picked by the score seen in the search, so that score
flatters it; "best predicted" is the surrogate's choice with what it predicts. Then both are run
again with seeds the search never saw. ± is a 95% interval, of re-runs by Student's t.

{table(head, rows)}

{verdict(chosen, reruns)}

{tiny_corners.report({name: _trials(found) for name, found in searches.items()})}

Made on {machine()}.
"""


def _is_uniform(trial: Trial) -> bool:
    return is_run(trial) and is_uniform(trial.mixture)


def _spending(name: str, found: units.Figures) -> list[str]:
    trials, kind = _trials(found), SEARCHES[_kind_of(name)]
    runs, parts = sum(map(is_run, trials)), sum(map(is_part, trials))
    prices = sum(trial.channel == MERGED and trial.state == "completed" for trial in trials)
    used, cpu = f"{runs}", ""
    if "hours" in found:
        hours = {int(number): spent for number, spent in found["hours"].items()}
        used = f"{spent(trials, hours, kind):.1f}"
        cpu = " + ".join(f"{found['cpu_s'][who] / 60:.1f}" for who in ("workers", "service"))
    minutes = f"{found['seconds'] / 60:.1f}"
    return [name, used, *(f"{n}" for n in (runs, parts, prices)), minutes, cpu]


def _kind_of(name: str) -> str:
    return re.sub(r", search \d+$", "", name)


def verdict(chosen: Sequence[Chosen], reruns: Mapping[str, Sequence[Score]]) -> str:
    """Against the aim: with half the compute as good as `auto` with all of it."""
    uniform = _points(reruns["uniform"])

    def of(kind: str) -> intervals.Values | None:
        """All re-runs of what searches of a kind predicted to be best."""
        mine = [item for item in chosen if _kind_of(item.search) == kind]
        labels = [item.label for item in mine if item.by == BEST_PREDICTED]
        return np.concatenate([_points(reruns[label]) for label in labels]) if labels else None

    today = of(TODAY)
    said = []
    for kind, how in SEARCHES.items():
        mine = of(kind)
        if how.budget >= SEARCHES[TODAY].budget or mine is None or today is None:
            continue
        low, high = intervals.difference(mine, today)
        said.append(
            f"- {kind}: {intervals.gain(mine, uniform)} over uniform, against "
            f"{intervals.gain(today, uniform)} of {TODAY}; the difference is "
            f"{intervals.gain(mine, today)}: {_in_words(mine.mean() - today.mean(), low, high)}."
        )
    return (
        "The aim is to be as good with 12 runs' worth as `auto` was with 24, by the re-runs of\n"
        "what was predicted to be best (of several searches of a kind those of all, taken as\n"
        "independent):\n\n" + "\n".join(said)
    )


def _in_words(difference: float, low: float, high: float) -> str:
    if low > 0:
        return "better with half of the compute"
    if high < 0:
        return "LOST, worse with half of the compute"
    if difference >= 0:
        return "the aim is met as far as so few re-runs tell"
    return "less, by an amount that so few re-runs do not tell from nothing"


def _points(scores: Sequence[Score]) -> intervals.Values:
    return 100 * np.array([score.value for score in scores])


if __name__ == "__main__":
    typer.run(main)
