"""How long the tests take, in all and by file: `python -m bench.tests`.

Runs `make test`, which should have set everything up before. Processor time is that of all
processes that the tests start, also of those that their parents leave behind: this process adopts
them.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections import Counter
from contextlib import suppress
from pathlib import Path

from bench.report import ROOT, table, write_results, write_section

PR_SET_CHILD_SUBREAPER = 36
SLOWEST = 10
MINUTES, CPU_MINUTES = 6, 10
"""What was aimed at, on two cores that do nothing else."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--workers", type=int, default=4, help="processes that run tests")
    given = parser.parse_args()
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        load = os.getloadavg()[0]
        began = time.monotonic()
        tests = subprocess.Popen(
            [
                *("make", "--silent", "test", f"WORKERS={given.workers}"),
                f"PYTEST_ARGS=-q --junitxml={report}",
            ],
            cwd=ROOT,
        )
        # Those that were left behind end as they would elsewhere: somebody has to wait for them.
        pid, status = os.wait()
        while pid != tests.pid:
            pid, status = os.wait()
        seconds, code = time.monotonic() - began, os.waitstatus_to_exitcode(status)
        tests.returncode = code
        with suppress(ChildProcessError):
            while True:
                os.wait()
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        counts, files = read(report)
    if code:
        sys.exit(code)
    cpu = used.ru_utime + used.ru_stime
    slowest = files.most_common(SLOWEST)
    write_results(
        "tests",
        {"seconds": seconds, "cpu_s": cpu, "load_before": load, "counts": counts}
        | {"slowest": dict(slowest)},
    )
    lines = [
        f"{counts['passed']:,} passed, {counts['skipped']} skipped in {clock(seconds)} minutes by "
        f"the clock and {clock(cpu)} of processor time (aims: {MINUTES} and {CPU_MINUTES}), by "
        f"{given.workers} processes on {machine()}, load {load:.1f} before.",
        "The slowest files, in seconds by the clock of the processes that ran them:",
        table(["file", "s"], [[f"`{name}`", f"{seconds:.0f}"] for name, seconds in slowest]),
    ]
    write_section("tests", "\n\n".join(lines))
    print("\n".join(lines))


def read(report: Path) -> tuple[dict[str, int], Counter[str]]:
    """Numbers of tests by outcome, and seconds by file."""
    counts, files = Counter[str](), Counter[str]()
    for case in ET.parse(report).iter("testcase"):  # noqa: S314 - pytest has just written it
        names = case.get("classname", "").split(".")
        files[f"{'/'.join(names)}.py"] += float(case.get("time", 0))
        counts["skipped" if case.find("skipped") is not None else "passed"] += 1
    return {"passed": counts["passed"], "skipped": counts["skipped"]}, files


def clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02d}"


def machine() -> str:
    """One line on the processor."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    name = models[0] if models else platform.processor()
    return (
        f"{os.cpu_count()} cores ({name or platform.machine()}), Python {platform.python_version()}"
    )


if __name__ == "__main__":
    main()
