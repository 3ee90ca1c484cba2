"""Tables as spreadsheets save them: commas, semicolons or tabs between the cells."""

from __future__ import annotations

import csv
import io
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from service.notation.numbers import Mark, decimal_mark

DELIMITERS = (",", ";", "\t")
"""The first of those that part the first line into most cells is taken."""

WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""How files of Excel and LibreOffice begin."""
UTF16 = (b"\xff\xfe", b"\xfe\xff")


class BadTable(ValueError):  # noqa: N818 - it names a state of things
    """A table that cannot be read; says where, and what would be right."""


@dataclass(frozen=True, eq=False)
class Table:
    """A table's text.

    Attributes:
        name: of the file, for messages.
        heads: names of the columns; unnamed ones are left out.
        lines: (n,) line that each row begins in, the file's first being line 1.
        rows: cells by column, without the blanks around them.
        mark: decimal mark of its numbers.
    """

    name: str
    heads: tuple[str, ...]
    lines: tuple[int, ...]
    rows: tuple[dict[str, str], ...]
    mark: Mark


def read(
    content: bytes, name: str, *, most_rows: int | None = None, most_columns: int | None = None
) -> Table:
    """Reads a file's content. Nothing at all is a table without columns.

    Args:
        name: what messages call the file.
        most_rows: below the first; None for any number.
        most_columns: None for any number.

    Raises:
        BadTable: not text, too large, a column twice, or a row with too many or too few cells; says
            the line and what would be right.
    """
    text = _text(content, name)
    delimiter = _delimiter(text)
    rows = _rows(text, delimiter, name)
    top, heads = next(rows, (1, []))
    if most_columns is not None and len(heads) > most_columns:
        raise BadTable(
            f"{name}, line {top}: {len(heads):,} columns; at most {most_columns:,} are read"
        )
    named_heads = [head for head in heads if head]
    doubles = sorted(head for head, n in Counter(named_heads).items() if n > 1)
    if doubles:
        raise BadTable(
            f"{name}, line {top}: column {doubles[0]!r} comes twice; rename or delete one"
        )
    lines: list[int] = []
    cells: list[dict[str, str]] = []
    for line, row in rows:
        while len(row) > len(heads) and not row[-1]:
            row.pop()
        if len(row) != len(heads):
            raise BadTable(
                f"{name}, line {line}: {len(row)} cells for {len(heads)} columns; "
                + _how_to_mend(len(row) > len(heads), delimiter)
            )
        if most_rows is not None and len(lines) == most_rows:
            raise BadTable(
                f"{name}, line {line}: more than {most_rows:,} rows; split the file there"
            )
        lines.append(line)
        cells.append({head: cell for head, cell in zip(heads, row, strict=True) if head})
    every = (cell for row in cells for cell in row.values())
    mark = decimal_mark(every, comma_likely=delimiter == ";")
    return Table(name, tuple(named_heads), tuple(lines), tuple(cells), mark)


def _text(content: bytes, name: str) -> str:
    if content.startswith(WORKBOOKS):
        raise BadTable(f"{name} is a workbook; save its sheet as CSV")
    try:
        return content.decode("utf-16" if content.startswith(UTF16) else "utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise BadTable(
            f"cannot read {name}: line {line} is not UTF-8 text; save the sheet as 'CSV UTF-8'"
        ) from error


def _delimiter(text: str) -> str:
    """What parts the cells of the first line that has any; Excel may name it in a line before."""
    first = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    if _names_delimiter(first):
        return first.strip().strip('"')[4:] or "\t"
    counts = {mark: len(next(csv.reader([first], delimiter=mark), [])) for mark in DELIMITERS}
    return max(DELIMITERS, key=lambda mark: counts[mark])


def _names_delimiter(line: str) -> bool:
    """Whether it is the line `sep=;` that Excel writes and hides."""
    stripped = line.strip().strip('"')
    return stripped.startswith("sep=") and stripped[4:] in ("", *DELIMITERS)


def _rows(text: str, delimiter: str, name: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, each with the line that it begins in."""
    # Only line ends part rows: other marks that Unicode breaks lines at may stand in a cell.
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True)
    begins = 1
    try:
        for row in reader:
            cells = [cell.strip() for cell in row]
            is_hint = begins == 1 and _names_delimiter(delimiter.join(cells))
            if any(cells) and not is_hint:
                yield begins, cells
            begins = reader.line_num + 1
    except csv.Error as error:
        raise BadTable(f"{name}, line {begins}: {error}") from error


def _how_to_mend(are_too_many: bool, delimiter: str) -> str:
    if not are_too_many:
        return "an empty cell needs its separator too"
    if delimiter == ",":
        return "with decimal commas, put ';' between the cells, or each number in quotes"
    return "a cell that holds the separator goes in quotes"
