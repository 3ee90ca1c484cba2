"""What searches by real runs spent on a single domain at 100%, and what these runs were worth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from bench.report import table
from bench.tiny_spending import is_run
from service.schemas import Trial
from service.search.runs import Runs
from service.search.space import MixtureSpace
from service.search.strategies import recommend
from service.search.surrogates import fit
from service.study.merge_readiness import alone
from service.study.points import margin
from trainer.tiny.world import DOMAIN_SIZES

SPACE = MixtureSpace.simplex(tuple(DOMAIN_SIZES))
BY = "bayes-quadratic"


def is_wanted(trial: Trial) -> bool:
    """Whether a surrogate proposed a domain alone: no opening did, and no merged model needs it."""
    said = trial.proposal is not None and trial.proposal.mean is not None
    return said and is_run(trial) and alone(trial.mixture) is not None


def report(searches: Mapping[str, Sequence[Trial]]) -> str:
    """By search, its trials."""
    head = [
        *("search", "domains alone", "by a surrogate", "choice differs by"),
        *("worth, points", "± with", "± without"),
    ]
    rows = [[name, *_row([t for t in trials if is_run(t)])] for name, trials in searches.items()]
    return f"""**Runs of a single domain**, at 100%, among the whole runs, and those of them that a
surrogate proposed: no opening and no merged model needed them. Without the latter `{BY}`, fitted
to the other whole runs, would choose another mixture by so much of the samples. That is as much
worse as they were worth, by the fit to all runs; ± is the 95% interval of the choice with them and
without.

{table(head, rows)}"""


def _row(runs: Sequence[Trial]) -> list[str]:
    n_alone = sum(alone(trial.mixture) is not None for trial in runs)
    others = [trial for trial in runs if not is_wanted(trial)]
    n_wanted = len(runs) - len(others)
    if not n_wanted:
        return [f"{n_alone}", "0", *[""] * 4]
    with_them, without = _known(runs), _known(others)
    first, second = (recommend(BY, SPACE, known, 0).weights for known in (with_them, without))
    fitted = fit(BY, SPACE, with_them, 0)
    (mean, other), (sd, _) = fitted.predict(np.array([first, second]))
    _, (less,) = fit(BY, SPACE, without, 0).predict(first[None])
    moved = float(np.abs(first - second).sum()) / 2
    worth = f"{100 * (mean - other):.1f}"
    return [f"{n_alone}", f"{n_wanted}", f"{100 * moved:.0f}%", worth, margin(sd), margin(less)]


def _known(trials: Sequence[Trial]) -> Runs:
    scores = [trial.scores.objective for trial in trials]
    assert all(scores)
    unknown = np.full(len(trials), np.nan)
    return Runs(
        np.array([[trial.mixture[name] for name in DOMAIN_SIZES] for trial in trials]),
        np.array([score.value for score in scores if score]),
        np.array([score.se for score in scores if score]),
        unknown,
        unknown,
    )
