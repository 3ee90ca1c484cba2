"""The one form every dataset's samples take."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, overload

from rewards.scoring import AnswerType

if TYPE_CHECKING:
    from PIL.Image import Image

Coordinates = Literal["thousandths", "pixels"]
"""What a box counts in: thousandths of the image's sides (Qwen2-VL), or pixels (Qwen2.5-VL)."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question about no, one or several images.

    `answer` is the text a right response holds between its answer tags: a letter for `choice`, a
    JSON list of `[x1, y1, x2, y2]` for `boxes`.
    """

    id: str
    domain: str
    images: tuple[Image, ...]
    question: str
    answer: str
    answer_type: AnswerType
    choices: tuple[str, ...] = ()
    coordinates: Coordinates = "thousandths"
    stratum: str = ""
    """The kind of question, where its source tells; subsets keep the shares of kinds."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """What a benchmark's official rule needs beside the answer, as JSON values; `answer` among
    them, where that rule wants another one: all accepted answers, or an option's text."""


class Rows(Sequence[Row]):
    """Rows that are made when they are asked for."""

    @abstractmethod
    def row(self, index: int) -> Row:
        """The row at an index of `range(len(self))`."""

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self.row(i) for i in range(len(self))[index]]
        return self.row(range(len(self))[index])
