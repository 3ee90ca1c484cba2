"""Prepares a dataset: reads its source once, writes Parquet parts, and a manifest at the end.

Records are taken in chunks of fixed size, and each chunk becomes a part and a report of what
happened to its records. A part is written whole or not at all, so a prepare that was killed goes on
after the last good part, and ends with the same bytes as one that was not.
"""

from __future__ import annotations

import hashlib
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path
from typing import TypeVar

import pyarrow.parquet as pq

from trainer.domains import files, manifest
from trainer.domains.canonical import StoredRow
from trainer.domains.errors import DataError
from trainer.domains.manifest import Losses, Manifest, Part, Subset
from trainer.domains.progress import Plan, ProgressFolder, Report
from trainer.domains.reading import Item, Reader
from trainer.domains.source import Source
from trainer.domains.subsets import stratified
from trainer.domains.tally import Tally
from trainer.rows import Coordinates
from trainer.storage import files as storage_files

T = TypeVar("T")

CHUNK = 256
"""Records of the source that become one part."""

ReportProgress = Callable[[int, int | None, int], None]
"""Told records read, records in all (None: not known), rows kept."""


def prepare(
    source: Source,
    reader: Reader,
    out: Path,
    *,
    coordinates: Coordinates = "thousandths",
    limit: int | None = None,
    progress: ReportProgress = lambda read, total, kept: None,
    chunk: int = CHUNK,
) -> Manifest:
    """Reads all records, writes the good rows to `out`, and returns its manifest.

    A folder that was made from the same source in the same way is left as it is.

    Args:
        coordinates: what boxes shall count in.
        limit: keep a stratified subset of so many rows.
        progress: told after each chunk.
        chunk: records of the source that become one part; to go on, the same as before.

    Raises:
        DataError: `out` holds something else, no row is good, or the source breaks off.
    """
    plan = Plan(
        source=source.name,
        origin=reader.origin,
        coordinates=coordinates,
        rule=source.rule,
        official=source.official,
        longer_side=source.longer_side,
        take=source.take,
        limit=limit,
        settings=source.settings,
    )
    if (out / manifest.FILE).exists():
        return _finished(out, plan)
    folder = ProgressFolder(out)
    with folder.begin(plan):
        reports = folder.reports()
        for report in _work(source, reader, folder, plan, reports, chunk):
            reports.append(report)
            progress(_read(reports), reader.total, sum(len(one.ids) for one in reports))
        made = _finish(source, folder, plan, reports)
    shutil.rmtree(folder.path)
    return made


def _finished(out: Path, plan: Plan) -> Manifest:
    made = manifest.load(out)
    if made.plan != plan.sha256():
        if (made.name, made.origin.name) == (plan.source, plan.origin.name) and (
            made.origin.revision != plan.origin.revision
        ):
            raise DataError(
                f"{out} holds {made.name} as its rows or pictures were before they were changed "
                "(another revision); choose another folder, or remove it to prepare it again"
            )
        raise DataError(
            f"{out} holds {made.name} prepared from another source or in another way; "
            "choose another folder"
        )
    for part in made.parts:
        if storage_files.sha256(out / part.file) != part.sha256:
            raise DataError(f"{out / part.file} is damaged; remove {out} and prepare it again")
    shutil.rmtree(out / manifest.PROGRESS, ignore_errors=True)  # killed just before it did so
    return made


def _work(
    source: Source,
    reader: Reader,
    folder: ProgressFolder,
    plan: Plan,
    done: Sequence[Report],
    size: int,
) -> Iterator[Report]:
    """Does the chunks that are not done, each written before it is handed over."""
    if done and done[-1].last:
        return
    seen = set(chain.from_iterable(report.ids for report in done))
    read = _read(done)
    items = _guarded(reader.items(done[-1].bookmark if done else {}), plan.origin.name, read)
    number, last = len(done), False
    while not last:
        chunk = [(item, reader.place()) for item in islice(items, size)]
        tally = Tally(source, plan, read, seen)
        tally.take(chunk)
        full = source.take is not None and len(seen) >= source.take
        last = len(chunk) < size or full
        report = Report(
            read=tally.read,
            bookmark=reader.bookmark(),
            last=last,
            filters=tally.filters,
            bad=tally.bad,
            bad_rows=tally.bad_rows,
            part=_write(folder.part_file(number), tally.rows),
            digests=[row.digest().hex() for row in tally.rows],
            ids=[row.id for row in tally.rows],
            strata=[row.stratum for row in tally.rows],
            answer_types=[row.answer_type for row in tally.rows],
            images=[len(row.images) for row in tally.rows],
        )
        folder.add(number, report)
        read += tally.read
        number += 1
        yield report


def _guarded(items: Iterator[Item], name: str, read: int) -> Iterator[Item]:
    """The items; what a broken file or connection throws becomes one kind of error."""
    try:
        for item in items:
            yield item
            read += 1
    except DataError:
        raise
    except Exception as error:  # of pyarrow, of file systems, of the hub's HTTP library of the day
        raise DataError(
            f"{name} broke off after {read} records: {error}; the same command goes on from there"
        ) from error


def _write(path: Path, rows: Sequence[StoredRow]) -> Part | None:
    if not rows:
        return None
    sha256 = files.write_rows(path, [row.columns() for row in rows])
    return Part(file=path.name, rows=len(rows), sha256=sha256)


def _read(reports: Sequence[Report]) -> int:
    return sum(report.read for report in reports)


def _finish(
    source: Source, folder: ProgressFolder, plan: Plan, reports: Sequence[Report]
) -> Manifest:
    """Puts parts where they belong, and last of all the manifest."""
    losses = _losses(reports)
    ids = _all(report.ids for report in reports)
    strata = _all(report.strata for report in reports)
    if not ids:
        found = ", ".join(f"{n} {reason}" for reason, n in (losses.filters | losses.bad).items())
        lines = chain.from_iterable(losses.shown().values())
        told = "".join(f"\n  {line}" for line in lines)
        raise DataError(f"no row of {plan.origin.name} is good ({found or 'it has none'}){told}")
    chosen = range(len(ids)) if plan.limit is None else stratified(ids, strata, plan.limit)

    def counted(values: Sequence[str | int]) -> dict[str, int]:
        return dict(sorted(Counter(str(values[index]) for index in chosen).items()))

    digests = _all(report.digests for report in reports)
    content = hashlib.sha256(b"".join(bytes.fromhex(digests[index]) for index in chosen))
    made = Manifest(
        name=source.name,
        domain=source.domain,
        origin=plan.origin,
        read=_read(reports),
        rows=len(chosen),
        paper_rows=source.paper_rows,
        dropped=losses,
        subset=None if plan.limit is None else Subset(limit=plan.limit, of=len(ids)),
        rule=source.rule,
        official=source.official,
        coordinates=plan.coordinates,
        longer_side=source.longer_side,
        answer_types=counted(_all(report.answer_types for report in reports)),
        images=counted(_all(report.images for report in reports)),
        strata=counted(strata),
        plan=plan.sha256(),
        sha256=content.hexdigest(),
        parts=_publish(folder, reports, chosen),
    )
    storage_files.write_whole(
        folder.out / manifest.FILE, made.model_dump_json(indent=1).encode() + b"\n"
    )
    return made


def _publish(
    folder: ProgressFolder, reports: Sequence[Report], chosen: Sequence[int]
) -> list[Part]:
    """Moves whole parts to their final place, and writes the chosen rows of the others there."""
    parts, first, wanted = [], 0, set(chosen)
    for report in reports:
        if report.part is None:
            continue
        picked = [i for i in range(report.part.rows) if first + i in wanted]
        first += report.part.rows
        target = folder.out / report.part.file
        path = folder.find(report.part)
        if path is None:
            raise DataError(
                f"{target.name} was changed by another program; prepare {folder.out} again"
            )
        if len(picked) == report.part.rows:
            path.replace(target)
            parts.append(report.part)
        elif picked:
            sha256 = files.write_table(target, pq.read_table(path).take(picked))
            parts.append(Part(file=target.name, rows=len(picked), sha256=sha256))
    return parts


def _losses(reports: Sequence[Report]) -> Losses:
    filters: Counter[str] = Counter()
    bad: Counter[str] = Counter()
    for report in reports:
        filters.update(report.filters)
        bad.update(report.bad)
    rows = _all(report.bad_rows for report in reports)
    return Losses(filters=dict(sorted(filters.items())), bad=dict(sorted(bad.items())), rows=rows)


def _all(lists: Iterable[Sequence[T]]) -> list[T]:
    return list(chain.from_iterable(lists))
