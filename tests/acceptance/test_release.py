"""What `make dist` makes: sources and a wheel that works where nothing else is installed."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).parents[2]
VERSION = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["version"]

RUNS = """w_coco,w_sat,score
1.0,0.0,0.41
0.0,1.0,0.44
0.5,0.5,0.52
0.7,0.3,0.50
0.3,0.7,0.51
"""


def call(*command: str | Path, cwd: Path, **environment: str) -> str:
    """What a command prints; it must end well."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    ended = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_wheel_of_a_release_works_in_an_empty_environment(tmp_path):
    """The wheel is made from the release's sources, as whoever packages it would."""
    build = (sys.executable, "-m", "hatchling", "build")
    call(*build, "-t", "sdist", "-d", tmp_path / "dist", cwd=CHECKOUT)
    [sources] = (tmp_path / "dist").glob("*.tar.gz")
    call("tar", "xzf", sources, cwd=tmp_path)
    unpacked = tmp_path / f"modomodo-{VERSION}"
    call(*build, "-t", "wheel", "-d", tmp_path / "dist", cwd=unpacked)
    [wheel] = (tmp_path / "dist").glob("*.whl")

    call(sys.executable, "-m", "venv", tmp_path / "empty", cwd=tmp_path)
    programs = tmp_path / "empty/bin"
    limits = CHECKOUT / "constraints.txt"
    install = ("-m", "pip", "install", "--quiet", "-c", limits, wheel)
    call(programs / "python", *install, cwd=tmp_path)
    installed = call(programs / "python", "-m", "pip", "list", cwd=tmp_path).lower()
    assert "torch" not in installed, "the base extra is small"
    assert "fastapi" not in installed

    modomodo = programs / "modomodo"
    assert call(modomodo, "--version", cwd=tmp_path) == f"modomodo {VERSION}\n"
    (tmp_path / "runs.csv").write_text(RUNS)
    from_file = ("--data", "runs.csv", "--objective", "score", "--json")
    suggest = (modomodo, "suggest", *from_file)
    [proposed] = json.loads(call(*suggest, cwd=tmp_path))["mixtures"]
    assert sum(proposed["weights"].values()) == pytest.approx(1)
    fit = (modomodo, "fit", "--surrogate", "auto", *from_file)
    assert json.loads(call(*fit, cwd=tmp_path))["n"] == 5
    assert "tiny" in call(modomodo, "recipe", "list", cwd=tmp_path)


def test_all_that_names_the_version_names_the_same():
    contract = json.loads((CHECKOUT / "docs/openapi.json").read_text())
    assert contract["info"]["version"] == VERSION
    images = yaml.safe_load((CHECKOUT / "deploy/kubernetes/kustomization.yaml").read_text())
    assert {image["newTag"] for image in images["images"]} == {VERSION}
    for module in CHECKOUT.glob("service/**/*.py"):
        assert not re.search(rf"\b{re.escape(VERSION)}\b", module.read_text()), module
