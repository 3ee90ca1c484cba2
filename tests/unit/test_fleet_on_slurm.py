"""What the engine `slurm` asks of Slurm's commands and reads from them, by stand-ins of these."""

from __future__ import annotations

import os
import shlex
import stat
import subprocess

import pytest

from modomodo.errors import CommandFailed
from modomodo.fleet.engines import Setup, Started
from modomodo.fleet.slurm import TELL_END, Slurm

LISTED = """\
101|RUNNING|node[7]|vlm
102|PENDING||vlm
103|NODE_FAIL|node8|(null)
104|COMPLETED|node9|
105|PREEMPTED|node9|
"""
STAND_IN = """#!/bin/sh
printf '%s\\n' "$0" "$@" >> {calls}
echo "$MODOMODO_API_KEY/$MODOMODO_WORKER_KEY" >> {keys}
cat {answer} 2>/dev/null || true
"""


@pytest.fixture
def calls(tmp_path, monkeypatch):
    """Each line a word that a stand-in was called with."""
    for name in ("sbatch", "squeue", "scancel"):
        program = tmp_path / name
        answer = tmp_path / f"{name}.out"
        text = STAND_IN.format(calls=tmp_path / "calls", keys=tmp_path / "keys", answer=answer)
        program.write_text(text)
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "squeue.out").write_text(LISTED)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("MODOMODO_API_KEY", "of-the-controller")
    monkeypatch.setenv("MODOMODO_WORKER_KEY", "of-the-workers")
    return tmp_path / "calls"


def engine(**changes):
    setup = Setup("http://head:8765", **({"gpus": 4, "store": "s3://b/a b"} | changes))
    return Slurm("lab", setup, ["--partition=gpu"])


def test_jobs_are_workers_as_long_as_they_wait_or_run(calls):
    assert engine().workers() == [
        Started("101", "vlm", "running", "lab.101.0", "node[7]"),
        Started("102", "vlm", "pending"),
    ]
    assert "--name=lab" in calls.read_text().splitlines()


def test_only_a_job_whose_node_died_is_lost(calls):
    names = [f"lab.{number}.0" for number in (101, 103, 104, 105, 999)]
    assert engine().lost([*names, "other.103.0"]) == ["lab.103.0"]


def test_a_worker_is_a_batch_job_that_is_not_started_again_and_hears_before_its_end(calls):
    engine().start("vlm", 1)
    words = calls.read_text().splitlines()
    assert {"--gpus-per-node=4", "--no-requeue", "--signal=B:TERM@180", "--partition=gpu"} <= {
        *words
    }
    [script] = [word.removeprefix("--wrap=") for word in words if word.startswith("--wrap=")]
    _, _, script = script.partition("export SLURM_JOB_END_TIME; ")
    run = shlex.split(script)
    assert run[:3] == ["exec", "modomodo", "worker"]
    assert run[run.index("--name") + 1] == "lab.$SLURM_JOB_ID.0"
    assert "lab.$SLURM_JOB_ID.0" in script.split(), "unquoted, so that the job's shell fills it in"
    assert run[run.index("--store") + 1] == "s3://b/a b"


@pytest.mark.parametrize(
    ("of_slurm", "listed", "told"),
    [
        ({"SLURM_JOB_END_TIME": "7"}, "2030-01-01T00:00:00", "7"),
        ({}, "2030-01-01T00:00:00", "1893456000"),
        ({}, "N/A", ""),
    ],
    ids=["Slurm says it", "an older Slurm", "no end"],
)
def test_a_job_knows_when_its_time_is_over(calls, of_slurm, listed, told):
    calls.with_name("squeue.out").write_text(listed)
    script = f'{TELL_END}echo "$SLURM_JOB_END_TIME"'
    environment = os.environ | {"SLURM_JOB_ID": "101", "TZ": "UTC"} | of_slurm
    done = subprocess.run(
        ["/bin/sh", "-c", script], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == told


def test_the_key_is_in_the_jobs_environment_and_in_no_argument(calls):
    engine().start(None, 1)
    assert "of-the" not in calls.read_text()
    assert calls.with_name("keys").read_text() == "of-the-workers/\n"


@pytest.mark.parametrize(
    ("state", "asked"), [("pending", ["102"]), ("running", ["--batch", "--signal=TERM", "102"])]
)
def test_what_waits_is_taken_back_and_what_runs_is_asked_to_end(calls, state, asked):
    engine().cancel(Started("102", None, state))
    assert calls.read_text().splitlines()[1:] == asked


def test_without_slurm_the_message_says_so(monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CommandFailed, match="run this where Slurm is"):
        engine().workers()


def test_a_refusal_of_slurms_is_told(calls):
    calls.with_name("sbatch").write_text("#!/bin/sh\necho invalid partition >&2\nexit 1\n")
    with pytest.raises(CommandFailed, match="sbatch failed: invalid partition"):
        engine().start(None, 1)
