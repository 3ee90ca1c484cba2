"""The engine `slurm`: a batch job a worker, by Slurm's own commands.

Options and environment are those of `sbatch` (https://slurm.schedmd.com/sbatch.html), states those
of `squeue`, which goes on telling of a job for some minutes (`MinJobAge`) after its end.
"""

from __future__ import annotations

import os
import secrets
import shlex
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass

from modomodo.errors import CommandFailed
from modomodo.fleet.engines import GRACE_S, WARNING_S, WORKER_KEY, Setup, Started, node_of

WAITING = frozenset({"PENDING", "CONFIGURING", "REQUEUED", "REQUEUE_HOLD", "SUSPENDED"})
AT_WORK = frozenset({"RUNNING", "COMPLETING", "STOPPED", "SIGNALING", "STAGE_OUT"})
DEAD = frozenset({"NODE_FAIL", "BOOT_FAIL"})
"""What a job ends with whose node died."""

TELL_END = (
    ': "${SLURM_JOB_END_TIME:=$(date --date="$(squeue --noheader --jobs="$SLURM_JOB_ID" '
    '--format=%e)" +%s 2>/dev/null)}"; export SLURM_JOB_END_TIME; '
)
"""In a job's shell: when its time is over, for the worker; Slurm says it itself from 22.05 on."""

ANSWER_S = 60.0


@dataclass(frozen=True, slots=True)
class _Job:
    """As `squeue` tells of it."""

    id: str
    state: str
    nodes: str
    study: str | None


class Slurm:
    """Jobs of the user who calls, by the name of the fleet.

    Args:
        options: further ones of `sbatch`, such as a partition and a time limit.
    """

    def __init__(self, fleet: str, setup: Setup, options: Sequence[str] = ()) -> None:
        self.fleet, self._setup, self._options = fleet, setup, options

    def workers(self) -> list[Started]:
        found = []
        for job in self._jobs():
            if job.state in WAITING:
                found.append(Started(job.id, job.study, "pending"))
            elif job.state in AT_WORK:
                name = f"{self.fleet}.{job.id}.0"
                found.append(Started(job.id, job.study, "running", name, job.nodes))
        return found

    def start(self, study: str | None, n: int) -> None:
        for _ in range(n):
            self._start(study)

    def _start(self, study: str | None) -> None:
        # The job's number is known in the job alone; what is put together there needs no quoting.
        mark = f"@{secrets.token_hex(8)}@"
        words = [*(self._setup.program or ("modomodo",)), *self._setup.arguments(mark, study)]
        words += ["--grace", f"{GRACE_S}s"]
        run = shlex.join(words).replace(mark, f"{self.fleet}.$SLURM_JOB_ID.0")
        gpus = [f"--gpus-per-node={self._setup.gpus}"] if self._setup.gpus else []
        _call(
            "sbatch",
            "--parsable",
            "--nodes=1",
            f"--job-name={self.fleet}",
            f"--comment={study or ''}",
            *gpus,
            # The lease queues the trial again; a job that came back too would be one too many.
            "--no-requeue",
            f"--signal=B:TERM@{WARNING_S}",
            "--export=ALL",
            *self._options,
            f"--wrap={TELL_END}exec {run}",
            environment=self._setup.environment(),
        )

    def cancel(self, worker: Started) -> None:
        # With --batch the worker alone is told, not the run's processes, which it stops in order.
        how = [] if worker.state == "pending" else ["--batch", "--signal=TERM"]
        _call("scancel", *how, worker.id)

    def lost(self, names: Sequence[str]) -> list[str]:
        dead = {job.id for job in self._jobs() if job.state in DEAD}
        return [name for name in names if node_of(self.fleet, name) in dead]

    def _jobs(self) -> list[_Job]:
        """Jobs of the fleet, also those that have ended lately."""
        listed = _call(
            "squeue",
            "--me",
            "--noheader",
            "--states=all",
            f"--name={self.fleet}",
            "--format=%i|%T|%N|%k",
        )
        found = []
        for line in listed.splitlines():
            number, state, nodes, study = (cell.strip() for cell in line.split("|"))
            found.append(_Job(number, state, nodes, study if study not in ("", "(null)") else None))
        return found


def _call(command: str, *arguments: str, environment: dict[str, str] | None = None) -> str:
    """What one of Slurm's commands prints.

    Raises:
        CommandFailed: it is not there, does not answer, or refuses.
    """
    more = {name: text for name, text in os.environ.items() if name != WORKER_KEY}
    try:
        done = subprocess.run(  # noqa: S603 - Slurm's own commands
            [command, *arguments],
            capture_output=True,
            text=True,
            timeout=ANSWER_S,
            env=more | (environment or {}),
            check=False,
        )
    except FileNotFoundError as error:
        raise CommandFailed(f"there is no {command} here; run this where Slurm is") from error
    except subprocess.TimeoutExpired as error:
        raise CommandFailed(f"{command} did not answer within {ANSWER_S:g} s") from error
    if done.returncode:
        raise CommandFailed(f"{command} failed: {done.stderr.strip() or done.returncode}")
    return done.stdout
