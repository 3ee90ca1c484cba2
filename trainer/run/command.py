"""Back end `command`: any trainer of the user's, told what to train by files and environment.

docs/how-to/own-trainer.md has the contract from the script's side.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, Self

import structlog
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from service.plain_errors import located
from service.schemas import MAX_METRICS, Measurement, Metrics, Step
from trainer import groups, troubles
from trainer.job import TRAIN, Halted, IsStopping, Job, Outcome, Paused, Progress, Report, never
from trainer.storage.run_folder import RunFolder
from trainer.troubles import Trouble

LOOK_EVERY_S = 0.2
STOP_S = 10.0
"""Time that a killed script has to be gone; one that a driver holds may take for ever."""
LOG_TAIL = 2000
"""Characters of the script's output that go into an error."""

_PR_SET_PDEATHSIG = 1

log = structlog.get_logger()


class CommandError(RuntimeError):
    """A script did not train the mixture."""

    trouble: Trouble = "run"


class MissingScriptError(CommandError):
    """The worker has no such script; another may have it."""

    trouble: Trouble = "environment"


class ScheduleError(CommandError):
    """The run's mixture changes on the way, and the script is not known to do that."""

    trouble: Trouble = "recipe"


class TimeLimitError(CommandError):
    """The script ran longer than its recipe allows."""


class FailedScriptError(CommandError):
    """The script ended with an exit code or by a signal; its output tells whose fault it was."""

    @property
    def trouble(self) -> Trouble:  # type: ignore[override]
        return troubles.of_text(str(self))


class MissingResultError(CommandError):
    """The script ended well and wrote no result."""


class MalformedResultError(CommandError):
    """The script's result is not what it should be, and would be so again."""

    trouble: Trouble = "recipe"


class _Line(BaseModel):
    """One line of the progress file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    step: Step
    total_steps: Step | None = None
    stage: str = TRAIN
    metrics: Annotated[Metrics, Field(max_length=MAX_METRICS)] = Field(default_factory=dict)
    measurements: Annotated[list[Measurement], Field(max_length=2000)] = Field(default_factory=list)
    """Scores on the way, of the line's step where they do not say theirs."""

    @property
    def scores(self) -> list[Measurement]:
        """The measurements, each with its step."""
        return [
            item
            if "step" in item.model_fields_set
            else item.model_copy(update={"step": self.step})
            for item in self.measurements
        ]


class _Result(BaseModel):
    """The result file."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    measurements: list[Measurement]
    paused_at: Annotated[int, Field(ge=1)] | None = None
    """Step at which it paused, with a checkpoint of it."""
    steps: Annotated[int, Field(ge=0)] | None = None
    exhausted: str | None = None
    samples: dict[str, int] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _has_scores(self) -> Self:
        if not self.measurements and self.paused_at is None:
            raise ValueError("measurements: has 0 entries; at least 1 must be there")
        return self


def run_command(
    job: Job, report: Report, is_stopping: IsStopping = never, is_pausing: IsStopping = never
) -> Outcome:
    """Runs the recipe's script on the job, in the run's folder, and reads its result.

    Told to stop, it passes that on as SIGTERM; a script that ends with a result all the same has
    given it.

    Raises:
        CommandError: one of the kinds above; says in words what happened.
        Halted: it was told to stop, and the script has ended.
        Paused: the script paused at the job's step, or since it was told to.
        FolderTaken: the folder belongs to another run.
    """
    started = time.monotonic()
    script = _script(job)
    if job.folder is not None:
        job.folder.mkdir(parents=True, exist_ok=True)
        RunFolder(job.folder).claim(job, job.run_seed)
        result = _run(script, job, job.folder.resolve(), report, is_stopping, is_pausing)
    else:
        with TemporaryDirectory(prefix="modomodo-run-") as folder:
            result = _run(script, job, Path(folder), report, is_stopping, is_pausing)
    if result.paused_at is not None:
        if job.stop_at is None and not is_pausing():
            raise MalformedResultError(
                f"{script.name} paused at step {result.paused_at}, and nobody asked it to"
            )
        raise Paused(result.paused_at, result.measurements)
    return Outcome(
        measurements=result.measurements,
        steps=job.recipe.steps if result.steps is None else result.steps,
        exhausted=result.exhausted,
        counts=result.samples,
        wall_s=time.monotonic() - started,
    )


def _script(job: Job) -> Path:
    assert job.recipe.command is not None  # noqa: S101 - the recipe has seen to it
    name = job.recipe.command.script
    if job.schedule and not job.recipe.command.schedules:
        raise ScheduleError(
            f"the run has a schedule, and {name!r} is not known to train by one; set "
            "command.schedules: true where it reads the job's `schedule`"
        )
    if job.commands is None:
        raise MissingScriptError(
            f"the recipe runs {name!r}, and this worker has no folder of commands; "
            "set MODOMODO_COMMANDS or --commands"
        )
    script = (job.commands / name).resolve()
    if not script.is_file() or not os.access(script, os.X_OK):
        raise MissingScriptError(f"{script} is not there or not executable (chmod +x)")
    return script


def _run(
    script: Path,
    job: Job,
    folder: Path,
    report: Report,
    is_stopping: IsStopping,
    is_pausing: IsStopping,
) -> _Result:
    command = job.recipe.command
    assert command is not None  # noqa: S101
    files = {name: folder / f"{name}.json" for name in ("job", "result")}
    files["progress"] = folder / "progress.jsonl"
    files["pause"] = folder / "pause"
    kept = RunFolder(folder)
    last = max(kept.checkpoints(), default=None)
    told: dict[str, Any] = {
        "mixture": dict(job.mixture),
        "schedule": [phase.model_dump(mode="json") for phase in job.schedule] or None,
        "seed": job.run_seed,
        "recipe": job.recipe.model_dump(mode="json"),
        "data": str(job.data.resolve()),
        "folder": str(folder),
        "progress": str(files["progress"]),
        "result": str(files["result"]),
        "stop_at": job.stop_at,
        "resume_from": None if last is None else str(kept.checkpoint(last)),
        "pause": str(files["pause"]),
    }
    for name in ("result", "pause"):  # of an attempt that was killed
        files[name].unlink(missing_ok=True)
    files["progress"].write_text("")
    files["job"].write_text(json.dumps(told, indent=1))
    environment = os.environ | {
        "MODOMODO_JOB": str(files["job"]),
        "MODOMODO_MIXTURE": json.dumps(dict(job.mixture)),
        "MODOMODO_SCHEDULE": json.dumps(told["schedule"]) if told["schedule"] else "",
        "MODOMODO_SEED": str(job.run_seed),
        "MODOMODO_DATA": told["data"],
        "MODOMODO_FOLDER": told["folder"],
        "MODOMODO_PROGRESS": told["progress"],
        "MODOMODO_RESULT": told["result"],
        "MODOMODO_STOP_AT": str(job.stop_at or ""),
        "MODOMODO_RESUME_FROM": told["resume_from"] or "",
        "MODOMODO_PAUSE": told["pause"],
    }
    with (folder / "command.log").open("wb") as output:
        process = subprocess.Popen(  # noqa: S603 - of the worker's own folder
            [str(script), *command.arguments],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_begin,
        )
        try:
            _follow(
                process,
                files["progress"],
                command.time_limit_s,
                job.recipe.steps,
                report,
                is_stopping,
                lambda: files["pause"].touch() if is_pausing() else None,
            )
        except subprocess.TimeoutExpired:
            raise TimeLimitError(
                f"{script.name} was stopped after its time limit of {command.time_limit_s:g} s"
                + _tail(folder)
            ) from None
        finally:
            _stop(process)
    if is_stopping() and (process.returncode or not files["result"].exists()):
        raise Halted(None)
    if process.returncode:
        code = process.returncode
        how = f"by {signal.Signals(-code).name}" if code < 0 else f"with exit code {code}"
        raise FailedScriptError(f"{script.name} ended {how}{_tail(folder)}")
    return _read_result(script, files["result"], folder)


def _follow(
    process: subprocess.Popen[bytes],
    progress: Path,
    limit_s: float | None,
    steps: int,
    report: Report,
    is_stopping: IsStopping,
    pause_if_told: Callable[[], object],
) -> None:
    """Passes on what the progress file gets, until the process ends.

    Raises:
        subprocess.TimeoutExpired: it does not end in time.
    """
    started = time.monotonic()
    with progress.open(encoding="utf-8", errors="replace") as lines:
        begun, is_told = "", False
        while True:
            if is_stopping() and not is_told:
                _signal_all(process, signal.SIGTERM)
                is_told = True
            pause_if_told()
            try:
                process.wait(LOOK_EVERY_S)
            except subprocess.TimeoutExpired:
                if limit_s is not None and time.monotonic() - started > limit_s:
                    raise
            has_ended = process.poll() is not None
            for piece in lines:
                begun += piece
                if begun.endswith("\n"):
                    _pass_on(begun, steps, report)
                    begun = ""
            if has_ended:
                return


def _pass_on(line: str, steps: int, report: Report) -> None:
    try:
        said = _Line.model_validate_json(line)
    except ValidationError as error:
        log.warning("progress not understood", line=line.strip()[:200], error=_first(error))
        return
    total = steps if said.total_steps is None else said.total_steps
    report(Progress(said.stage, said.step, total, said.metrics, said.scores))


def _read_result(script: Path, file: Path, folder: Path) -> _Result:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise MissingResultError(
            f"{script.name} ended with exit code 0 and wrote no result to {file}{_tail(folder)}"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise MalformedResultError(f"{script.name}'s result cannot be read: {error}") from error
    try:
        return _Result.model_validate_json(text)
    except ValidationError as error:
        raise MalformedResultError(
            f"{script.name}'s result {file} is malformed: {_first(error)}"
        ) from error


def _first(error: ValidationError) -> str:
    return located(error.errors()[0], "it")


def _tail(folder: Path) -> str:
    text = (folder / "command.log").read_text(errors="replace").strip()
    return f"; its output ends:\n{text[-LOG_TAIL:]}" if text else "; it printed nothing"


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ends the script and all that it started."""
    groups.end(process.pid)
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        log.error("a killed script does not end", pid=process.pid)
    else:
        groups.forget(process.pid)


def _signal_all(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _begin() -> None:
    """In the script's process, before it is the script: notes its group, so that whatever the
    script does at once it is known, and has it killed with the run (Linux only): it must not keep
    its GPUs."""
    groups.note(os.getpid())
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
