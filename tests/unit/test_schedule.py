"""Which files of the tests go to one process, and what all processes do without."""

from pathlib import Path

import pytest

from tests.support.schedule import COLLECTED, TOGETHER, Schedule

ROOT = Path(__file__).parents[2]


def test_collecting_tests_imports_nothing_that_takes_seconds(request):
    assert request.config.stash[COLLECTED] == frozenset()


@pytest.mark.parametrize("path", [path for files in TOGETHER.values() for path in files])
def test_what_goes_together_is_there(path):
    assert (ROOT / path).exists()


def test_others_go_file_by_file():
    split = Schedule._split_scope
    schedule = object.__new__(Schedule)
    assert split(schedule, "tests/unit/test_rates.py::test_a") == "tests/unit/test_rates.py"
    browser = {
        split(schedule, f"tests/acceptance/dashboard/{name}.py::test_a")
        for name in ("test_looks", "test_story")
    }
    assert len(browser) == 1
