"""What trains a job: TRL in this process, or a program of the user's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from trainer.job import IsStopping, Job, Outcome, Report, never

Train = Callable[[Job, Report, IsStopping, IsStopping], Outcome]

MODULES = {"trl": "trainer.run.run", "command": "trainer.run.command"}
"""What each back end needs imported: ten seconds of libraries, or next to nothing."""


class JobRunner:
    """Runs jobs in this process, one after the other; a merged model finds loaded what the one
    before it was made of."""

    def __init__(self) -> None:
        self._loaded: Any = None

    def run(
        self,
        job: Job,
        report: Report = lambda progress: None,
        is_stopping: IsStopping = never,
        is_pausing: IsStopping = never,
    ) -> Outcome:
        """Trains the job's mixture with the recipe's back end, or merges it of experts, and scores
        it.

        Raises:
            Halted: it was told to stop.
            Paused: it came to the job's step, or to an evaluation point after it was told to pause.
            CommandError: back end `command`; the program did not train the mixture.
            RecipeError, DataError, FolderTaken: see `trainer.run.run.train_and_score`.
        """
        train: Train
        if job.merging is not None:
            from trainer.run.blend import Loaded
            from trainer.run.merging import merge_and_score

            self._loaded = self._loaded or Loaded()
            return merge_and_score(job, report, is_stopping, self._loaded)
        if job.recipe.backend == "command":
            from trainer.run.command import run_command as train
        else:
            from trainer.run.run import train_and_score as train
        return train(job, report, is_stopping, is_pausing)


def run_job(
    job: Job,
    report: Report = lambda progress: None,
    is_stopping: IsStopping = never,
    is_pausing: IsStopping = never,
) -> Outcome:
    """`JobRunner.run` of one job alone."""
    return JobRunner().run(job, report, is_stopping, is_pausing)
