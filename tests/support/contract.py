"""schemathesis against a real service: all that its OpenAPI description says and rules out.

`bench.contract` runs it at length, `make test` for some seconds.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.support.bodies import scores, study_body

CONFIG = """
# That a mixture sums to 1, that text holds no U+0000, or that a study knows a benchmark, a schema
# cannot say: then 422 is the right answer to a body that the schema allows.
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "3xx", 401, 403, 404, 409, 422, 429]
"""

SOME = """
[[operations]]
include-name = "{name}"
phases.coverage.enabled = false
phases.fuzzing.generation.max-examples = 5
"""

ANSWERED_WITHIN_S = "120"
"""A machine may be busy: how fast calls are answered is measured elsewhere."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run found.

    Attributes:
        cases: calls that were made up and answered.
        operations: calls of the interface that were tried.
        failures: what was wrong, by kind, with the operations concerned.
        said: how to make the failures again.
    """

    cases: int
    operations: int
    failures: dict[str, list[str]]
    seconds: float
    said: str = ""


def bearer(key: str | None) -> dict[str, str]:
    return {} if key is None else {"Authorization": f"Bearer {key}"}


def fill(url: str, key: str | None = None) -> None:
    """A study with runs, so that made-up calls meet something."""
    with httpx.Client(base_url=url, timeout=30, headers=bearer(key)) as client:
        client.post("/studies", json=study_body("a")).raise_for_status()
        for share in (0.2, 0.3, 0.5):
            mixture = {"coco": share, "lisa": 1 - share, "sat": 0.0}
            body = {"mixture": mixture, "measurements": scores(share)}
            client.post("/studies/a/trials", json=body).raise_for_status()


def run(
    url: str,
    folder: Path,
    *,
    examples: int,
    seed: int,
    phases: str,
    key: str | None = None,
    some_of: Iterable[str] = (),
) -> Outcome:
    """Makes calls up and checks every answer.

    Args:
        examples: at most so many random ones of each operation and phase.
        key: whose calls they are.
        some_of: calls, such as `PATCH /studies/{study}`, of which 5 random ones are tried instead
            of one for each bound of each field.

    Raises:
        RuntimeError: schemathesis itself failed; the message is its output.
    """
    (folder / "schemathesis.toml").write_text(
        CONFIG + "".join(SOME.format(name=name) for name in some_of)
    )
    report = folder / "report.json"
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "schemathesis.cli"),
            *("--config-file", str(folder / "schemathesis.toml")),
            *("run", f"{url}/openapi.json", "--checks", "all", "--mode", "all"),
            *("--phases", phases, "--max-examples", str(examples), "--seed", str(seed)),
            *("--continue-on-failure", "--no-shrink", "--request-timeout", ANSWERED_WITHIN_S),
            *(part for name, value in bearer(key).items() for part in ("-H", f"{name}: {value}")),
            *("--suppress-health-check", "all", "--warnings", "off"),
            *("--report", "json", "--report-json-path", str(report)),
        ],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if not report.exists():
        raise RuntimeError(ran.stdout[-4000:] + ran.stderr[-4000:])
    said: dict[str, Any] = json.loads(report.read_text())
    failures = {item["title"]: item["operations"] for item in said["failures"]}
    failures |= {str(error): [] for error in said["errors"]}
    return Outcome(
        cases=said["test_cases"]["generated"],
        operations=said["operations"]["tested"],
        failures=failures,
        seconds=said["running_time"],
        said=ran.stdout[-20_000:] if failures else "",
    )
