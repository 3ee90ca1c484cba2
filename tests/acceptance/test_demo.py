"""`modomodo demo`, from the first line to the table, and what an interrupted one leaves behind."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

SMALL = ("--trials", "3", "--steps", "1", "--domains", "coco,sat", "--port", "0", "--exit")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "modomodo", "demo", "--folder", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.timeout(600)
def test_an_interrupted_demo_goes_on_where_it_stopped_and_ends_with_the_table(tmp_path):
    first = start(tmp_path, *SMALL)
    before = []
    for line in first.stdout:
        before.append(line)
        if re.match(r" +1 +\d", line):  # the line of the first finished run
            break
    first.send_signal(signal.SIGINT)
    rest, _ = first.communicate(timeout=60)
    assert first.returncode == 130, rest
    assert "the same command goes on from here" in rest
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in _command(p)]

    second = start(tmp_path, *SMALL)
    output, _ = second.communicate(timeout=400)
    assert second.returncode == 0, output
    assert "going on with study 'demo'" in output
    assert "scoring the base model" not in output, "the base's scores were kept"
    table = output[output.index("points of 100") :]
    assert all(row in table for row in ("base", "uniform", "best of opening"))
    assert len(re.findall(r"^ +\d+ +\d+\.\d ± ", output, flags=re.MULTILINE)) == 3


def _command(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--domains", "coco,loco"), "unknown domain 'loco'; there are coco, lisa"),
        (("--strategy", "magic"), "unknown strategy 'magic'"),
    ],
)
def test_a_bad_option_is_refused_in_one_line_before_anything_is_trained(
    tmp_path, arguments, message
):
    demo = start(tmp_path, *SMALL, *arguments)
    output, _ = demo.communicate(timeout=120)
    assert demo.returncode == 1
    assert message in " ".join(output.split())
    assert "Traceback" not in output
    assert "scoring" not in output
