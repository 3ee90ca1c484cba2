"""What an unfinished prepare has done so far: its plan, its parts, and a report of each chunk."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pydantic import BaseModel, ValidationError

from trainer.domains import manifest
from trainer.domains.errors import DataError
from trainer.domains.manifest import BadRow, Origin, Part
from trainer.domains.reading import Bookmark
from trainer.rows import Coordinates
from trainer.storage import files as storage_files

_PLAN = "plan.json"


class Plan(BaseModel):
    """What is asked for."""

    source: str
    origin: Origin
    coordinates: Coordinates
    rule: str
    official: tuple[str, ...]
    longer_side: int | None
    take: int | None
    limit: int | None
    settings: str

    def sha256(self) -> str:
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


class Report(BaseModel):
    """What became of one chunk of records. Lists are of its kept rows, in order."""

    read: int
    bookmark: Bookmark
    last: bool
    """Whether the source ended here, or enough rows are kept."""
    filters: dict[str, int]
    bad: dict[str, int]
    bad_rows: list[BadRow]
    part: Part | None
    """None where no row was kept."""
    digests: list[str]
    ids: list[str]
    strata: list[str]
    answer_types: list[str]
    images: list[int]


class ProgressFolder:
    """The folder `.progress` in the folder that is being prepared."""

    def __init__(self, out: Path) -> None:
        self.out, self.path = out, out / manifest.PROGRESS

    @contextmanager
    def begin(self, plan: Plan) -> Iterator[None]:
        """Takes the folder for this process and this plan.

        Raises:
            DataError: another process has it, it holds the beginning of something else, or the
                folder around it holds other files.
        """
        if not self.path.is_dir() and self.out.is_dir() and any(self.out.iterdir()):
            raise DataError(f"{self.out} is not empty and holds no prepared dataset")
        lock = storage_files.hold(self.path)
        if lock is None:
            raise DataError(f"another process prepares {self.out}")
        with lock:
            self._agree(plan)
            yield

    def _agree(self, plan: Plan) -> None:
        path = self.path / _PLAN
        try:
            begun = Plan.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            storage_files.write_whole(path, plan.model_dump_json(indent=1).encode())
            return
        except ValidationError as error:
            raise DataError(f"{path} does not read; remove {self.path} to start over") from error
        if begun != plan:
            differs = [
                name for name in Plan.model_fields if getattr(begun, name) != getattr(plan, name)
            ]
            raise DataError(
                f"{self.out} holds the beginning of another prepare (other {', '.join(differs)}); "
                f"run that to its end, choose another folder, or remove {self.path}"
            )

    def reports(self) -> list[Report]:
        """The reports of the chunks that are done, up to the first that is missing or damaged."""
        good: list[Report] = []
        while True:
            try:
                report = Report.model_validate_json(self._report(len(good)).read_bytes())
            except (FileNotFoundError, ValidationError):
                return good
            if report.part is not None and self.find(report.part) is None:
                return good
            good.append(report)

    def add(self, number: int, report: Report) -> None:
        storage_files.write_whole(self._report(number), report.model_dump_json().encode())

    def part_file(self, number: int) -> Path:
        return self.path / f"part-{number:05d}.parquet"

    def find(self, part: Part) -> Path | None:
        """A part's file, which may have been moved to its final place; None if it is damaged."""
        for place in (self.path, self.out):
            if storage_files.sha256(place / part.file) == part.sha256:
                return place / part.file
        return None

    def _report(self, number: int) -> Path:
        return self.path / f"report-{number:05d}.json"
