"""All datasets known by name, and the way to the user's own."""

from __future__ import annotations

import re
from pathlib import Path

from pydantic import ValidationError

from trainer.benchmarks.table import BENCHMARKS
from trainer.domains import coco, geoqav, lisa, own, own_files, reading, sat, scienceqa
from trainer.domains.errors import DataError
from trainer.domains.own import OwnData
from trainer.domains.reading import Reader
from trainer.domains.source import Source

DOMAINS: dict[str, Source] = {
    source.name: source
    for source in (coco.TRAIN, lisa.TRAIN, geoqav.TRAIN, sat.TRAIN, scienceqa.TRAIN)
}

SOURCES: dict[str, Source] = DOMAINS | {
    benchmark.source.name: benchmark.source for benchmark in BENCHMARKS.values()
}

HUB = "hub"


def open_dataset(what: str, where: str | None = None) -> tuple[Source, Reader]:
    """A dataset and a reader of its records.

    Args:
        what: a name of `SOURCES`, a YAML that maps columns, or the user's own file or folder.
        where: `hub` (the default of known names), or the folder of a local copy; for a YAML, the
            folder that its paths start from instead of its own.

    Raises:
        DataError: no such dataset, or it cannot be read.
    """
    source = SOURCES.get(what)
    if source is not None:
        if where in (None, HUB):
            return source, reading.from_hub(source)
        return source, reading.from_folder(source, Path(where))
    path = Path(what)
    if not path.exists():
        raise DataError(f"no dataset {what!r} and no such file; known: {', '.join(SOURCES)}")
    if path.suffix in (".yaml", ".yml"):
        spec, base = own.load(path), Path(where) if where else path.parent
    else:
        spec, base = _unmapped(path), Path()
    source = spec.source()
    if spec.hub is not None:
        return source, reading.from_hub(source)
    return source, own_files.open_files(spec, base)


def _unmapped(path: Path) -> OwnData:
    """The user's file or folder as it is, named after itself."""
    name = re.sub(r"[^A-Za-z0-9_.-]+", "-", path.resolve().stem).strip("-._")
    try:
        return OwnData(name=name, path=str(path))
    except ValidationError as error:
        raise DataError(f"{path} makes no name of a dataset; give one in a YAML") from error
