"""The back end that runs a trainer of the user's."""

from __future__ import annotations

import json
import os
import shutil
import signal
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.processes import ends, is_running
from trainer.backends import run_job
from trainer.job import Halted, Job, Paused, Progress
from trainer.recipe import Recipe
from trainer.run import command
from trainer.worker.child import Child

EXAMPLE = Path(__file__).parents[2] / "docs/how-to/own_trainer.py"
MIXTURE = {"coco": 0.75, "sat": 0.25}


def job(folder: Path, script: str | None = None, **options) -> Job:
    """A job whose script is the docs' example, or the given lines of shell."""
    commands = folder / "commands"
    commands.mkdir(exist_ok=True)
    file = commands / "train"
    if script is None:
        shutil.copy(EXAMPLE, file)
    else:
        file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    recipe = Recipe.parse(
        {"backend": "command", "steps": 20, "command": {"script": "train", **options}}
    )
    return Job(MIXTURE, recipe, seed=7, folder=folder / "run", commands=commands)


def test_the_example_of_the_docs_trains_reports_and_scores(tmp_path):
    heard: list[Progress] = []
    outcome = run_job(job(tmp_path), heard.append)
    scores = {m.benchmark: m.score for m in outcome.measurements}
    assert scores["coco"] > scores["sat"] > 0.2, "what is drawn more is learned more"
    assert {m.step for m in outcome.measurements} == {20} == {outcome.steps}
    assert [p.step for p in heard] == list(range(1, 21))
    assert all(p.total_steps == 20 and 0 < p.metrics["reward"] < 1 for p in heard)
    assert "trained on" in (tmp_path / "run/command.log").read_text()
    assert run_job(job(tmp_path)).measurements == outcome.measurements


def test_a_script_is_told_its_job_by_environment_too(tmp_path):
    write = '{\\"measurements\\": [{\\"benchmark\\": \\"b\\", \\"score\\": 0.5, \\"samples\\": 9}]}'
    script = (
        'test "$MODOMODO_SEED" = 7 && test "$1" = --fast && test "$PWD" = "$MODOMODO_FOLDER" '
        f'&& echo "$MODOMODO_MIXTURE" > mixture && echo "{write}" > "$MODOMODO_RESULT"'
    )
    outcome = run_job(job(tmp_path, script, arguments=["--fast"]))
    assert (tmp_path / "run/mixture").read_text().strip() == '{"coco": 0.75, "sat": 0.25}'
    [measured] = outcome.measurements
    assert (measured.benchmark, measured.score, measured.samples) == ("b", 0.5, 9)
    assert outcome.steps == 20


@pytest.mark.parametrize(
    ("script", "error", "said"),
    [
        (
            "echo no memory; exit 3",
            command.FailedScriptError,
            "exit code 3; its output ends:\nno",
        ),
        ("kill -9 $$", command.FailedScriptError, "by SIGKILL; it printed nothing"),
        ("echo done", command.MissingResultError, "exit code 0 and wrote no result"),
        (
            'echo "{" > "$MODOMODO_RESULT"',
            command.MalformedResultError,
            "malformed: it is not JSON: EOF",
        ),
        (
            """echo '{"measurements": []}' > "$MODOMODO_RESULT" """,
            command.MalformedResultError,
            "measurements: has 0 entries; at least 1 must be there",
        ),
        (
            """echo '{"measurements": [{"benchmark": "b", "score": 71, "samples": 9}]}' """
            '> "$MODOMODO_RESULT"',
            command.MalformedResultError,
            r"measurements\.0\.score",
        ),
    ],
)
def test_how_a_script_went_wrong_is_told_apart(tmp_path, script, error, said):
    with pytest.raises(error, match=said):
        run_job(job(tmp_path, script))


def test_a_script_over_its_time_is_stopped_with_all_it_started(tmp_path):
    script = "sleep 600 & echo $! > sleeper; wait"
    with pytest.raises(command.TimeLimitError, match=r"after its time limit of 0\.5 s"):
        run_job(job(tmp_path, script, time_limit_s=0.5))
    assert ends(int((tmp_path / "run/sleeper").read_text()))


def test_a_result_of_an_attempt_before_is_not_taken_for_this_ones(tmp_path):
    run_job(job(tmp_path))
    with pytest.raises(command.MissingResultError):
        run_job(job(tmp_path, "true"))


def test_what_is_not_progress_is_passed_over(tmp_path):
    heard: list[Progress] = []
    script = (
        'echo nonsense > "$MODOMODO_PROGRESS"; echo \'{"step": 4}\' >> "$MODOMODO_PROGRESS"; exit 1'
    )
    with pytest.raises(command.FailedScriptError):
        run_job(job(tmp_path, script), heard.append)
    assert [(p.step, p.total_steps) for p in heard] == [(4, 20)]


def test_scores_on_the_way_are_told_with_their_step(tmp_path):
    score = {"benchmark": "b", "score": 0.5, "samples": 9}
    line = json.dumps({"step": 5, "measurements": [score, score | {"step": 3}]})
    result = json.dumps({"measurements": [score | {"step": 20}]})
    script = f"echo '{line}' >> \"$MODOMODO_PROGRESS\"; echo '{result}' > \"$MODOMODO_RESULT\""
    heard: list[Progress] = []
    run_job(job(tmp_path, script), heard.append)
    [told] = heard
    assert [(item.score, item.step) for item in told.measurements] == [(0.5, 5), (0.5, 3)]


def test_a_script_dies_with_the_run_above_it(tmp_path):
    script = 'echo $$ > pid; echo \'{"step": 1}\' > "$MODOMODO_PROGRESS"; exec sleep 600'
    child = Child(job(tmp_path, script))
    assert isinstance(child.hear(120), Progress)
    pid = int((tmp_path / "run/pid").read_text())
    assert is_running(pid)
    os.kill(child.pids[0], signal.SIGKILL)
    child.stop()
    assert ends(pid), "the script outlived its run"


@pytest.mark.parametrize("answer", ["exit 0", "exit 7"])
def test_a_script_is_asked_to_stop_by_sigterm_and_may_end_in_order(tmp_path, answer):
    heard: list[Progress] = []
    script = (
        f"trap 'echo kept > state; {answer}' TERM\n"
        'echo \'{"step": 1}\' > "$MODOMODO_PROGRESS"\n'
        "while :; do sleep 0.1; done"
    )
    with pytest.raises(Halted):
        run_job(job(tmp_path, script), heard.append, is_stopping=lambda: bool(heard))
    assert (tmp_path / "run/state").read_text() == "kept\n"


def test_a_script_that_finishes_while_it_is_asked_to_stop_has_given_its_result(tmp_path):
    result = '{"measurements": [{"benchmark": "b", "score": 0.5, "samples": 9}]}'
    script = (
        f"trap 'echo {json.dumps(result)} > \"$MODOMODO_RESULT\"; exit 0' TERM\n"
        "while :; do sleep 0.1; done"
    )
    asked = iter([False] * 5)
    outcome = run_job(job(tmp_path, script), is_stopping=lambda: next(asked, True))
    assert outcome.measurements[0].score == 0.5


PAUSING = """
mkdir -p "$MODOMODO_FOLDER/checkpoints/checkpoint-${MODOMODO_STOP_AT:-9}"
echo "from $MODOMODO_RESUME_FROM" >> legs
echo '{"measurements": [], "paused_at": 9}' > "$MODOMODO_RESULT"
"""


def test_a_script_pauses_at_its_step_and_is_told_where_to_go_on(tmp_path):
    given = replace(job(tmp_path, PAUSING), stop_at=9)
    for _ in range(2):
        with pytest.raises(Paused) as paused:
            run_job(given)
        assert paused.value.step == 9
    folder = (tmp_path / "run").resolve()
    assert (folder / "legs").read_text() == f"from \nfrom {folder}/checkpoints/checkpoint-9\n"
    told = json.loads((folder / "job.json").read_text())
    assert (told["stop_at"], told["resume_from"]) == (9, f"{folder}/checkpoints/checkpoint-9")


def test_a_script_hears_by_a_file_that_it_is_to_pause(tmp_path):
    script = f'while [ ! -e "$MODOMODO_PAUSE" ]; do sleep 0.05; done\n{PAUSING}'
    with pytest.raises(Paused):
        run_job(job(tmp_path, script), is_pausing=lambda: True)


def test_a_script_that_nobody_asked_to_pause_has_no_result(tmp_path):
    with pytest.raises(command.MalformedResultError, match="nobody asked it to"):
        run_job(job(tmp_path, PAUSING))


def test_only_scripts_of_the_workers_folder_are_run(tmp_path):
    given = job(tmp_path)
    (tmp_path / "commands/train").chmod(0o644)
    with pytest.raises(command.MissingScriptError, match=r"not executable \(chmod"):
        run_job(given)
    without = Job(MIXTURE, given.recipe, seed=7)
    with pytest.raises(command.MissingScriptError, match="no folder of commands"):
        run_job(without)
