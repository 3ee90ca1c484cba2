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

    def length(self, index: int) -> int:
        """About how many tokens a row's prompt has, its images unscaled."""
        return _length(self.row(index))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self.row(i) for i in range(len(self))[index]]
        return self.row(range(len(self))[index])


def length_of(rows: Sequence[Row], index: int) -> int:
    """About how many tokens a row's prompt has; rows made when asked for may know it without."""
    return rows.length(index) if isinstance(rows, Rows) else _length(rows[index])


def _length(row: Row) -> int:
    pixels = sum(image.width * image.height for image in row.images)
    return length(pixels, [row.question, *row.choices])


def length(pixels: int, words: Sequence[str]) -> int:
    """About how many tokens Qwen-VL models read of so many pixels and these words."""
    return pixels // 28**2 + sum(map(len, words)) // 4
