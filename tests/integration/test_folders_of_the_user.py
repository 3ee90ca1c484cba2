"""A folder of the user's that is called like one of our packages, where our programs run."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rewards.math_judge import Judge
from service.executor.process import EngineProcess

PACKAGES = ("alembic", "db", "rewards", "service", "trainer")

ONE_RUN = """
import sys
from pathlib import Path
from trainer.job import Job, Outcome
from trainer.recipe import Recipe
from trainer.worker.child import Child

folder = Path(sys.argv[1])
recipe = Recipe.parse({"backend": "command", "steps": 1, "command": {"script": "train.py"}})
if __name__ == "__main__":
    child = Child(Job({"a": 1.0}, recipe, 7, folder=folder / "run", commands=folder / "commands"))
    message = child.hear(30)
    child.stop()
    print(message)
    sys.exit(not isinstance(message, Outcome))
"""

SCRIPT = f"""#!{sys.executable}
import os, pathlib
import beside

result = '{{"measurements": [{{"benchmark": "b", "score": 0.5, "samples": 9}}]}}'
pathlib.Path(os.environ["MODOMODO_RESULT"]).write_text(result)
"""


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The working directory, with packages of our names that end whatever imports them."""
    folder = tmp_path / "users"
    for package in PACKAGES:
        (folder / package).mkdir(parents=True)
        (folder / package / "__init__.py").write_text(f"raise SystemExit('{package} of the user')")
    monkeypatch.chdir(folder)
    return folder


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    code = str(Path(__file__).parents[2])
    environment = os.environ | {"PYTHONPATH": code}
    return subprocess.run(
        [sys.executable, *arguments], env=environment, capture_output=True, text=True, check=False
    )


def test_the_engine_computes_there(here):
    engine = EngineProcess(limit_s=30.0, name="test")
    try:
        assert engine.ask(max, 1, 2) == 2
    finally:
        engine.stop()


def test_formulas_are_judged_there(here):
    pytest.importorskip("math_verify")
    judge = Judge()
    with judge.comparisons() as comparisons:
        assert comparisons.is_equal("x^2+2x+1", "(x+1)^2")
    judge.close()


def test_a_run_trains_there_and_its_script_still_finds_what_lies_beside_it(here, tmp_path):
    commands = tmp_path / "commands"
    commands.mkdir()
    (commands / "train.py").write_text(SCRIPT)
    (commands / "train.py").chmod(0o755)
    (commands / "beside.py").write_text("")
    program = tmp_path / "one_run.py"
    program.write_text(ONE_RUN)
    ended = run(str(program), str(tmp_path))
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_command_line_works_there_as_a_module_too(here):
    ended = run("-m", "modomodo", "--version")
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.startswith("modomodo ")
