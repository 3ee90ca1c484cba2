"""Ax's Client with its own default strategy, the baseline: made anew from our runs each time.

Ax 1.x takes no equality, so m - 1 weights are free, sum to at most 1, and the last is what is left
(a hidden weight that Ax's priors treat unlike the others). Ax keeps nothing: our runs are attached
as completed trials, mixtures on their way as running ones.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from ax.api.client import Client
from ax.api.configs import RangeParameterConfig
from ax.exceptions.core import DataRequiredError

from service.search.runs import Runs
from service.search.space import FloatArray, MixtureSpace


def suggestions(
    space: MixtureSpace, runs: Runs, pending: FloatArray, seed: int
) -> Iterator[FloatArray]:
    """(m,) mixtures without end, each as if those before it were running.

    Bounds and linear limits are Ax's own constraints; the rest of the space is reached by moving
    to the nearest feasible mixture. Higher scores are better.
    """
    free, last, rest = _parts(space)
    if space.dimension == 0 or not free:
        return
    client = client_of(space, runs, pending, seed)
    while True:
        try:
            with quiet():
                trials = client.get_next_trials(max_trials=1)
        except DataRequiredError:  # its random start is over, and too little is scored for more
            return
        if not trials:
            return
        for proposed in trials.values():
            weights = np.array(space.lower)
            weights[free] = [float(proposed[f"w{i}"]) for i in free]
            weights[last] = rest - weights[free].sum()
            yield space.project(weights)


def client_of(space: MixtureSpace, runs: Runs, pending: FloatArray, seed: int) -> Client:
    """Ax, told all runs as completed trials and all pending mixtures as running ones."""
    free, last, rest = _parts(space)
    with quiet():
        client = Client(random_seed=seed)
        client.configure_experiment(
            parameters=[
                RangeParameterConfig(
                    name=f"w{i}",
                    parameter_type="float",
                    bounds=(float(space.lower[i]), float(min(space.upper[i], rest))),
                )
                for i in free
            ],
            parameter_constraints=_constraints(space, free, last, rest),
        )
        client.configure_optimization(objective="score")
        for weights, score, sd in zip(runs.weights, runs.score, runs.noise_sd, strict=True):
            trial = client.attach_trial(parameters(weights, free))
            measured = (float(score), float(sd)) if np.isfinite(sd) else float(score)
            client.complete_trial(trial, raw_data={"score": measured})
        for weights in pending:
            client.attach_trial(parameters(weights, free))
        if len(runs) or len(pending):
            begun(client, seed)
    return client


def begun(client: Client, seed: int) -> None:
    """Says that the search is under way. A new client would begin with the centre, find that other
    mixtures were tried, and propose one at random before it looks at any score."""
    client.configure_generation_strategy(
        initialize_with_center=False, initialization_random_seed=seed
    )


def _parts(space: MixtureSpace) -> tuple[list[int], int, float]:
    """Domains whose weights are free, the one that takes what is left, and how much they share.

    What is pinned is out of Ax's sight.
    """
    movable = [int(i) for i in np.flatnonzero(space.upper > space.lower)]
    rest = 1 - float(sum(space.lower[i] for i in range(space.m) if i not in movable))
    return movable[:-1], (movable or [0])[-1], rest


def _constraints(space: MixtureSpace, free: list[int], last: int, rest: float) -> list[str]:
    """In Ax's syntax: what the last weight and the linear limits leave to the free ones."""
    total = " + ".join(f"w{i}" for i in free)
    least, most = float(space.lower[last]), float(space.upper[last])
    found = [f"{total} <= {rest - least!r}"]
    if most < rest:
        found.append(f"{total} >= {rest - most!r}")
    for row, level in zip(space.relaxed.A, space.relaxed.b, strict=True):
        # The last weight is `rest` less the free ones; pinned weights are constants.
        pinned = [i for i in range(space.m) if i not in free and i != last]
        right = float(level - row[last] * rest - sum(row[i] * space.lower[i] for i in pinned))
        terms = [f"{float(row[i] - row[last])!r} * w{i}" for i in free if row[i] != row[last]]
        if terms:
            found.append(f"{' + '.join(terms)} <= {right!r}")
    return found


def parameters(weights: FloatArray, free: list[int]) -> dict[str, float]:
    """A mixture (m,) as Ax knows it."""
    return {f"w{i}": float(weights[i]) for i in free}


@contextmanager
def quiet() -> Iterator[None]:
    """Ax tells of every attached trial, through loggers that each have a level of their own."""
    named = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] == "ax"]
    levels = {name: logging.getLogger(name).level for name in named}
    for name in named:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
