"""The one form every dataset's samples take."""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
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

    def length(self, index: int, most: float = math.inf) -> int:
        """About how many tokens a row's prompt has, its images of so many pixels at most."""
        return _length(self.row(index), most)

    def unseen(self, index: int) -> Row:
        """The row, but with blank images of the same sizes where that spares decoding them."""
        return self.row(index)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return [self.row(i) for i in range(len(self))[index]]
        return self.row(range(len(self))[index])


def unseen(rows: Sequence[Row]) -> Iterator[Row]:
    """The rows for who does not look at their images, which may be blank: decoding takes long."""
    return (unseen_of(rows, index) for index in range(len(rows)))


def unseen_of(rows: Sequence[Row], index: int) -> Row:
    """One of them."""
    return rows.unseen(index) if isinstance(rows, Rows) else rows[index]


def length_of(rows: Sequence[Row], index: int, most: float = math.inf) -> int:
    """About how many tokens a row's prompt has, its images of so many pixels at most; rows made
    when asked for may know it without."""
    return rows.length(index, most) if isinstance(rows, Rows) else _length(rows[index], most)


def _length(row: Row, most: float) -> int:
    return length([image.size for image in row.images], [row.question, *row.choices], most)


def length(sizes: Iterable[tuple[int, int]], words: Sequence[str], most: float = math.inf) -> int:
    """About how many tokens Qwen-VL models read of images of these sizes, each scaled to so many
    pixels at most, and of these words."""
    pixels = sum(min(width * height, most) for width, height in sizes)
    return int(pixels // 28**2) + sum(map(len, words)) // 4
