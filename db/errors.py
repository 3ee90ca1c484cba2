"""What storage refuses to do, as exceptions with a stable code."""
# ruff: noqa: N818 - they name a state of things, which an -Error would not make clearer

from __future__ import annotations

from typing import ClassVar


class StorageError(Exception):
    """Base of every refusal; `str(error)` says what, where, and what would be right."""

    code: ClassVar[str] = "storage-error"


class BadDatabase(StorageError):
    """The database cannot be used: wrong URL, or its schema is not this version's."""

    code = "bad-database"


class DatabaseNotFound(BadDatabase):
    """There is no file at this path."""


class StudyNotFound(StorageError):
    """No study has this name."""

    code = "study-not-found"


class TrialNotFound(StorageError):
    """No trial has this id."""

    code = "trial-not-found"


class StudyExists(StorageError):
    """A study of this name has another body."""

    code = "study-exists"


class KeyReused(StorageError):
    """An idempotency key came again with another body."""

    code = "idempotency-key-reused"


class BadKey(StorageError):
    """An API key cannot be made so."""

    code = "bad-key"


class KeyNotFound(StorageError):
    """No valid API key has this name."""

    code = "key-not-found"


class OwnerNotFound(StorageError):
    """No owner has this name."""

    code = "owner-not-found"


class LeaseLost(StorageError):
    """The token is not that of the trial's present lease."""

    code = "lease-lost"


class WrongState(StorageError):
    """The trial's state does not allow the change."""

    code = "wrong-state"


class TooManyScores(StorageError):
    """A trial would have more scores of checkpoints than are kept."""

    code = "too-many-scores"


class BadArchive(StorageError):
    """A study's file cannot be stored."""

    code = "bad-archive"
