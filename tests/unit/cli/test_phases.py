"""`--phase` and `--shares`: a mixture for each phase of a run."""

from __future__ import annotations

import pytest
from typer.testing import CliRunner

from modomodo import mixtures
from modomodo.cli import app
from modomodo.errors import WrongUse
from service.schemas import Phase

TWO = ["coco=0.9,sat=0.1", "sat=1"]


def test_phases_have_equal_parts_unless_said_otherwise():
    first, second = {"coco": 0.9, "sat": 0.1}, {"sat": 1.0}
    assert mixtures.schedule(TWO, None) == [
        Phase(share=0.5, mixture=first),
        Phase(share=0.5, mixture=second),
    ]
    assert [phase.share for phase in mixtures.schedule(TWO, "0.25, 0.75")] == [0.25, 0.75]
    assert mixtures.schedule([], None) == []


@pytest.mark.parametrize(
    ("phases", "shares", "said"),
    [
        (["coco=0.9", "sat=1"], None, "--phase: weights sum to 0.9, not 1"),
        (["coco", "sat=1"], None, "--phase: 'coco' is not domain=weight"),
        (["coco=1"] * 17, None, "17 of them; a run has 16 at most"),
        (TWO, "0.5", "--shares: 0.5 are 1, for 2 phases"),
        (TWO, "0.5,half", "are not numbers above 0 that sum to 1"),
        (TWO, "1,0", "are not numbers above 0 that sum to 1"),
        (TWO, "0.5,0.6", "are not numbers above 0 that sum to 1"),
        ([], "0.5,0.5", "--shares: of which phases?"),
    ],
)
def test_phases_that_cannot_be_are_wrong_use_and_say_why(phases, shares, said):
    with pytest.raises(WrongUse, match=said.replace("?", r"\?")):
        mixtures.schedule(phases, shares)


@pytest.mark.parametrize(
    "command",
    [
        ["trial", "add", "vlm"],
        ["trial", "add", "vlm", "coco=1", "--phase", "coco=1", "--phase", "sat=1"],
        ["train", "tiny"],
        ["train", "tiny", "--mixture", "coco=1", "--phase", "coco=1", "--phase", "sat=1"],
        ["recipe", "check", "tiny", "--mixture", "coco=1", "--phase", "sat=1"],
        ["study", "export", "vlm", "--trial", "3"],
    ],
)
def test_either_a_mixture_or_its_phases_are_given(command):
    result = CliRunner().invoke(app, command)
    assert result.exit_code == 2 or isinstance(result.exception, WrongUse), result.output
