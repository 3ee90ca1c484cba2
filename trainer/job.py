"""What goes into a training run and what comes out of it; light, so that workers start fast."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from service.schemas import Measurement, Phase, phase_ends
from trainer.recipe import Recipe, RecipeError
from trainer.troubles import Trouble


@dataclass(frozen=True, slots=True)
class ExpertWeights:
    """The model after a run of one domain alone, on this machine."""

    domain: str
    folder: Path
    """Its weights, or its adapters."""
    steps: int
    """That it was trained."""


@dataclass(frozen=True, slots=True)
class Merging:
    """What a model is merged of instead of being trained (`trainer/run/task_arithmetic.py`)."""

    experts: tuple[ExpertWeights, ...]
    """One for each domain of the mixture with a weight."""
    scale_at_uniform: float | None = None
    """`lambda_u`; None where it is to be found."""
    target: float = 0.0
    """To find it by: the score of the uniform mixture's run, a fraction."""
    weights: Mapping[str, float] = field(default_factory=dict)
    """Of the benchmarks in that score."""
    weighed: frozenset[str] = frozenset()
    """Benchmarks that the study's objective, or its goals, look at: these are scored first."""
    is_price: bool = False
    """Whether they are scored alone: a mixture that the search prices is looked at by no other."""


@dataclass(frozen=True, slots=True)
class Job:
    """What to train: weights by domain name, the recipe, and the run's seed.

    With a schedule the mixture is the mean over its phases.
    """

    mixture: Mapping[str, float]
    recipe: Recipe
    seed: int
    data: Path = Path()
    """Folder that the recipe's prepared datasets lie in, on this machine."""
    folder: Path | None = None
    """The run's own: checkpoints, responses, learning curve. A run that was killed goes on from
    what is there; None keeps nothing."""
    commands: Path | None = None
    """Folder of the executables that recipes of back end `command` may name, on this machine."""
    stop_at: int | None = None
    """Step at which the run pauses, before its last one; None trains the whole recipe."""
    merging: Merging | None = None
    """What to merge and score instead of training; None trains."""
    keeps_weights: bool = False
    """Whether the last step gets a checkpoint also where the recipe wants none."""
    needs_room: bool = False
    """Whether to see first that the folder's disk has room for its checkpoints."""
    schedule: tuple[Phase, ...] = ()
    """Mixtures by phase, where they change during the run."""

    @property
    def run_seed(self) -> int:
        """The recipe's seed, or the trial's where it has none."""
        return self.seed if self.recipe.seed is None else self.recipe.seed

    @property
    def phases(self) -> list[tuple[Mapping[str, float], int]]:
        """Its mixtures, each with the number of samples that are drawn by it, at most.

        Raises:
            RecipeError: it has a schedule, and the recipe's weights are to find their own way.
        """
        if self.schedule and self.recipe.adaptive is not None:
            raise RecipeError(
                "recipe: adaptive: weights that follow the rewards go with one mixture, and this "
                "run has a schedule; leave out one of them"
            )
        steps, prompts = self.recipe.steps, self.recipe.prompts_per_step
        if not self.schedule:
            return [(self.mixture, steps * prompts)]
        ends = phase_ends((phase.share for phase in self.schedule), steps)
        return [
            (phase.mixture, (end - start) * prompts)
            for phase, start, end in zip(self.schedule, [0, *ends], ends, strict=False)
        ]


TRAIN = "train"
"""The stage whose metrics are a step's, and so a point of the learning curve."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: `stage` is `train`, then `evaluate <benchmark>`."""

    stage: str
    step: int
    total_steps: int
    metrics: dict[str, float] = field(default_factory=dict)
    measurements: list[Measurement] = field(default_factory=list)
    """Scores of a checkpoint on the way, once they are known; the outcome has them again."""
    past: dict[int, dict[str, float]] = field(default_factory=dict)
    """Metrics of the steps before, by step, of a run that goes on from a checkpoint."""


Report = Callable[[Progress], None]
"""Called with where a run is, whenever it has moved."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A finished run."""

    measurements: list[Measurement]
    """Of all evaluation points, those of the last step last."""
    steps: int
    """Optimizer steps done: fewer than the recipe's where a domain ran out."""
    exhausted: str | None
    """The domain that ran out, if one did."""
    counts: dict[str, int]
    """Samples trained on, by domain."""
    wall_s: float
    """Seconds of the process that finished it: not those of one that was killed before."""
    mean_weights: dict[str, float] = field(default_factory=dict)
    """What samples were drawn by, in the mean over its steps, where the recipe has `adaptive`."""
    made_with: dict[str, Any] = field(default_factory=dict)
    """The recipe with every key, `software` with the versions that decide a run; nothing of a
    trainer of the user's."""


IsStopping = Callable[[], bool]
"""Whether a run shall end: at once (`Halted`) or at its next evaluation point (`Paused`), each as
soon as it can be gone on with."""


def never() -> bool:
    """`should_stop` of a run that is never stopped."""
    return False


class Halted(Exception):  # noqa: N818 - it is a state, not a mistake
    """A run came to an end because it was asked to.

    Attributes:
        step: what a run with the same folder goes on from; None where only its trainer knows.
    """

    def __init__(self, step: int | None) -> None:
        super().__init__(step)
        self.step = step


class Paused(Exception):  # noqa: N818 - it is a state, not a mistake
    """A run came to the step where it was to pause.

    Attributes:
        step: what a run with the same folder goes on from.
        measurements: of all evaluation points until then.
    """

    def __init__(self, step: int, measurements: list[Measurement]) -> None:
        super().__init__(step, measurements)
        self.step, self.measurements = step, measurements


@dataclass(frozen=True, slots=True)
class Crash:
    """A run ended by an exception.

    Attributes:
        trouble: whose fault it is (`trainer/troubles.py`).
        needed_bytes: what must be free on the disk, where that was too little.
    """

    error: str
    trouble: Trouble = "run"
    needed_bytes: int = 0
