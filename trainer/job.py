"""What goes into a training run and what comes out of it; light, so that workers start fast."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from service.schemas import Measurement
from trainer.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Job:
    """What to train: weights by domain name, the recipe, and the run's seed."""

    mixture: Mapping[str, float]
    recipe: Recipe
    seed: int
    data: Path = Path()
    """Folder that the recipe's prepared datasets lie in, on this machine."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: `stage` is `train`, then `evaluate <benchmark>`."""

    stage: str
    step: int
    total_steps: int
    metrics: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    measurements: list[Measurement]
    steps: int
    """Optimizer steps done: fewer than the recipe's where a domain ran out."""
    exhausted: str | None
    """The domain that ran out, if one did."""
    counts: dict[str, int]
    """Samples trained on, by domain."""
    wall_s: float


@dataclass(frozen=True, slots=True)
class Crash:
    """A run ended by an exception."""

    error: str
