"""What a dataset is: where it lies, how its rows become canonical, what the paper says of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from rewards.scoring import AnswerType

Record = Mapping[str, Any]
"""One row as its source has it, images not decoded."""

Picture = bytes | Path | Mapping[str, Any]
"""An encoded image: its bytes, a file, or `{"bytes", "path"}` as `datasets` gives it."""

BoxUnit = Literal["thousandths", "pixels", "fractions"]


@dataclass(frozen=True, slots=True)
class Draft:
    """A row in canonical words, its images not yet decoded and its boxes in the source's units."""

    question: str
    answer: str
    answer_type: AnswerType
    images: tuple[Picture, ...] = ()
    choices: tuple[str, ...] = ()
    boxes: tuple[tuple[float, float, float, float], ...] = ()
    """Corners x1, y1, x2, y2 for answer type `boxes`; `answer` is not read then."""
    box_unit: BoxUnit = "pixels"
    clip: bool = False
    """Whether boxes may reach over the image's edge, as outlines drawn by hand do."""
    id: str = ""
    """Empty where the source names no rows: they are numbered then."""
    stratum: str = ""
    extra: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Source:
    """A dataset that `modomodo data prepare` knows."""

    name: str
    domain: str
    """Domain or benchmark its rows belong to."""
    convert: Callable[[Record], Draft]
    """Raises `Dropped` for a row that is filtered or wrong."""
    rule: str
    """Scoring rule of training and of the paper's evaluation, a name of `rewards/rules.py`."""
    official: tuple[str, ...] = ()
    """Rules by which the benchmark's authors score it."""
    hub: str | None = None
    """Dataset id on the Hugging Face hub; None where it is not there."""
    config: str | None = None
    split: str = "train"
    revision: str | None = None
    files: tuple[str, ...] = ()
    """Where a local copy has the split's Parquet files: patterns below its folder."""
    read: Callable[[Path, str], list[Record]] | None = None
    """Reads a split of a local folder that holds no Parquet files."""
    paper_rows: int | None = None
    longer_side: int | None = None
    """Pixels that images are scaled down to; None leaves them as they are."""
    take: int | None = None
    """Rows kept, the first good ones; None keeps all."""
    settings: str = ""
    """What else decides how rows come out: the user's mapping, as JSON."""
