"""`modomodo demo`, from the first line to the table, and what an interrupted one leaves behind."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

import psutil
import pytest

from modomodo.demo import _score_base
from modomodo.errors import CommandFailed
from tests.support import TRAINING_S, forks
from tests.support.polling import until
from tests.support.warm import Command, run
from trainer.recipe import Recipe
from trainer.tiny.study import study_spec

pytestmark = pytest.mark.timeout(TRAINING_S)

SMALL = ("--steps", "1", "--domains", "coco,sat", "--port", "0", "--exit")


@contextmanager
def started(folder: Path, *arguments: str) -> Iterator[tuple[Command, IO[str]]]:
    """A demo and what it says; it is killed at the end of the block."""
    said, saying = os.pipe()
    words = ("demo", "--folder", folder, *arguments)
    with os.fdopen(said) as output:
        with os.fdopen(saying, "wb") as out:
            demo = Command(*words, environment=forks.environment(), stdout=out, stderr=out)
        with demo:
            yield demo, output


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
    with started(tmp_path, *options) as (first, said):
        for line in said:
            if re.match(r" +1 +\d", line):  # the line of the first finished run
                break
        first.send_signal(signal.SIGINT)
        rest = said.read()
        assert first.wait(60) == 130, rest
    assert "the same command goes on from here" in rest
    until(lambda: not at_work_in(tmp_path))

    with started(tmp_path, *options) as (second, said):
        output = said.read()
        assert second.wait(60) == 0, output
    assert "going on with study 'demo'" in output
    assert "scoring the base model" not in output, "the base's scores were kept"
    table = output[output.index("points of 100") :]
    assert all(row in table for row in ("base", "uniform", "train this"))
    assert len(re.findall(r"^ +\d+ +\d+\.\d ± ", output, flags=re.MULTILINE)) == trials


def test_a_base_model_that_cannot_be_scored_is_said_with_the_reason(tmp_path):
    study = study_spec("demo", recipe=Recipe(model="./nowhere"), budget=1, strategy="seed")
    with forks.shared(), pytest.raises(CommandFailed, match=r"score the base model: .*\./nowhere"):
        _score_base(study, tmp_path / "base.log")


def at_work_in(folder: Path) -> list[psutil.Process]:
    """Processes that have a file of it open, be it only a log."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(folder in Path(file.path).parents for file in process.open_files()):
                found.append(process)
    return found


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
