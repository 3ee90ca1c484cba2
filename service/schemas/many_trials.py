"""Many trials in one call: finished runs that come from elsewhere, and what is done to a choice."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import ConfigDict, Field, model_validator

from service.schemas.scores import Fraction
from service.schemas.values import Body, Mixture, Name, Tags, Text, TrialState

MAX_RUNS = 10_000
"""Finished runs that are imported in one call."""
MAX_CHANGED = 1000
"""Trials that are changed in one call."""
MAX_REFUSED = 100
"""Runs of which a dry run says why they cannot be taken."""


class RunImport(Body):
    """A finished run from elsewhere."""

    mixture: Mixture
    scores: Annotated[dict[Name, Fraction], Field(min_length=1, max_length=256)]
    """Of the whole run, by benchmark; each counts with the benchmark's own number of samples."""
    wall_s: Annotated[float, Field(ge=0.0)] | None = None
    note: Text = ""
    tags: Tags = Field(default_factory=list)


class TrialsImport(Body):
    """Body of `POST /studies/{study}/trials/import`. Imported runs use none of the budget."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "runs": [
                        {
                            "mixture": {"coco": 0.4, "sat": 0.6},
                            "scores": {"sat": 0.61, "chartqa": 0.48},
                            "tags": ["spring"],
                        }
                    ],
                    "dry_run": True,
                }
            ]
        }
    )

    runs: Annotated[list[RunImport], Field(min_length=1, max_length=MAX_RUNS)]
    dry_run: bool = False
    """Only say what would become of them."""


class RefusedRun(Body):
    """A run that the study cannot have."""

    run: int
    """Its place in the list, from 0."""
    why: str


class TrialsImported(Body):
    """Answer of `POST /studies/{study}/trials/import`."""

    dry_run: bool
    n_new: int
    """Runs that were added, or would be."""
    numbers: list[int]
    """Of the trials that they are now; empty in a dry run."""
    known: list[int]
    """Places of runs that the study has already: of the same mixture and scores. They are not
    added again."""
    known_numbers: list[int] = Field(default_factory=list)
    """Of the trials that these are, in the same order."""
    refused: list[RefusedRun]
    """Of a dry run: those that cannot be taken, the first 100. While there is one, none is."""
    n_refused: int


class TrialsChange(Body):
    """Body of `POST /studies/{study}/trials/bulk`."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"action": "tag", "numbers": [3, 7], "tags": ["second look"]}]
        }
    )

    action: Literal["cancel", "retry", "tag", "untag"]
    """`retry` also undoes a `cancel`; `tag` and `untag` leave other tags as they are."""
    numbers: Annotated[
        list[Annotated[int, Field(ge=1, lt=2**31)]], Field(min_length=1, max_length=MAX_CHANGED)
    ]
    tags: Tags = Field(default_factory=list)

    @model_validator(mode="after")
    def _with_tags(self) -> Self:
        if self.action in ("tag", "untag") and not self.tags:
            raise ValueError(f"`{self.action}` needs `tags`")
        if self.action in ("cancel", "retry") and self.tags:
            raise ValueError(f"`tags` goes with `tag` and `untag`, not with `{self.action}`")
        return self


class TrialChanged(Body):
    """What became of one of them."""

    number: int
    done: bool
    """It is as was asked for now."""
    changed: bool
    """And was not before."""
    state: TrialState | None = None
    """None where there is no such trial."""
    tags: list[str] = Field(default_factory=list)
    why: str | None = None
    """Why it could not be done."""


class TrialsChanged(Body):
    """Answer of `POST /studies/{study}/trials/bulk`, in the order of the numbers."""

    trials: list[TrialChanged]
    n_done: int
