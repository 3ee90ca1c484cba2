"""What a search that is kept saves when a domain comes to it, against starting over; and what it
makes of being told what that domain is like.

`python -m bench.living [--seeds 10] [--again]`
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import product
from typing import Annotated, NamedTuple

import numpy as np
import typer

from bench import units
from bench.competitors import competitor
from bench.intervals import upper_quantile
from bench.report import table, write_section
from bench.truths import NOISE, RANGE, truth
from service.search.counts import counted
from service.search.health import as_one
from service.search.runs import Runs
from service.search.similarity import Similarity, trust_of
from service.search.space import FloatArray, MixtureSpace
from service.search.surrogates import fit

SEEDS = 10
BEFORE = 12
"""Runs before the domain comes."""
CAP = 20
"""Runs after that, at most."""
WITHIN = 0.05
"""Share of the range that counts as good."""
STRATEGY = "bayes-quadratic"
TRUTHS = ("quadratic-5", "root-5", "ridge-5")
ALIKE = 0.9
"""What is said of two domains, rightly or wrongly."""
NEAR = NOISE / 2
"""By how much a mixture of a near copy alone scores more than one of the domain itself."""
EARLY = 10
"""Runs over which the regret is averaged: one poor choice late does not decide it."""
LOOKED = 4
"""After every so many runs it is asked what a fit says of the similarity."""

KEPT, ANEW = "the study goes on", "started over"
TOLD, MISLED = "goes on, told what it is like", "goes on, told wrongly"
COMES, REPLACED, COPIED = "comes", "replaced", "copied"
ARMS = {COMES: (KEPT, MISLED, ANEW), REPLACED: (KEPT, TOLD, ANEW), COPIED: (TOLD,)}


def main(
    seeds: Annotated[int, typer.Option(help="Searches of each kind.")] = SEEDS,
    again: Annotated[bool, typer.Option(help="Compute stored figures anew.")] = False,
) -> None:
    wanted = {
        f"{place}/{story}/{how}/{seed}": (place, story, how, seed)
        for seed, place, story in product(range(seeds), TRUTHS, ARMS)
        for how in ARMS[story]
    }
    found = units.compute("living", search, wanted, again=again)
    write_section("living", report(found, seeds))


Score = Callable[[FloatArray], FloatArray]


@dataclass(frozen=True, eq=False)
class Story:
    """What happens to a study.

    Attributes:
        before, after: the mixtures it may run, over the same domains.
        score: of these mixtures (k, m).
        anew, score_anew: the same afterwards for who starts over, without domains that are gone.
        best: the highest score there is afterwards.
        said: the domain that comes, and the one that it may be said to be like.
    """

    before: MixtureSpace
    after: MixtureSpace
    score: Score
    anew: MixtureSpace
    score_anew: Score
    best: float
    said: tuple[int, int]


@cache
def story(place: str, kind: str) -> Story:
    """A domain `comes` of which the best mixture has most, as unlike as any to the one that it may
    be said to be like; that domain is `replaced` by a near copy; or is joined by an exact copy
    (`copied`)."""
    of = truth(place)
    rng = np.random.default_rng(0)
    best = of.space.maximise(of.score, rng, also=of.space.uniform[None])
    most, m = int(np.argmax(best)), of.space.m
    if kind == COMES:
        alone = of.score(np.eye(m))
        alone[most] = np.inf
        without = _space(of.space.domains, most)
        said = most, int(np.argmin(alone))
        return Story(without, of.space, of.score, of.space, of.score, of.best, said)
    extra = NEAR if kind == REPLACED else 0.0

    def score(X: FloatArray) -> FloatArray:
        """Of the domains and the copy behind them."""
        whole = X[:, :m].copy()
        whole[:, most] += X[:, m]
        values: FloatArray = of.score(whole) + extra * X[:, m]
        return values

    def in_its_place(X: FloatArray) -> FloatArray:
        values: FloatArray = of.score(X) + extra * X[:, most]
        return values

    names = (*of.space.domains, "copy")
    after = _space(names, most if kind == REPLACED else None)
    highest = of.space.maximise(in_its_place, rng, also=best[None])
    return Story(
        _space(names, m),
        after,
        score,
        of.space,
        in_its_place,
        float(in_its_place(highest[None])[0]),
        (m, most),
    )


def _space(domains: tuple[str, ...], without: int | None) -> MixtureSpace:
    upper = np.array([float(i != without) for i in range(len(domains))])
    return MixtureSpace(domains, np.zeros(len(upper)), upper)


def search(place: str, kind: str, how: str, seed: int) -> units.Figures:
    """One search: by the number of runs since the domain came, the regret of the chosen mixture,
    and where something is said how far it is trusted and whether the two are found to be one.

    Studies that go on have had `BEFORE` runs; who starts over knows none.
    """
    warnings.filterwarnings("ignore")
    of, who, rng = story(place, kind), competitor(STRATEGY), np.random.default_rng([seed, 2])
    before, space, score, n_before = of.before, of.after, of.score, BEFORE
    if how == ANEW:
        space, score, n_before = of.anew, of.score_anew, 0
    if how in (TOLD, MISLED):
        new, other = (space.domains[i] for i in of.said)
        space = replace(space, similarity=Similarity.of(space.domains, {(new, other): ALIKE}))
    X, y = np.empty((0, space.m)), np.empty(0)
    figures: dict[str, dict[str, float]] = {"regret": {}, "trust": {}, "is_one": {}}
    for n in range(1, n_before + CAP + 1):
        now = before if n <= n_before else space
        (mixture,) = who.ask(now, _runs(X, y), 1, 1000 * seed + n)
        X, y = np.vstack([X, mixture]), np.append(y, score(mixture[None]) + NOISE * rng.normal())
        since = n - n_before
        if since < 1:
            continue
        chosen = who.choose(space, _runs(X, y), seed)
        figures["regret"][str(since)] = (of.best - float(score(chosen[None])[0])) / RANGE
        if space.similarity is not None and since % LOOKED == 0:
            fitted = fit(STRATEGY, space, _runs(X, y), seed)
            if fitted.trust is not None:
                figures["trust"][str(since)] = trust_of(fitted.trust).mean
            figures["is_one"][str(since)] = float(bool(as_one(space, space.similarity, fitted)))
    return figures


def _runs(X: FloatArray, y: FloatArray) -> Runs:
    nothing = np.full(len(y), np.nan)
    return Runs(X, y, np.full(len(y), NOISE), nothing, nothing)


def needed(figures: units.Figures) -> float:
    """Runs since the domain came until the chosen mixture is, and stays, good; else infinite."""
    last = np.inf
    for n in sorted(map(int, figures["regret"]), reverse=True):
        if figures["regret"][str(n)] > WITHIN:
            break
        last = n
    return last


def early(searches: Sequence[units.Figures]) -> float:
    """Mean regret of the chosen mixtures over the first `EARLY` runs since the domain came."""
    return float(
        np.mean([[one["regret"][str(n)] for n in range(1, EARLY + 1)] for one in searches])
    )


def until_one(figures: units.Figures) -> float:
    """Runs until the two domains are first said to be one; else infinite."""
    found = [int(n) for n, is_one in figures["is_one"].items() if is_one]
    return min(found, default=np.inf)


class _Cell(NamedTuple):
    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> _Cell:
        ordered = sorted(values)
        return cls(*(upper_quantile(ordered, q) for q in (0.25, 0.5, 0.75)))

    def __str__(self) -> str:
        return f"{_said(self.middle)} ({_said(self.low)} to {_said(self.high)})"


def report(found: Mapping[str, units.Figures], seeds: int) -> str:
    def of(place: str, kind: str, how: str) -> list[units.Figures]:
        return [found[f"{place}/{kind}/{how}/{seed}"] for seed in range(seeds)]

    def runs(kind: str) -> tuple[str, list[dict[str, _Cell]]]:
        each = [
            {how: _Cell.of(map(needed, of(p, kind, how))) for how in ARMS[kind]} for p in TRUTHS
        ]
        rows = [
            [p, *(f"{cell}; {early(of(p, kind, how)):.1%}" for how, cell in cells.items())]
            for p, cells in zip(TRUTHS, each, strict=True)
        ]
        return table(["truth", *ARMS[kind]], rows), each

    def trust(place: str, kind: str, how: str) -> str:
        last = [figures["trust"][str(CAP)] for figures in of(place, kind, how)]
        return f"{np.median(last):.2f}"

    comes, of_comes = runs(COMES)
    replaced, of_replaced = runs(REPLACED)
    names = list(zip(TRUTHS, of_comes, of_replaced, strict=True))
    aims = [f"- {place}: {_verdict(one[KEPT].middle, one[ANEW].middle)}" for place, one, _ in names]
    told = [
        f"- {place}: {_verdict(one[TOLD].middle, one[ANEW].middle)} Not told, "
        f"{_said(one[KEPT].middle)}."
        for place, _, one in names
    ]
    ones = []
    for place in TRUTHS:
        right, wrong = (
            [until_one(figures) for figures in of(place, kind, how)]
            for kind, how in ((COPIED, TOLD), (COMES, MISLED))
        )
        ones.append(
            [
                place,
                f"{np.isfinite(right).sum()} of {seeds}",
                str(_Cell.of(right)),
                f"{np.isfinite(wrong).sum()} of {seeds}",
                trust(place, COPIED, TOLD),
                trust(place, REPLACED, TOLD),
                trust(place, COMES, MISLED),
            ]
        )
    head = ["truth", "found", "after runs", "wrongly found", "copy", "near copy", "told wrongly"]
    return f"""
A search by `{STRATEGY}`, one run at a time, has had {BEFORE} runs over four domains when a fifth
comes: the one that the best mixture has most of. Runs from then on until the chosen mixture is,
and stays, within {WITHIN:.0%} of the best (of the range that uniform mixtures span): median over
{seeds} seeds (quartiles), "never" means more than {CAP}; behind it by how much of the range the
chosen mixture is below the best, over the first {EARLY} runs on average. The study that goes on
was edited, and knows its old runs, which have weight 0 on the new domain; the other knows nothing.
*Told wrongly* is a study which says that the new domain is like the worst one there is, by
{ALIKE:g}.

{comes}

The aim is half the runs of starting over:

{chr(10).join(aims)}

**A domain is replaced by a near copy.** After {BEFORE} runs over five domains the one that the
best mixture has most of is gone, and another stands in its place, a mixture of which alone scores
{NEAR:g} points more, half of one run's noise. *Told* is a study which says that the two are alike,
by {ALIKE:g}.

{replaced}

{chr(10).join(told)}

**A copy of a domain under another name.** After {BEFORE} runs over five domains an exact copy comes
beside the one that the best mixture has most of, and is said to be like it, by {ALIKE:g}. A fit
says that two domains are as good as one where equal weights without the one surely score what
those without the other do, or what differs is lost in one run's noise: in how many of {seeds}
searches it does within {CAP} runs, asked after every {LOOKED}, and in how many of those above that
were told wrongly. Behind it the trust in what was said, from 0 to 1, after {CAP} runs (median).

{table(head, ones)}
"""


def _said(value: float) -> str:
    return "never" if np.isinf(value) else f"{value:.0f}"


def _verdict(kept: float, anew: float) -> str:
    if np.isinf(kept) and np.isinf(anew):
        return "neither gets there."
    if np.isinf(kept):
        return f"LOST: the study that goes on does not get there, {_said(anew)} runs started over."
    if np.isinf(anew):
        return f"{counted(round(kept), 'run')}, and started over it does not get there."
    start = "" if kept <= anew / 2 else "MISSED: "
    return f"{start}{counted(round(kept), 'run')} for {anew:.0f}, {kept / anew:.2f} of them."


if __name__ == "__main__":
    typer.run(main)
