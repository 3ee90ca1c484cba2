"""The recipe: everything of a training run but its mixture."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from rewards.maths import MathVerifyMissing, is_available
from rewards.training import PAPER_WEIGHTS, REWARDS
from service.schemas import Name
from trainer.prompts import StyleName

PositiveInt = Annotated[int, Field(ge=1)]


class RecipeError(ValueError):
    """The recipe cannot be run."""


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


def _known_rewards(weights: dict[str, float]) -> dict[str, float]:
    unknown = sorted(set(weights) - set(REWARDS))
    if unknown or not weights:
        raise ValueError(f"unknown reward {unknown}; known: {', '.join(REWARDS)}")
    if "math" in weights and not is_available():
        raise ValueError(str(MathVerifyMissing()))
    return weights


def _below_root(folder: str) -> str:
    path = PurePosixPath(folder)
    if not folder or "\0" in folder or path.is_absolute() or ".." in path.parts:
        raise ValueError("is a folder below the worker's data folder, such as 'coco-train'")
    return folder


Folder = Annotated[str, AfterValidator(_below_root)]
"""A folder's name below the one that a worker was given with --data."""


class Data(_Part):
    """Prepared datasets (`modomodo data prepare`), each by the folder it lies in."""

    domains: Annotated[dict[Name, Folder], Field(min_length=1, max_length=64)]
    """What mixtures weigh: the study's domains, by name."""
    benchmarks: Annotated[dict[Name, Folder], Field(min_length=1, max_length=256)]
    """What is scored: the study's benchmarks, by name."""


class Evaluation(_Part):
    """How a trained model is scored."""

    temperature: Annotated[float, Field(ge=0.0, le=5.0)] = 1.0
    """0 decodes greedily, as the paper does; above 0 one answer is drawn per item."""
    batch_size: PositiveInt = 100
    limit: PositiveInt | None = None
    """Items per benchmark, a fixed stratified subset; None takes all."""
    split: Literal["test", "tune"] = "test"
    """Of the built-in world: `tune` items are for choosing settings, `test` items for reporting."""


class Recipe(_Part):
    """One GRPO run. The defaults are the built-in offline world's; scores are its own too."""

    world: Literal["tiny"] = "tiny"
    """Which model: the built-in miniature. Without `data`, its drawn domains and benchmarks too."""
    data: Data | None = None
    """Prepared domains and benchmarks instead of the drawn ones."""
    prompt: StyleName = "tiny"
    """How rows are put into words (`trainer/prompts.py`): `tiny` is what the miniature has read,
    `reasoning` asks for the paper's response form, `plain` for the bare answer, to be scored."""
    steps: Annotated[int, Field(ge=0)] = 24
    """Optimizer steps at most; a run ends early when a domain has no unseen sample left."""
    prompts_per_step: PositiveInt = 8
    generations: Annotated[int, Field(ge=2)] = 8
    """Completions of each prompt: the group of GRPO."""
    max_completion_tokens: PositiveInt = 32
    temperature: Annotated[float, Field(gt=0.0, le=5.0)] = 1.0
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1.6e-4
    schedule: Literal["constant", "linear"] = "linear"
    warmup_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the steps with a rising learning rate."""
    beta: Annotated[float, Field(ge=0.0)] = 0.0
    """KL coefficient (the paper: 0.04)."""
    freeze_vision: bool = True
    reward_weights: Annotated[dict[str, float], AfterValidator(_known_rewards)] = Field(
        default_factory=lambda: dict(PAPER_WEIGHTS)
    )
    threads: PositiveInt = 1
    """Torch threads on a CPU."""
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if self.steps and self.prompt == "plain":
            raise ValueError(
                "prompt 'plain' asks for no reasoning, so its answers earn no reward; "
                "it is for scoring (steps: 0)"
            )
        return self

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> Recipe:
        """A recipe from a study's JSON.

        Raises:
            RecipeError: says which key is wrong, and the nearest known key for an unknown one.
        """
        try:
            return cls.model_validate(dict(raw))
        except ValidationError as error:
            raise RecipeError("; ".join(map(_in_words, error.errors()))) from error


def _in_words(problem: Any) -> str:
    path = ".".join(str(part) for part in problem["loc"])
    if problem["type"] != "extra_forbidden":
        return f"recipe: {path}: {problem['msg']} (got {problem['input']!r:.60})"
    known = [
        *Recipe.model_fields,
        *(f"evaluation.{name}" for name in Evaluation.model_fields),
        *(f"data.{name}" for name in Data.model_fields),
    ]
    near = difflib.get_close_matches(path, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"recipe: unknown key {path!r}; {hint}"
