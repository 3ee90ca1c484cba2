"""`modomodo demo`, from the first line to the table, and what an interrupted one leaves behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.support import TRAINING_S, forks
from tests.support.warm import run

pytestmark = pytest.mark.timeout(TRAINING_S)

SMALL = ("--steps", "1", "--domains", "coco,sat", "--port", "0", "--exit")


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "modomodo", "demo", "--folder", str(folder), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | forks.environment(),
    )


@pytest.mark.parametrize(
    ("trials", "arguments"),
    [
        (2, ("--items", "4", "--workers", "1")),
        pytest.param(3, (), marks=pytest.mark.slow),
    ],
    ids=["short", "whole"],
)
def test_an_interrupted_demo_goes_on_where_it_stopped_and_ends_with_the_table(
    tmp_path, trials, arguments
):
    options = (*SMALL, "--trials", str(trials), *arguments)
    first = start(tmp_path, *options)
    before = []
    for line in first.stdout:
        before.append(line)
        if re.match(r" +1 +\d", line):  # the line of the first finished run
            break
    first.send_signal(signal.SIGINT)
    rest, _ = first.communicate(timeout=120)
    assert first.returncode == 130, rest
    assert "the same command goes on from here" in rest
    assert not [p for p in psutil.process_iter(["cmdline"]) if str(tmp_path) in _command(p)]

    second = start(tmp_path, *options)
    output, _ = second.communicate(timeout=280)
    assert second.returncode == 0, output
    assert "going on with study 'demo'" in output
    assert "scoring the base model" not in output, "the base's scores were kept"
    table = output[output.index("points of 100") :]
    assert all(row in table for row in ("base", "uniform", "train this"))
    assert len(re.findall(r"^ +\d+ +\d+\.\d ± ", output, flags=re.MULTILINE)) == trials


def _command(process: psutil.Process) -> str:
    return " ".join(process.info["cmdline"] or [])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--domains", "coco,loco"), "unknown domain 'loco'; there are coco, lisa"),
        (("--strategy", "magic"), "unknown strategy 'magic'"),
    ],
)
def test_a_bad_option_is_refused_in_one_line_before_anything_is_started(
    tmp_path, arguments, message
):
    refused = run("demo", "--folder", tmp_path / "demo", *SMALL, *arguments)
    assert refused.returncode == 1
    assert message in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr
    assert not (tmp_path / "demo").exists()
