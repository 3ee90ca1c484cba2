"""The server that training runs of this process are forked from."""

from __future__ import annotations

from multiprocessing import forkserver


def begin_anew() -> None:
    """Ends it: the next run starts one that has imported what that run needs. One that an earlier
    test started may have imported no torch, and then every run would."""
    forkserver._forkserver._stop()
