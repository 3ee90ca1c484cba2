"""Studies as files that hold all of them, read from and written to a database directly."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from modomodo.database import opened
from modomodo.errors import CommandFailed, problems


@dataclass(frozen=True, slots=True)
class Stored:
    """What an import did."""

    name: str
    n_trials: int
    n_renumbered: int


def text(database: str, study: str) -> str:
    """The archive of a study as JSON, a line for each trial and event.

    Raises:
        CommandFailed: the database cannot be used, or has no such study.
    """
    with opened(database) as found:
        from db import archive, upgrade

        upgrade.prepare(found)
        with found.read() as session:
            return _written(archive.dump(session, study))


def store(database: str, file: Path, name: str | None) -> Stored:
    """Stores the archive in a file, all of it or nothing.

    Raises:
        CommandFailed: the file is no archive, the name is taken, or the database cannot be used.
    """
    with opened(database, must_exist=False) as found:
        from db import archive, upgrade
        from db.errors import BadArchive
        from service.study import archive_checks

        try:
            content = archive.Archive.model_validate_json(file.read_bytes())
            spec = archive_checks.check(content, name)
        except OSError as error:
            raise CommandFailed(f"cannot read {file}: {error.strerror}") from error
        except ValidationError as error:
            raise CommandFailed(f"{file} is no archive of a study: {problems(error)}") from error
        except BadArchive as error:
            raise CommandFailed(f"{file} is no archive of a study: {error}") from error
        upgrade.prepare(found)
        with found.write() as session:
            renumbered = archive.load(session, content, spec.model_dump(mode="json"))
    return Stored(spec.name, len(content.trials), renumbered)


def _written(document: dict[str, Any]) -> str:
    def line(value: Any) -> str:
        return json.dumps(value, allow_nan=False)

    parts = []
    for key, value in document.items():
        if isinstance(value, list):
            rows = ",\n".join(map(line, value))
            parts.append(f"{line(key)}: [\n{rows}\n]" if value else f"{line(key)}: []")
        else:
            parts.append(f"{line(key)}: {line(value)}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
