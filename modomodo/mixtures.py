"""Mixtures as options: `coco=0.5,lisa=0.5`, one for the run or one for each phase of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import typer

from modomodo.errors import WrongUse
from service.schemas import MAX_PHASES, SUM_TOLERANCE, Phase

PhaseOption = Annotated[
    list[str] | None,
    typer.Option(
        "--phase",
        metavar="MIXTURE",
        help="Instead of one mixture, one for each phase of the run, in order: once each, as "
        "coco=0.9,sat=0.1.",
    ),
]
SharesOption = Annotated[
    str | None,
    typer.Option(
        help="What part of the steps each --phase has, as 0.25,0.75; equal parts if not said."
    ),
]


def parse(text: str, option: str = "--mixture") -> dict[str, float]:
    """Weights by domain.

    Args:
        option: that the text was given with, for messages.

    Raises:
        WrongUse: a part is not `domain=weight`, a domain stands twice, or they do not sum to 1.
    """
    weights: dict[str, float] = {}
    for part in text.split(","):
        name, _, value = (piece.strip() for piece in part.partition("="))
        weight = _number(value)
        if not name or not 0 <= weight <= 1:
            raise WrongUse(f"{option}: {part!r} is not domain=weight, such as coco=0.5")
        if name in weights:
            raise WrongUse(f"{option}: {name} stands twice")
        weights[name] = weight
    if abs(sum(weights.values()) - 1) > SUM_TOLERANCE:
        raise WrongUse(f"{option}: weights sum to {sum(weights.values()):.9g}, not 1")
    return weights


def schedule(phases: Sequence[str], shares: str | None) -> list[Phase]:
    """A mixture for each phase of a run; none without phases.

    Raises:
        WrongUse: a mixture cannot be read, or shares are not one above 0 for each that sum to 1.
    """
    if not phases:
        if shares is not None:
            raise WrongUse("--shares: of which phases? Give a --phase for each")
        return []
    if len(phases) > MAX_PHASES:
        raise WrongUse(f"--phase: {len(phases)} of them; a run has {MAX_PHASES} at most")
    mixtures = [parse(text, "--phase") for text in phases]
    parts = [1 / len(phases)] * len(phases)
    if shares is not None:
        parts = [_number(text) for text in shares.split(",")]
    if len(parts) != len(phases):
        raise WrongUse(f"--shares: {shares} are {len(parts)}, for {len(phases)} phases")
    if not all(0 < part <= 1 for part in parts) or abs(sum(parts) - 1) > SUM_TOLERANCE:
        raise WrongUse(f"--shares: {shares} are not numbers above 0 that sum to 1")
    return [
        Phase(share=part / sum(parts), mixture=mixture)
        for part, mixture in zip(parts, mixtures, strict=True)
    ]


def _number(text: str) -> float:
    """Not a number where the text is none."""
    try:
        return float(text)
    except ValueError:
        return math.nan
