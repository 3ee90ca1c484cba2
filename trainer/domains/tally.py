"""What becomes of the records of one chunk: rows, or reasons for leaving them out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from trainer.domains.canonical import StoredRow, stored
from trainer.domains.errors import Dropped
from trainer.domains.manifest import BadRow
from trainer.domains.progress import Plan
from trainer.domains.reading import Item, Place
from trainer.domains.source import Source


class Tally:
    """Good rows of a chunk, and why the others are none."""

    def __init__(self, source: Source, plan: Plan, first: int, seen: set[str]) -> None:
        self._source, self._plan, self._first, self._seen = source, plan, first, seen
        self.read = 0
        self.rows: list[StoredRow] = []
        self.filters: Counter[str] = Counter()
        self.bad: Counter[str] = Counter()
        self.bad_rows: list[BadRow] = []

    def take(self, chunk: Iterable[tuple[Item, Place]]) -> None:
        for item, place in chunk:
            if self._source.take is not None and len(self._seen) >= self._source.take:
                return
            name = f"{self._source.name}-{self._first + self.read}"
            self.read += 1
            try:
                self._keep(item, name)
            except Dropped as dropped:
                self._leave_out(_label(item, name), place, dropped)

    def _keep(self, item: Item, name: str) -> None:
        if isinstance(item, Dropped):
            raise item
        row = stored(self._source.convert(item), self._source, name, self._plan.coordinates)
        if row.id in self._seen:
            raise Dropped("duplicate id", row.id)
        self._seen.add(row.id)
        self.rows.append(row)

    def _leave_out(self, name: str, place: Place, dropped: Dropped) -> None:
        if dropped.filtered:
            self.filters[dropped.reason] += 1
            return
        self.bad[dropped.reason] += 1
        self.bad_rows.append(
            BadRow(
                id=_readable(name),
                reason=dropped.reason,
                detail=_readable(dropped.detail),
                file=_readable(place.file),
                line=place.line,
                row=place.row,
            )
        )


def _readable(text: str) -> str:
    return text.encode(errors="replace").decode()


def _label(item: Item, name: str) -> str:
    """What people know a wrong row by: its own id where it has one, else its number."""
    known = None if isinstance(item, Dropped) else item.get("id")
    return str(known)[:200] if isinstance(known, str | int) and known != "" else name
