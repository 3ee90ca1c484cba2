"""Options that say which mixtures may be proposed, for commands that work without a service."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from modomodo import runs_file, similarity_option
from modomodo.errors import WrongUse
from modomodo.runs_file import Layout
from service.search.limits import LinearLimit, unquoted
from service.search.listed import ListedSpace
from service.search.similarity import Similarity
from service.search.space import FloatArray, MixtureSpace, expected_steps

BoundsOption = Annotated[
    list[str] | None,
    typer.Option("--bounds", help="Least and greatest weight, as coco=0.1:0.5. Repeatable."),
]
PinOption = Annotated[
    list[str] | None, typer.Option("--pin", help="A fixed weight, as coco=0.2. Repeatable.")
]
LimitOption = Annotated[
    list[str] | None,
    typer.Option("--limit", help="A linear limit, as 'coco + 2*lisa <= 0.6'. Repeatable."),
]
MaxActiveOption = Annotated[
    int | None, typer.Option("--max-active", help="Most domains that a mixture uses.")
]
LeastOption = Annotated[
    list[str] | None,
    typer.Option(
        "--zero-or-at-least", help="A used domain gets at least this, as coco=0.05. Repeatable."
    ),
]
AmongOption = Annotated[
    Path | None,
    typer.Option("--among", help="CSV of the only mixtures that may be run; scores are not read."),
]
SamplesOption = Annotated[
    list[str] | None,
    typer.Option("--samples", help="Number of samples of a domain, as coco=5997. Repeatable."),
]
StepsOption = Annotated[
    int | None, typer.Option("--steps", min=1, help="Steps of a run: with --samples, its reach.")
]
PromptsOption = Annotated[
    float, typer.Option("--prompts-per-step", min=1e-9, help="Prompts a step of a run takes.")
]
EpochsOption = Annotated[
    float, typer.Option("--epochs", min=1e-9, help="Times a run may see a sample.")
]
ReachOption = Annotated[
    bool,
    typer.Option("--within-reach", help="Only mixtures that let a run finish with --samples."),
]


@dataclass(frozen=True, slots=True)
class SpaceOptions:
    """The options as they were given."""

    bounds: Sequence[str] = ()
    pins: Sequence[str] = ()
    limits: Sequence[str] = ()
    max_active: int | None = None
    least: Sequence[str] = ()
    among: Path | None = None
    similarity: Path | None = None


@dataclass(frozen=True, slots=True)
class RunLength:
    """How many samples a run asks for; see `service.search.space.expected_steps`."""

    samples: Sequence[str] = ()
    steps: int | None = None
    prompts_per_step: float = 2.0
    epochs: float = 1.0
    must_finish: bool = False


def space_of(
    domains: tuple[str, ...],
    wanted: SpaceOptions,
    length: RunLength,
    layout: Layout = runs_file.AS_IT_IS,
) -> MixtureSpace:
    """The space that the options describe; `layout` is that of the file of `among`.

    Raises:
        WrongUse: an option that cannot be read, an unknown domain, or a contradiction.
        CommandFailed: the file of `among` cannot be used.
    """
    lower, upper = np.zeros(len(domains)), np.ones(len(domains))
    least = np.zeros(len(domains))
    for text in wanted.bounds:
        i, value = _assignment("--bounds", text, domains)
        low, colon, high = value.partition(":")
        if not colon:
            raise WrongUse(f"--bounds {text!r} is not of the form coco=0.1:0.5")
        lower[i] = _weight("--bounds", text, low or "0")
        upper[i] = _weight("--bounds", text, high or "1")
    for text in wanted.pins:
        i, value = _assignment("--pin", text, domains)
        lower[i] = upper[i] = _weight("--pin", text, value)
    for text in wanted.least:
        i, value = _assignment("--zero-or-at-least", text, domains)
        least[i] = _weight("--zero-or-at-least", text, value)
    try:
        limits = tuple(LinearLimit.parse(text, domains) for text in wanted.limits)
        pairs = similarity_option.pairs_of(wanted.similarity, domains)
        alike = Similarity.of(domains, pairs)
        space = MixtureSpace(domains, lower, upper, limits, wanted.max_active, least, alike)
        if length.must_finish:
            if length.steps is None or not length.samples:
                raise WrongUse("--within-reach needs --samples and --steps")
            prompts = length.steps * length.prompts_per_step
            space = space.within_reach(samples_of(domains, length), prompts, length.epochs)
        if wanted.among is not None:
            rows = runs_file.read(wanted.among, layout).in_order(domains)
            bounds = (space.lower, space.upper, space.limits)
            used = (space.max_active, space.zero_or_at_least, alike)
            space = ListedSpace(domains, *bounds, *used, rows=rows)
    except ValueError as error:
        raise WrongUse(str(error)) from error
    return space


def samples_of(domains: tuple[str, ...], length: RunLength) -> list[float | None]:
    """Number of samples by domain; None where it was not said."""
    found: list[float | None] = [None] * len(domains)
    for text in length.samples:
        i, value = _assignment("--samples", text, domains)
        try:
            found[i] = float(int(value))
        except ValueError as error:
            raise WrongUse(f"--samples {text!r} is not of the form coco=5997") from error
    return found


def steps_of(domains: tuple[str, ...], length: RunLength, weights: FloatArray) -> int | None:
    """After how many steps a run of this mixture ends, where that is known."""
    if not length.samples:
        return None
    samples = samples_of(domains, length)
    steps, _ = expected_steps(weights, samples, length.prompts_per_step, length.epochs)
    steps = min(steps, np.inf if length.steps is None else length.steps)
    return int(steps) if np.isfinite(steps) else None


def _assignment(option: str, text: str, domains: tuple[str, ...]) -> tuple[int, str]:
    name, equals, value = text.partition("=")
    name = name.strip()
    if name not in domains:
        name = unquoted(name)
    if not equals or name not in domains:
        what = f"unknown domain {name!r}" if equals else "no '='"
        raise WrongUse(f"{option} {text!r}: {what} (domains: {', '.join(domains)})")
    return domains.index(name), value.strip()


def _weight(option: str, text: str, value: str) -> float:
    try:
        weight = float(value)
    except ValueError:
        weight = -1.0
    if not 0 <= weight <= 1:
        raise WrongUse(f"{option} {text!r}: {value!r} is not a weight between 0 and 1")
    return weight
