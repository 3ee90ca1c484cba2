"""How a client's calls come through to the service.

Lost connections, time-outs, 429 and 5xx answers are tried again with growing, jittered pauses until
`patience_s` is over. What a proxy on the way answers is not taken for the service's.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel, ValidationError
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception,
    stop_after_delay,
    wait_exponential_jitter,
)

from service.schemas import Problem

DEFAULT_URL = "http://127.0.0.1:8765"
LOOPBACK = ("127.0.0.1", "localhost", "::1")
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


class Transport:
    """Connections to one service.

    Args:
        url: address of the service; default `MODOMODO_URL` or this machine's.
        api_key: sent as a bearer token; default `MODOMODO_API_KEY`.
        patience_s: how long a call is retried, in seconds, before `ServiceUnreachable`.
        timeout_s: how long one try may wait for an answer; fits have longer, heartbeats less.
        sleep: pauses between tries; may raise to give up early.
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

    def _call(
        self,
        answer: type[Answer],
        method: str,
        path: str,
        body: BaseModel | None = None,
        **rest: Any,
    ) -> Answer:
        # Only what the caller said: an older service refuses fields that it does not know.
        content = None if body is None else body.model_dump_json(exclude_unset=True)
        response = self._send(method, path, content=content, **rest)
        foreign = f"what answers at {self.url} is not a MoDoMoDo service of this version"
        try:
            # A newer service may say more: fields that this version does not know are passed over.
            found = answer.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            raise ServiceUnreachable(foreign) from error
        if not found.model_fields_set:  # nor has it one that is known
            raise ServiceUnreachable(foreign)
        return found

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
