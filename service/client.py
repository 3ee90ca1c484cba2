"""A small client of the service: one method a call, each safe to send again.

The service answers a repeated `next`, `result` or `create_study` as it answered the first, and a
repeated `add_trial` by its key. So `transport.py` may try again what got no answer.
`docs/reference/client.md` shows it at work.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from typing import Any, Literal
from urllib.parse import quote

from service.schemas import (
    BeatOutcome,
    BestAnswer,
    Curve,
    Demand,
    Failure,
    GoalAnswer,
    Gone,
    Heartbeat,
    HeartbeatAnswer,
    HeartbeatsAnswer,
    HeartbeatsRequest,
    MeasurementsRequest,
    NextAnswer,
    NextRequest,
    Owner,
    OwnerLimit,
    Owners,
    Partial,
    Phase,
    PredictAnswer,
    PredictRequest,
    Release,
    Result,
    RunImport,
    Study,
    StudyChange,
    StudyChanges,
    StudyClone,
    StudyCost,
    StudyEffects,
    StudyFigures,
    StudyOwner,
    StudyPage,
    StudyPatch,
    StudySpec,
    SurrogateFit,
    TrainerName,
    Trial,
    TrialContinue,
    TrialCreate,
    TrialPage,
    TrialPatch,
    TrialsChange,
    TrialsChanged,
    TrialsImport,
    TrialsImported,
    WorkerPage,
    WorkerSeen,
)
from service.transport import ServiceError, ServiceUnreachable, Transport

__all__ = ["HEARTBEAT_PATIENCE_S", "Client", "ServiceError", "ServiceUnreachable"]

HEARTBEAT_PATIENCE_S = 2.0
HEARTBEAT_TIMEOUT_S = 5.0
FIT_TIMEOUT_S = 150.0
"""More than a service lets a fit take, unless its operator says otherwise."""

FIGURES_TIMEOUT_S = 900.0
IMPORT_TIMEOUT_S = 120.0
"""For thousands of trials in one call."""


class Client(Transport):
    """Speaks to one service; made as `Transport` says.

    Every method raises `ServiceError` when the service refuses the call, and `ServiceUnreachable`
    when there is no service at the address, it cannot answer now, or a proxy answers for it.
    """

    # --- studies ---

    def create_study(self, spec: StudySpec) -> Study:
        """A new study; the same specification again gives the one there is, another of its name is
        409 `study-exists`."""
        return self._call(Study, "POST", "/studies", spec)

    def studies(self) -> list[Study]:
        """All studies, newest first, page by page."""
        studies: list[Study] = []
        while True:
            asked = {"before": studies[-1].name} if studies else {}
            page = self._call(StudyPage, "GET", "/studies", params=asked)
            studies += page.studies
            if not page.more:
                return studies

    def study(self, name: str) -> Study:
        """A study and how many of its trials are in each state; 404 `study-not-found`."""
        return self._call(Study, "GET", f"/studies/{_part(name)}")

    def patch_study(self, name: str, patch: StudyPatch) -> Study:
        """Changes state (`active`, `paused`, `finished`), name, budget, domains, bounds, objective
        and more; None stays. 422 where the study cannot be so, 409 `study-exists` for its name."""
        return self._call(Study, "PATCH", f"/studies/{_part(name)}", patch)

    def clone_study(self, name: str, clone: StudyClone) -> Study:
        """A new study with this one's specification, but for what is given, and no trials."""
        return self._call(Study, "POST", f"/studies/{_part(name)}/clone", clone)

    def delete_study(self, name: str) -> None:
        """Deletes a study with its trials, for good; 409 `wrong-state` while one is running."""
        self._send("DELETE", f"/studies/{_part(name)}", params={"confirm": name})

    def changes(self, study: str) -> list[StudyChange]:
        """What was changed of a study, the newest changes, oldest first."""
        return self._call(StudyChanges, "GET", f"/studies/{_part(study)}/changes").changes

    def cost(self, study: str) -> StudyCost:
        """GPU-hours used and left, and those of each trial."""
        return self._call(StudyCost, "GET", f"/studies/{_part(study)}/cost")

    def best(self, study: str) -> BestAnswer:
        """The mixture to train, its gain over uniform weights, and a surrogate's own best."""
        path = f"/studies/{_part(study)}/best"
        return self._call(BestAnswer, "GET", path, timeout=FIT_TIMEOUT_S)

    def front(self, study: str, surrogate: str = "auto") -> GoalAnswer:
        """What a study's floors and objectives allow, as a surrogate sees it; 409 `no-goal` for a
        study of one objective without constraints, `too-few-results`, `too-many-results`,
        `surrogate-unsuited`, `fit-failed`."""
        path = f"/studies/{_part(study)}/front?surrogate={_part(surrogate)}"
        return self._call(GoalAnswer, "GET", path, timeout=FIT_TIMEOUT_S)

    def effects(self, study: str, surrogate: str = "bayes-quadratic") -> StudyEffects:
        """What a tenth more of each domain does to the objective and to each benchmark; 409
        `too-few-results`, `too-many-results`, `fit-failed`."""
        path = f"/studies/{_part(study)}/effects?surrogate={_part(surrogate)}"
        return self._call(StudyEffects, "GET", path, timeout=FIT_TIMEOUT_S)

    def surrogate(self, study: str, name: str) -> SurrogateFit:
        """A surrogate's fit of the completed trials; 409 `too-few-results`, `too-many-results`,
        `surrogate-unsuited`, `fit-failed`."""
        path = f"/studies/{_part(study)}/surrogates/{_part(name)}"
        return self._call(SurrogateFit, "GET", path, timeout=FIT_TIMEOUT_S)

    def predict(
        self,
        study: str,
        name: str,
        mixtures: Sequence[dict[str, float]] = (),
        schedules: Sequence[Sequence[Phase]] = (),
    ) -> PredictAnswer:
        """Mean and standard deviation of the objective at mixtures, weights by domain, and then at
        schedules; 409 as `surrogate`."""
        asked: dict[str, Any] = {"mixtures": list(mixtures)}
        if schedules:
            asked["schedules"] = list(map(list, schedules))
        body = PredictRequest(**asked)
        path = f"/studies/{_part(study)}/surrogates/{_part(name)}/predict"
        return self._call(PredictAnswer, "POST", path, body, timeout=FIT_TIMEOUT_S)

    def figures(self, study: str) -> StudyFigures:
        """The dashboard's charts; all surrogates are fitted for them, which may take minutes."""
        return self._call(
            StudyFigures, "GET", f"/studies/{_part(study)}/figures", timeout=FIGURES_TIMEOUT_S
        )

    def export(
        self,
        study: str,
        format: Literal["csv", "json", "yaml"],  # noqa: A002
        trainer: TrainerName | None = None,
        trial: int | None = None,
    ) -> str:
        """The file's text; with `trainer`, the YAML is in that trainer's own options, and with
        `trial`, the number of one, it has that one's mixture or schedule."""
        asked: dict[str, Any] = {"format": format}
        asked |= {"trainer": trainer} if trainer else {}
        asked |= {} if trial is None else {"trial": trial}
        return self._send("GET", f"/studies/{_part(study)}/export", params=asked).text

    # --- owners ---

    def owners(self) -> list[Owner]:
        """Owners by name, with the GPU-hours that each may use and has used."""
        return self._call(Owners, "GET", "/owners").owners

    def limit_owner(self, name: str, gpu_hours: float | None) -> Owner:
        """Says how many GPU-hours an owner's studies may use (None: as many as they like), and
        makes it where there is none of this name; 403 `not-owner` for a key of an owner."""
        body = OwnerLimit(gpu_hours=gpu_hours)
        return self._call(Owner, "PUT", f"/owners/{_part(name)}", body)

    def give_study(self, study: str, owner: str | None) -> Study:
        """Gives a study to an owner, or to none; 404 `owner-not-found`, 403 `not-owner`."""
        path = f"/studies/{_part(study)}/owner"
        return self._call(Study, "PUT", path, StudyOwner(owner=owner))

    # --- trials ---

    def trials(self, study: str, after: int = 0) -> list[Trial]:
        """All trials that changed after revision `after`, page by page."""
        trials: list[Trial] = []
        while True:
            page = self._call(
                TrialPage, "GET", f"/studies/{_part(study)}/trials", params={"after": after}
            )
            trials += page.trials
            after = page.after
            if not page.more:
                return trials

    def trial(self, trial_id: int) -> Trial:
        """One trial with its scores; 404 `trial-not-found`."""
        return self._call(Trial, "GET", f"/trials/{trial_id}")

    def numbered(self, study: str, number: int) -> Trial:
        """A study's trial by its number; 404 `study-not-found`, `trial-not-found`."""
        return self._call(Trial, "GET", f"/studies/{_part(study)}/trials/{number}")

    def curve(self, trial_id: int, max_points: int = 500) -> Curve:
        """What the run's heartbeats said, as a column of each metric over `steps`."""
        asked = {"max_points": max_points}
        return self._call(Curve, "GET", f"/trials/{trial_id}/curve", params=asked)

    def annotate(self, trial_id: int, note: str) -> Trial:
        """Gives a trial another note, in any state."""
        return self._call(Trial, "PATCH", f"/trials/{trial_id}", TrialPatch(note=note))

    def tag(self, trial_id: int, tags: Sequence[str]) -> Trial:
        """Gives a trial these tags in place of those it has, in any state."""
        return self._call(Trial, "PATCH", f"/trials/{trial_id}", TrialPatch(tags=list(tags)))

    def import_trials(
        self, study: str, runs: Sequence[RunImport], *, dry_run: bool = False
    ) -> TrialsImported:
        """Adds finished runs from elsewhere, all or, where the study cannot have one, none (422);
        those that it has already are not added again. A dry run only says what would become of
        them."""
        body = TrialsImport(runs=list(runs), dry_run=dry_run)
        path = f"/studies/{_part(study)}/trials/import"
        return self._call(TrialsImported, "POST", path, body, timeout=IMPORT_TIMEOUT_S)

    def change_trials(self, study: str, change: TrialsChange) -> TrialsChanged:
        """Cancels, retries or tags a choice of trials by their numbers; each is done or refused for
        itself, and the answer says which."""
        path = f"/studies/{_part(study)}/trials/bulk"
        return self._call(TrialsChanged, "POST", path, change, timeout=IMPORT_TIMEOUT_S)

    def add_trial(self, study: str, trial: TrialCreate, key: str | None = None) -> Trial:
        """A finished run (with measurements), or a mixture for the queue (without).

        Args:
            key: names this trial; the same again, also by another client, adds no second one, and
                with another body is 409 `idempotency-key-reused`. Without one each call makes its
                own, which its retries keep.
        """
        headers = {"Idempotency-Key": key or secrets.token_hex(16)}
        return self._call(Trial, "POST", f"/studies/{_part(study)}/trials", trial, headers=headers)

    def cancel(self, trial_id: int) -> Trial:
        """Calls a trial off that has not ended; 409 `wrong-state` when it has, otherwise."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/cancel")

    def pause(self, trial_id: int) -> Trial:
        """Has a running trial pause at its next evaluation point; 409 `wrong-state`."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/pause")

    def continue_(self, trial_id: int, stop_at: int | None = None) -> Trial:
        """Queues a paused trial to go on from its checkpoint, to step `stop_at` or to its end; 409
        `wrong-state`."""
        body = TrialContinue(stop_at=stop_at)
        return self._call(Trial, "POST", f"/trials/{trial_id}/continue", body)

    def stop(self, trial_id: int) -> Trial:
        """Ends a running trial for good at its next evaluation point, a paused one at once; 409
        `wrong-state`."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/stop")

    def stop_early(self, trial_id: int) -> Trial:
        """Ends a running trial for good and at once, with its scores on the way; 409
        `wrong-state`."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/early-stop")

    def retry(self, trial_id: int) -> Trial:
        """Queues a failed or cancelled trial again; 409 `wrong-state` when it is completed."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/retry")

    # --- a worker's calls; 409 `lease-lost`: another has the trial, stop the run ---

    def next(self, request: NextRequest) -> NextAnswer:
        """A trial under a lease, or None, why, and in how many seconds to ask again.

        The worker's name must be its own: whoever asks again under it before anything was sent
        under the lease gets the same trial, and the token before is void.
        """
        return self._call(NextAnswer, "POST", "/trials/next", request)

    def heartbeat(self, trial_id: int, body: Heartbeat) -> HeartbeatAnswer:
        """Keeps the lease for another `duration_s`; with `cancel` in the answer, stop the run.

        It is not retried for long: the next heartbeat is the better retry.
        """
        path = f"/trials/{trial_id}/heartbeat"
        return self._call(
            HeartbeatAnswer,
            "POST",
            path,
            body,
            patience_s=HEARTBEAT_PATIENCE_S,
            timeout=min(HEARTBEAT_TIMEOUT_S, self._timeout_s),
        )

    def heartbeats(self, body: HeartbeatsRequest) -> list[BeatOutcome]:
        """Several heartbeats at once; what became of each, in their order."""
        return self._call(
            HeartbeatsAnswer,
            "POST",
            "/heartbeats",
            body,
            patience_s=HEARTBEAT_PATIENCE_S,
            timeout=min(HEARTBEAT_TIMEOUT_S, self._timeout_s),
        ).beats

    def measurements(
        self, trial_id: int, body: MeasurementsRequest, patience_s: float | None = None
    ) -> Trial:
        """Scores of a checkpoint on the way; also a sign of life."""
        path = f"/trials/{trial_id}/measurements"
        return self._call(Trial, "POST", path, body, patience_s=patience_s)

    def result(self, trial_id: int, body: Result) -> Trial:
        """Finishes the trial: every benchmark that the objective weighs. Answered 200, it is on the
        disk. 409 `lease-lost`, `result-conflict`: the scores were kept as a replicate."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/result", body)

    def partial(self, trial_id: int, body: Partial) -> Trial:
        """The run ended at a step before its last one, with a checkpoint: the trial is paused, or
        stopped early where that was asked."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/partial", body)

    def failure(self, trial_id: int, body: Failure) -> Trial:
        """The run did not work; when `retryable` it is queued again while attempts are left."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/failure", body)

    def release(self, trial_id: int, body: Release) -> Trial:
        """Hands the trial back, with nothing counted against it: shutdown, preemption."""
        return self._call(Trial, "POST", f"/trials/{trial_id}/release", body)

    # --- calls of whoever starts workers ---

    def demand(
        self,
        study: str | None = None,
        *,
        gpus: int | None = None,
        gpu_memory_gb: float | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Demand:
        """How many trials workers could begin now, of a study or of all: workers that have so much,
        by what studies require; None for enough."""
        path = "/demand" if study is None else f"/studies/{_part(study)}/demand"
        said: dict[str, Any] = {"gpus": gpus, "gpu_memory_gb": gpu_memory_gb}
        if labels is not None:
            said["label"] = [f"{name}={value}" for name, value in labels.items()]
        asked = {name: value for name, value in said.items() if value is not None}
        return self._call(Demand, "GET", path, params=asked)

    def workers(self, starts_with: str = "") -> list[WorkerSeen]:
        """Workers that hold a trial or have asked for one lately, by name, page by page."""
        found: list[WorkerSeen] = []
        while True:
            asked = {"starts_with": starts_with, "after": found[-1].name if found else ""}
            page = self._call(WorkerPage, "GET", "/workers", params=asked)
            found += page.workers
            if not page.more:
                return found

    def gone(self, worker: str) -> list[int]:
        """A worker's machine is dead: ids of the trials that it held, which are queued again with
        nothing counted against them."""
        return self._call(Gone, "POST", f"/workers/{_part(worker)}/gone").trials


def _part(name: str) -> str:
    """A name as one part of a path, whatever it is."""
    return quote(name, safe="")
