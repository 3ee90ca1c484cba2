"""The fields of a form as they were typed, by their path in a body: `domains.0.name`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl

from service.dashboard.session import MOST_FIELDS
from service.errors import invalid


class FormFields:
    """Texts by path; rows of a list count from 0 without gaps.

    Args:
        fields: as they were typed.
        rows: lists, each with the fields by which one sees that a row was filled in.
    """

    def __init__(self, fields: Mapping[str, str], rows: Mapping[str, tuple[str, ...]]) -> None:
        self._fields = {
            path: text.strip() for path, text in fields.items() if path.split(".")[0] not in rows
        }
        self._rows = {name: _filled(fields, name, filled_by) for name, filled_by in rows.items()}

    @classmethod
    def of_body(cls, body: bytes, rows: Mapping[str, tuple[str, ...]]) -> FormFields:
        """From a form that a browser sent.

        Raises:
            Refused: it is none, or has too many fields.
        """
        try:
            pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
        except ValueError as error:
            raise invalid(f"the form cannot be read: {error}") from error
        return cls(dict(pairs), rows)

    def __getitem__(self, path: str) -> str:
        """What stands in a field; empty where nothing does."""
        head, _, rest = path.partition(".")
        if head in self._rows:
            place, _, name = rest.partition(".")
            return self.rows(head)[int(place)].get(name, "")
        return self._fields.get(path, "")

    def rows(self, name: str) -> list[dict[str, str]]:
        """The rows of a list, each by its fields."""
        return self._rows[name]

    def everything(self) -> dict[str, str]:
        """All fields by path, as they were typed."""
        rows = {
            f"{name}.{place}.{field}".removesuffix("."): text
            for name, listed in self._rows.items()
            for place, row in enumerate(listed)
            for field, text in row.items()
        }
        return self._fields | rows

    def below(self, name: str) -> dict[str, str]:
        """The filled fields of a section."""
        head = f"{name}."
        return {
            path.removeprefix(head): text
            for path, text in self._fields.items()
            if path.startswith(head) and text
        }

    def with_rows(self, name: str, n: int) -> FormFields:
        """The same with at least `n` rows of a list, the added ones empty."""
        added: list[dict[str, str]] = [{} for _ in range(n - len(self._rows[name]))]
        other = FormFields({}, {})
        other._fields, other._rows = self._fields, self._rows | {name: self._rows[name] + added}
        return other


def _filled(
    fields: Mapping[str, str], name: str, filled_by: tuple[str, ...]
) -> list[dict[str, str]]:
    rows: dict[int, dict[str, str]] = {}
    for path, text in fields.items():
        head, _, rest = path.partition(".")
        place, _, field = rest.partition(".")
        if head == name and place.isdecimal() and len(place) < 9:
            rows.setdefault(int(place), {})[field] = text.strip()
    return [
        rows[place] for place in sorted(rows) if any(rows[place].get(field) for field in filled_by)
    ]


def flat(value: Any, path: str = "") -> dict[str, str]:
    """A body as the texts that would be typed for it."""
    if isinstance(value, Mapping):
        pairs = list(value.items())
    elif isinstance(value, list):
        pairs = list(enumerate(value))
    else:
        return {path: "" if value is None else str(value)}
    found: dict[str, str] = {}
    for key, part in pairs:
        found |= flat(part, f"{path}.{key}" if path else str(key))
    return found
