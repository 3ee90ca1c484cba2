"""A trainer that trains nothing, for what is about leases and workers, not about learning.

It is a program of back end `command`: three steps, then a score for each benchmark, in some
milliseconds. Its arguments say what it waits for in between.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tests.support.bodies import study_body

STEPS = 3
BENCHMARKS = ("lisa_test", "chart", "info")

SCRIPT = """#!/bin/sh
set -e
for step in 1 2 3; do
  echo "{\\"step\\": $step, \\"metrics\\": {\\"reward\\": 0.$step}}" >> "$MODOMODO_PROGRESS"
done
echo "$CUDA_VISIBLE_DEVICES" > devices
case "$1" in
  "") ;;
  anywhile) sleep "0.$(od -An -N1 -tu1 /dev/urandom | tr -d ' ')" ;;
  *) until [ -e "$1" ]; do sleep 0.05; done ;;
esac
cat "$0.json" > "$MODOMODO_RESULT"
"""


def install(folder: Path) -> Path:
    """Puts the program into a folder of commands."""
    folder.mkdir(parents=True, exist_ok=True)
    program = folder / "toy"
    program.write_text(SCRIPT)
    program.chmod(0o755)
    measurements = [{"benchmark": name, "score": 0.5, "samples": 100} for name in BENCHMARKS]
    program.with_name("toy.json").write_text(json.dumps({"measurements": measurements}))
    return folder


def recipe(waits_for: str | Path = "") -> dict[str, Any]:
    """A recipe that it runs.

    Args:
        waits_for: before it scores, until this file is there; `anywhile` is up to a quarter of a
            second; nothing at all where it is empty.
    """
    command = {"script": "toy", "arguments": [str(waits_for)] if waits_for else []}
    return {"backend": "command", "steps": STEPS, "command": command}


def study(waits_for: str | Path = "", **changes: Any) -> dict[str, Any]:
    """A study whose trials it trains."""
    body = {"strategy": "seed", "budget": 1, "lease_s": 60.0, "recipe": recipe(waits_for)}
    return study_body("toys", **(body | changes))
