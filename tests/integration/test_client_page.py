"""The page of the Python client: its example runs, and its table names every method."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path

from service.client import Client

PAGE = Path(__file__).parents[2] / "docs/reference/client.md"


def test_the_example_of_the_page_works_a_study_off(service_url, tmp_path):
    (example,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    done = subprocess.run(
        [sys.executable, "-c", example],
        env=os.environ | {"MODOMODO_URL": service_url},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    message, mixture = done.stdout.splitlines()
    assert message.startswith("Train this: the mixture of trial")
    assert re.fullmatch(r"\{'coco': [\d.]+, 'sat': [\d.]+\}", mixture)
    with Client(service_url) as client:
        assert client.study("from-python").trials["completed"] == 6


def test_the_page_names_every_method_and_no_others():
    offered = {name for name, _ in inspect.getmembers(Client, inspect.isfunction) if name[0] != "_"}
    table = PAGE.read_text().partition("## Methods")[2].partition("## When")[0]
    named = set(re.findall(r"`(\w+)\(", table)) - {"Client"}
    assert named == offered - {"close"}
