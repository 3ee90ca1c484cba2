"""A measurement in a process of its own, which no other one has warmed or filled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from bench.report import ROOT


def in_a_process(module: str, *arguments: str, **environment: str) -> dict[str, Any]:
    """What a module prints on its last line, as JSON; it computes in one thread.

    Raises:
        subprocess.CalledProcessError: it failed.
    """
    done = subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found
