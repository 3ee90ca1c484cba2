"""What a prepared folder says of itself: `manifest.json`, written last."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

from service.schemas import Name
from trainer.domains.errors import DataError
from trainer.rows import Coordinates

FILE = "manifest.json"
PROGRESS = ".progress"
"""Folder of what an unfinished prepare has done so far."""
SHOWN = 10
"""Wrong rows of a reason that are shown at once; the manifest has all."""

Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
PartName = Annotated[str, StringConstraints(pattern=r"^part-\d{5,}\.parquet$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Origin(_Part):
    """Where the rows came from."""

    kind: Literal["hub", "folder"]
    name: str
    """Dataset id on the hub, or the local folder's own name."""
    config: str | None = None
    split: str
    revision: str
    """Commit of the hub dataset; SHA-256 over what local files hold, pictures among them."""


class BadRow(_Part):
    """A row that is wrong."""

    id: str
    reason: str
    detail: str = ""
    file: str = ""
    """Name below the source's folder; empty where the source has no files of its own."""
    line: int | None = None
    """Of a text file, counted from 1."""
    row: int | None = None
    """Of the file, or of the source; counted from 1."""

    def __str__(self) -> str:
        line = None if self.line is None else f"line {self.line}"
        row = None if self.row is None or line else f"row {self.row}"
        place = ", ".join(part for part in (self.file, line, row) if part) or "row"
        told = f"{place} ({self.id}): {self.detail or self.reason}"
        return "".join(letter if letter.isprintable() else "�" for letter in told)


class Losses(_Part):
    """Rows that were read and are not there: how many for which reason."""

    filters: dict[str, int] = Field(default_factory=dict)
    """Left out on purpose, as the paper does."""
    bad: dict[str, int] = Field(default_factory=dict)
    """Wrong rows."""
    rows: list[BadRow] = Field(default_factory=list)
    """All wrong rows."""

    def shown(self) -> dict[str, list[str]]:
        """The first `SHOWN` wrong rows of each reason, in words."""
        return {
            reason: [str(row) for row in self.rows if row.reason == reason][:SHOWN]
            for reason in self.bad
        }


class Part(_Part):
    """One Parquet file."""

    file: PartName
    rows: int
    sha256: Sha256


class Subset(_Part):
    """That only some of the good rows were kept, stratum by stratum."""

    limit: int
    of: int


class Manifest(_Part):
    """A prepared dataset. Nothing in it depends on when, where or in how many goes it was made."""

    format: Literal[1] = 1
    name: Name
    domain: Name
    origin: Origin
    read: int
    """Rows of the source that were looked at."""
    rows: int
    paper_rows: int | None
    """How many rows the paper has."""
    dropped: Losses
    subset: Subset | None
    rule: Name
    official: tuple[Name, ...]
    coordinates: Coordinates
    longer_side: int | None
    answer_types: dict[str, int]
    images: dict[str, int]
    """Rows by number of images."""
    strata: dict[str, int]
    plan: Sha256
    """Of what was asked for: the same again is not done twice."""
    sha256: Sha256
    """Of all rows' contents in order; the same however they are cut into files."""
    parts: list[Part]


def load(folder: Path) -> Manifest:
    """The manifest of a prepared folder.

    Raises:
        DataError: there is none, or it does not read.
    """
    path = folder / FILE
    try:
        return Manifest.model_validate_json(path.read_bytes())
    except FileNotFoundError as error:
        unfinished = (folder / PROGRESS).is_dir()
        hint = (
            "its prepare was interrupted; run the same command again"
            if unfinished
            else "make one with: modomodo data prepare"
        )
        raise DataError(f"{folder} holds no prepared dataset ({hint})") from error
    except (OSError, ValidationError) as error:
        raise DataError(f"{path} is not a manifest of this version: {error}") from error
