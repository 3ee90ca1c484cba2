"""A small client of the service: one method a call, retried where that is safe.

Every call may be sent twice without harm: the service answers a repeated `next`, `result` or
`create_study` as it answered the first. So lost connections, time-outs and 5xx answers are retried
with growing, jittered pauses until `patience_s` is over.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from typing import Any, Literal, Self, TypeVar

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
    Failure,
    Heartbeat,
    HeartbeatAnswer,
    MeasurementsRequest,
    NextAnswer,
    NextRequest,
    PredictAnswer,
    PredictRequest,
    Release,
    Result,
    Study,
    StudyFigures,
    StudyPage,
    StudyPatch,
    StudySpec,
    SurrogateFit,
    TrainerName,
    Trial,
    TrialCreate,
    TrialPage,
)

DEFAULT_URL = "http://127.0.0.1:8765"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
HEARTBEAT_PATIENCE_S = 2.0
FIGURES_TIMEOUT_S = 900.0

Answer = TypeVar("Answer", bound=BaseModel)


class ServiceError(Exception):
    """The service refused a call: `status`, its stable `code`, and what it said.

    `retry_after_s` is when to try again, where the service said so.
    """

    def __init__(
        self, status: int, code: str, detail: str, retry_after_s: float | None = None
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.retry_after_s = retry_after_s


class ServiceUnreachable(Exception):  # noqa: N818 - it is a state, not a mistake
    """No useful answer from the service within the client's patience."""


def _may_pass(error: BaseException) -> bool:
    if isinstance(error, ServiceError):
        return error.status == 429 or error.status >= 500
    return isinstance(error, httpx.TransportError)


class Client:
    """Speaks to one service.

    Args:
        url: address of the service; default `MODOMODO_URL` or this machine's.
        api_key: sent as a bearer token; default `MODOMODO_API_KEY`.
        patience_s: how long a call is retried before `ServiceUnreachable`.
        sleep: pauses between tries; may raise to give up early.

    Every method raises `ServiceError` when the service refuses the call, and `ServiceUnreachable`
    when there is no service at the address or it cannot answer now.
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
        self._patience_s, self._sleep = patience_s, sleep

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- studies ---

    def create_study(self, spec: StudySpec) -> Study:
        return self._call(Study, "POST", "/studies", spec)

    def studies(self) -> list[Study]:
        return self._call(StudyPage, "GET", "/studies").studies

    def study(self, name: str) -> Study:
        return self._call(Study, "GET", f"/studies/{name}")

    def patch_study(self, name: str, patch: StudyPatch) -> Study:
        return self._call(Study, "PATCH", f"/studies/{name}", patch)

    def best(self, study: str) -> BestAnswer:
        return self._call(BestAnswer, "GET", f"/studies/{study}/best")

    def surrogate(self, study: str, name: str) -> SurrogateFit:
        return self._call(SurrogateFit, "GET", f"/studies/{study}/surrogates/{name}")

    def predict(self, study: str, name: str, mixtures: list[dict[str, float]]) -> PredictAnswer:
        body = PredictRequest(mixtures=mixtures)
        return self._call(
            PredictAnswer, "POST", f"/studies/{study}/surrogates/{name}/predict", body
        )

    def figures(self, study: str) -> StudyFigures:
        """The dashboard's charts; all surrogates are fitted for them, which may take minutes."""
        return self._call(
            StudyFigures, "GET", f"/studies/{study}/figures", timeout=FIGURES_TIMEOUT_S
        )

    def export(
        self,
        study: str,
        format: Literal["csv", "json", "yaml"],  # noqa: A002
        trainer: TrainerName | None = None,
    ) -> str:
        """The file's text; with `trainer`, the YAML is in that trainer's own options."""
        asked = {"format": format} | ({"trainer": trainer} if trainer else {})
        return self._send("GET", f"/studies/{study}/export", params=asked).text

    # --- trials ---

    def trials(self, study: str, after: int = 0) -> list[Trial]:
        """All trials that changed after revision `after`, page by page."""
        trials: list[Trial] = []
        while True:
            page = self._call(TrialPage, "GET", f"/studies/{study}/trials", params={"after": after})
            trials += page.trials
            after = page.after
            if not page.more:
                return trials

    def trial(self, trial_id: int) -> Trial:
        return self._call(Trial, "GET", f"/trials/{trial_id}")

    def add_trial(self, study: str, trial: TrialCreate) -> Trial:
        key = {"Idempotency-Key": secrets.token_hex(16)}  # however often it is sent: one trial
        return self._call(Trial, "POST", f"/studies/{study}/trials", trial, headers=key)

    def cancel(self, trial_id: int) -> Trial:
        return self._call(Trial, "POST", f"/trials/{trial_id}/cancel")

    def stop_early(self, trial_id: int) -> Trial:
        return self._call(Trial, "POST", f"/trials/{trial_id}/early-stop")

    def retry(self, trial_id: int) -> Trial:
        return self._call(Trial, "POST", f"/trials/{trial_id}/retry")

    # --- a worker's calls ---

    def next(self, request: NextRequest) -> NextAnswer:
        return self._call(NextAnswer, "POST", "/trials/next", request)

    def heartbeat(self, trial_id: int, body: Heartbeat) -> HeartbeatAnswer:
        """Not retried for long: the next heartbeat is the better retry."""
        path = f"/trials/{trial_id}/heartbeat"
        return self._call(HeartbeatAnswer, "POST", path, body, patience_s=HEARTBEAT_PATIENCE_S)

    def measurements(
        self, trial_id: int, body: MeasurementsRequest, patience_s: float | None = None
    ) -> Trial:
        path = f"/trials/{trial_id}/measurements"
        return self._call(Trial, "POST", path, body, patience_s=patience_s)

    def result(self, trial_id: int, body: Result) -> Trial:
        return self._call(Trial, "POST", f"/trials/{trial_id}/result", body)

    def failure(self, trial_id: int, body: Failure) -> Trial:
        return self._call(Trial, "POST", f"/trials/{trial_id}/failure", body)

    def release(self, trial_id: int, body: Release) -> Trial:
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
        retrying = Retrying(
            retry=retry_if_exception(_may_pass),
            stop=stop_after_delay(self._patience_s if patience_s is None else patience_s),
            wait=_pause,
            sleep=self._sleep,
            retry_error_callback=_out_of_patience,
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
        try:
            problem = response.json()
            code, detail = str(problem["code"]), str(problem["detail"])
        except (ValueError, KeyError, TypeError):
            code, detail = "unknown", response.text[:500] or response.reason_phrase
        after = response.headers.get("Retry-After", "")
        raise ServiceError(
            response.status_code, code, detail, float(after) if after.isdigit() else None
        )


_GROWING = wait_exponential_jitter(initial=0.2, max=5.0)


def _pause(state: RetryCallState) -> float:
    """Seconds until the next try: growing and jittered, and as long as the service asked for."""
    error = state.outcome.exception() if state.outcome else None
    asked = error.retry_after_s if isinstance(error, ServiceError) else None
    return max(asked or 0.0, _GROWING(state))


def _out_of_patience(state: RetryCallState) -> None:
    error = state.outcome.exception() if state.outcome else None
    raise ServiceUnreachable(
        f"no answer from the service in {state.seconds_since_start or 0:.0f} s: {error}"
    ) from error


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
