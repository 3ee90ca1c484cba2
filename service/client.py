"""A small client of the service: one method a call, each safe to send again.

The service answers a repeated `next`, `result` or `create_study` as it answered the first, and a
repeated `add_trial` by its key. So lost connections, time-outs, 429 and 5xx answers are retried
with growing, jittered pauses until `patience_s` is over. `docs/reference/client.md` shows it at
work.
"""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Literal, Self, TypeVar
from urllib.parse import quote

import httpx
from pydantic import BaseModel, ValidationError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential_jitter,
)

from service.schemas import (
    BestAnswer,
    Curve,
    Failure,
    Heartbeat,
    HeartbeatAnswer,
    MeasurementsRequest,
    NextAnswer,
    NextRequest,
    Partial,
    PredictAnswer,
    PredictRequest,
    Problem,
    Release,
    Result,
    Study,
    StudyCost,
    StudyFigures,
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
)

DEFAULT_URL = "http://127.0.0.1:8765"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEARTBEAT_PATIENCE_S = 2.0
HEARTBEAT_TIMEOUT_S = 5.0
FIT_TIMEOUT_S = 150.0
"""More than a service lets a fit take, unless its operator says otherwise."""

FIGURES_TIMEOUT_S = 900.0
LONGEST_PAUSE_S = 60.0
"""Between two tries, whatever the service or a proxy before it asks for."""

Answer = TypeVar("Answer", bound=BaseModel)


class ServiceError(Exception):
    """The service refused a call: `status`, its stable `code`, and what it said.

    `retry_after_s` is when to try again, where the service said so; `faults` are the places of the
    body that it does not take, each as where and what.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        retry_after_s: float | None = None,
        faults: Sequence[tuple[str, str]] = (),
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.retry_after_s, self.faults = retry_after_s, faults


class ServiceUnreachable(Exception):  # noqa: N818 - it is a state, not a mistake
    """No useful answer from the service within the client's patience."""


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, ServiceError):
        return error.status in (408, 429) or error.status >= 500
    return isinstance(error, httpx.TransportError)


class Client:
    """Speaks to one service.

    Args:
        url: address of the service; default `MODOMODO_URL` or this machine's.
        api_key: sent as a bearer token; default `MODOMODO_API_KEY`.
        patience_s: how long a call is retried, in seconds, before `ServiceUnreachable`.
        timeout_s: how long one try may wait for an answer; fits have longer, heartbeats less.
        sleep: pauses between tries; may raise to give up early.

    Every method raises `ServiceError` when the service refuses the call, and `ServiceUnreachable`
    when there is no service at the address, it cannot answer now, or a proxy answers for it.
    """

    def __init__(
        self,
        url: str | None = None,
        api_key: str | None = None,
        *,
        patience_s: float = 30.0,
        timeout_s: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = (url or os.environ.get("MODOMODO_URL") or DEFAULT_URL).rstrip("/")
        host = _host(self.url)
        key = api_key or os.environ.get("MODOMODO_API_KEY")
        self._http = httpx.Client(
            base_url=self.url,
            timeout=timeout_s,
            headers={"Authorization": f"Bearer {key}"} if key else {},
            trust_env=host not in LOOPBACK,  # a proxy knows nothing of this machine's own ports
        )
        self._patience_s, self._timeout_s, self._sleep = patience_s, timeout_s, sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Closes its connections."""
        self._http.close()

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
        """Changes state (`active`, `paused`, `finished`), budget, GPU-hours or note; None stays."""
        return self._call(Study, "PATCH", f"/studies/{_part(name)}", patch)

    def cost(self, study: str) -> StudyCost:
        """GPU-hours used and left, and those of each trial."""
        return self._call(StudyCost, "GET", f"/studies/{_part(study)}/cost")

    def best(self, study: str) -> BestAnswer:
        """The mixture to train, its gain over uniform weights, and a surrogate's own best."""
        path = f"/studies/{_part(study)}/best"
        return self._call(BestAnswer, "GET", path, timeout=FIT_TIMEOUT_S)

    def surrogate(self, study: str, name: str) -> SurrogateFit:
        """A surrogate's fit of the completed trials; 409 `too-few-results`, `fit-failed`."""
        path = f"/studies/{_part(study)}/surrogates/{_part(name)}"
        return self._call(SurrogateFit, "GET", path, timeout=FIT_TIMEOUT_S)

    def predict(self, study: str, name: str, mixtures: list[dict[str, float]]) -> PredictAnswer:
        """Mean and standard deviation of the objective at mixtures, weights by domain; 409 as
        `surrogate`."""
        body = PredictRequest(mixtures=mixtures)
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
    ) -> str:
        """The file's text; with `trainer`, the YAML is in that trainer's own options."""
        asked = {"format": format} | ({"trainer": trainer} if trainer else {})
        return self._send("GET", f"/studies/{_part(study)}/export", params=asked).text

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

    # --- transport ---

    def _call(
        self,
        answer: type[Answer],
        method: str,
        path: str,
        body: BaseModel | None = None,
        **rest: Any,
    ) -> Answer:
        content = body.model_dump_json(exclude_unset=False) if body is not None else None
        response = self._send(method, path, content=content, **rest)
        try:
            return answer.model_validate_json(response.content)
        except ValidationError as error:
            raise ServiceUnreachable(
                f"what answers at {self.url} is not a MoDoMoDo service of this version"
            ) from error

    def _send(
        self, method: str, path: str, *, patience_s: float | None = None, **request: Any
    ) -> httpx.Response:
        patience = self._patience_s if patience_s is None else patience_s
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_delay(patience),
            wait=partial(_pause, patience),
            sleep=self._sleep,
            retry_error_callback=partial(_out_of_patience, self.url),
        )
        response: httpx.Response = retrying(self._once, method, path, **request)
        return response

    def _once(self, method: str, path: str, **request: Any) -> httpx.Response:
        headers = dict(request.pop("headers", {}))
        if request.get("content"):
            headers["Content-Type"] = "application/json"
        response = self._http.request(method, path, headers=headers, **request)
        if response.is_success:
            return response
        after = response.headers.get("Retry-After", "")
        after_s = float(after) if after.isdigit() else None
        problem = _problem(response)
        if problem is not None:
            faults = [(str(e.get("where", "")), str(e.get("what", ""))) for e in problem.errors]
            raise ServiceError(response.status_code, problem.code, problem.detail, after_s, faults)
        said = response.text[:500].strip() or response.reason_phrase
        foreign = f"{response.status_code} that is not the service's own: {said}"
        if response.status_code == 429 or response.status_code >= 500:
            raise ServiceError(response.status_code, "unknown", foreign, after_s)
        raise ServiceUnreachable(
            f"between here and the service something answers at {self.url} with a {foreign}"
        )


def _problem(response: httpx.Response) -> Problem | None:
    """The problem that the service answers with; None where it is somebody else's answer, as a
    proxy's page: what that says of a trial does not count."""
    try:
        problem = Problem.model_validate_json(response.content)
    except ValidationError:
        return None
    return problem if problem.code else None


_GROWING = wait_exponential_jitter(initial=0.2, max=5.0)


def _pause(patience_s: float, state: RetryCallState) -> float:
    """Seconds until the next try: growing and jittered, and as long as the service asked for, but
    not beyond the end of patience, where there is one more."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, ServiceError) else None
    left = max(0.0, patience_s - (state.seconds_since_start or 0.0))
    return min(max(asked or 0.0, _GROWING(state)), LONGEST_PAUSE_S, left)


def _out_of_patience(url: str, state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    advice = ""
    if isinstance(error, httpx.ConnectError):
        advice = "; `modomodo serve` starts one, --url or MODOMODO_URL say where it is"
    said = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    raise ServiceUnreachable(
        f"no answer from a service at {url} in {state.seconds_since_start or 0:.0f} s: "
        f"{said}{advice}"
    ) from error


def _part(name: str) -> str:
    """A name as one part of a path, whatever it is."""
    return quote(name, safe="")


def _host(url: str) -> str:
    """Host of a service's address.

    Raises:
        ServiceUnreachable: it is no address of a service.
    """
    try:
        parsed = httpx.URL(url)
    except httpx.InvalidURL:
        parsed = httpx.URL()
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise ServiceUnreachable(f"{url!r} is not an address like {DEFAULT_URL}")
    return parsed.host
