"""Rules of the house that no linter knows."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
CONSTANT = re.compile(r"""set(?:attr|item)\([^)]*["'](?:[\w.]+\.)?[A-Z][A-Z0-9_]+["']""")


def test_no_test_changes_a_constant_of_a_module():
    """What tests want otherwise is a parameter, for others want it otherwise too."""
    changed = [
        f"{file.relative_to(TESTS)}: {found}"
        for file in TESTS.rglob("*.py")
        for found in CONSTANT.findall(file.read_text())
        if file != Path(__file__)
    ]
    assert changed == []
