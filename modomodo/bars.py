"""Progress bars."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


def counting(console: Console) -> Progress:
    """Done of all, and the time that is left."""
    text = TextColumn("{task.description}")
    return Progress(text, BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), console=console)


def timed(console: Console) -> Progress:
    """The time since the start."""
    text = TextColumn("{task.description}")
    return Progress(text, BarColumn(), TimeElapsedColumn(), console=console)
