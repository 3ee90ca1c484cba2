"""How a process of this program starts another: with this Python and this code, wherever it runs.

A folder of the user's that is called like one of the packages here is never imported instead.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

CODE = Path(__file__).resolve().parents[1]


def command(module: str, *arguments: str) -> list[str]:
    """Runs a module as a program. `-P` leaves the folder it runs in out of what it imports."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment() -> dict[str, str]:
    """This process's, in which the program finds this very code, also where it is not installed."""
    path = os.environ.get("PYTHONPATH")
    return os.environ | {"PYTHONPATH": os.pathsep.join([str(CODE), path] if path else [str(CODE)])}
