"""Commands on a file of runs, in this process."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from typer.testing import CliRunner, Result

from modomodo.cli import app
from modomodo.errors import CommandFailed


def written(path: Path, head: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    """The file, with these rows in it."""
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    return path


def said(*arguments: object, **options: Any) -> Any:
    """The JSON document that a command prints.

    Args:
        options: of `CliRunner.invoke`, such as `input`.
    """
    return json.loads(_done(*arguments, "--json", **options).stdout)


def printed(*arguments: object) -> str:
    """What a command tells a person, without line breaks."""
    return " ".join(_done(*arguments).stdout.split())


def told(*arguments: object) -> str:
    """The same with what it tells beside, on the stream of errors."""
    return " ".join(_done(*arguments).output.split())


def refused(*arguments: object) -> CommandFailed:
    """What a command says when it will not do a thing."""
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert isinstance(result.exception, CommandFailed), result.output
    return result.exception


def _done(*arguments: object, **options: Any) -> Result:
    runner = CliRunner()
    result = runner.invoke(app, [*map(str, arguments)], catch_exceptions=False, **options)
    assert result.exit_code == 0, result.output
    return result
