"""Runs kept at a URL that every node reaches, so that any of them can go on with a trial.

    <url>/<study>/trial-<id>/checkpoints/<step>-<random>/    a run's folder as of a checkpoint
    <url>/<study>/trial-<id>/final/                          a finished run

The address follows from the trial alone. A `manifest.json` with every file's size and SHA-256 is
written last, and removed first: without it, what lies there is the rest of a torn upload.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Annotated, Any

import fsspec
import structlog
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from trainer.storage import files as storage_files

MANIFEST = "manifest.json"

log = structlog.get_logger()


class StoreError(Exception):
    """A store cannot be used."""


def _inside(path: str) -> str:
    parts = PurePosixPath(path)
    if not path or parts.is_absolute() or ".." in parts.parts or "\\" in path:
        raise ValueError(f"{path!r} leads out of the folder")
    return path


class StoredFile(BaseModel):
    """One file of a whole upload."""

    model_config = ConfigDict(frozen=True)

    path: Annotated[str, AfterValidator(_inside)]
    size: Annotated[int, Field(ge=0)]
    sha256: str


class Manifest(BaseModel):
    """What makes an upload whole."""

    model_config = ConfigDict(frozen=True)

    step: Annotated[int, Field(ge=0)]
    files: list[StoredFile]


class Store:
    """A place for runs.

    Args:
        url: any that fsspec knows, as `s3://bucket/prefix`, or a folder. Credentials are the
            environment's.

    Raises:
        StoreError: it is no such URL, or what speaks its protocol is not installed.
    """

    def __init__(self, url: str) -> None:
        try:
            self._files, root = fsspec.url_to_fs(url)
        except (ImportError, ValueError, OSError) as error:
            raise StoreError(f"cannot use store {url!r}: {error}") from error
        if "memory" in _protocols(self._files):
            raise StoreError(f"store {url!r} is this process's own memory; no other node sees it")
        self._root = root.rstrip("/")

    def at(self, url: str) -> StoredRun | None:
        """The place of the trial whose finished run is at this URL; None where that is in another
        store."""
        place = str(self._files._strip_protocol(url))
        here = place.startswith(f"{self._root}/") and place.endswith("/final")
        if not here or self._files.unstrip_protocol(place) != url:
            return None
        return StoredRun(self._files, place.removesuffix("/final"))

    def of(self, study: str, trial_id: int) -> StoredRun:
        """The place of one trial."""
        return StoredRun(self._files, f"{self._root}/{study}/trial-{trial_id}")


@dataclass(frozen=True, slots=True)
class StoredRun:
    """What a store has of one trial. Every method raises whatever the file system raises."""

    files: Any
    """fsspec's file system."""
    place: str

    @property
    def final(self) -> str:
        """URL of the finished run."""
        return str(self.files.unstrip_protocol(f"{self.place}/final"))

    def put(self, folder: Path, step: int) -> None:
        """Uploads a run's folder as of a checkpoint."""
        self._upload(folder, f"{self.place}/checkpoints/{step:08d}-{secrets.token_hex(4)}", step)

    def put_final(self, folder: Path, step: int) -> None:
        """Uploads a finished run in the place of one that is there."""
        self._remove(f"{self.place}/final")
        self._upload(folder, f"{self.place}/final", step)

    def finished(self) -> Manifest | None:
        """What the finished run has; None while it is not there whole."""
        self.files.invalidate_cache()
        try:
            text = self.files.cat_file(f"{self.place}/final/{MANIFEST}")
            return Manifest.model_validate_json(text)
        except (FileNotFoundError, ValidationError):
            return None

    def fetch_finished(self, manifest: Manifest, into: Path) -> str | None:
        """Lays files of the finished run into a folder.

        Returns:
            The first one that is not as the manifest says; None where all are.
        """
        return self._download(f"{self.place}/final", manifest, into)

    def fetch(self, into: Path, after: int) -> int | None:
        """Lays the newest whole checkpoint of a later step than `after` into an empty folder.

        Returns:
            Its step; None where there is none. One that is damaged is passed over.
        """
        for place, manifest in sorted(self._whole(), key=lambda one: -one[1].step):
            if manifest.step <= after:
                break
            damaged = self._download(place, manifest, into)
            if damaged is None:
                return manifest.step
            log.warning("stored checkpoint is damaged", place=place, file=damaged)
        return None

    def prune(self, keep: int) -> None:
        """Removes all but the newest checkpoints, and what older uploads left unfinished."""
        whole = sorted(self._whole(), key=lambda one: one[1].step)
        kept = {place for place, _ in whole[-keep:]}
        newest = whole[-1][1].step if whole else -1
        for place in self._checkpoints():
            if place not in kept and int(PurePosixPath(place).name.split("-")[0]) <= newest:
                self._remove(place)

    def forget(self) -> None:
        """Removes all checkpoints: the trial is over."""
        for place in self._checkpoints():
            self._remove(place)

    def _checkpoints(self) -> list[str]:
        self.files.invalidate_cache()
        root = f"{self.place}/checkpoints"
        if not self.files.exists(root):
            return []
        return [str(name).rstrip("/") for name in self.files.ls(root, detail=False)]

    def _whole(self) -> Iterator[tuple[str, Manifest]]:
        for place in self._checkpoints():
            try:
                text = self.files.cat_file(f"{place}/{MANIFEST}")
                yield place, Manifest.model_validate_json(text)
            except (FileNotFoundError, ValidationError):
                continue

    def _upload(self, folder: Path, place: str, step: int) -> None:
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        for parent in sorted({path.parent for path in paths} | {folder}):
            self.files.makedirs(_below(place, folder, parent), exist_ok=True)
        listed = []
        for path in paths:
            self.files.put_file(str(path), _below(place, folder, path))
            digest = storage_files.sha256(path)
            if digest is None:
                raise FileNotFoundError(path)
            listed.append(
                StoredFile(
                    path=path.relative_to(folder).as_posix(),
                    size=path.stat().st_size,
                    sha256=digest,
                )
            )
        manifest = Manifest(step=step, files=listed)
        self.files.pipe_file(f"{place}/{MANIFEST}", manifest.model_dump_json(indent=1).encode())

    def _download(self, place: str, manifest: Manifest, into: Path) -> str | None:
        """The first file that is not as the manifest says; None where all are."""
        for file in manifest.files:
            target = into / file.path
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                self.files.get_file(f"{place}/{file.path}", str(target))
            except FileNotFoundError:
                return file.path
            if target.stat().st_size != file.size or storage_files.sha256(target) != file.sha256:
                return file.path
        return None

    def _remove(self, place: str) -> None:
        for path, recursive in ((f"{place}/{MANIFEST}", False), (place, True)):
            try:
                self.files.rm(path, recursive=recursive)
            except FileNotFoundError:
                continue


def _below(place: str, folder: Path, path: Path) -> str:
    inner = path.relative_to(folder).as_posix()
    return place if inner == "." else f"{place}/{inner}"


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)
