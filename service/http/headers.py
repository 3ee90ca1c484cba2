"""What every answer tells browsers, so that nothing it holds is ever run."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

# No inline script and nothing from elsewhere: text that looks like HTML stays text even if it
# slipped through the escaping. Plotly styles its charts by style elements of its own making.
OF_PAGES = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self' 'unsafe-inline'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'self'",
        "frame-ancestors 'none'",
    )
)
OF_DATA = "default-src 'none'; frame-ancestors 'none'"


def _all(policy: str) -> tuple[tuple[bytes, bytes], ...]:
    return (
        (b"content-security-policy", policy.encode()),
        (b"x-content-type-options", b"nosniff"),
        (b"referrer-policy", b"same-origin"),
        (b"cache-control", b"no-store"),
    )


_OF_PAGES, _OF_DATA = _all(OF_PAGES), _all(OF_DATA)


class SafeHeaders:
    """Adds them to answers that do not say otherwise."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                said = dict(message.get("headers", ()))  # by names in small letters, says ASGI
                is_page = said.get(b"content-type", b"").startswith(b"text/html")
                safe = _OF_PAGES if is_page else _OF_DATA
                more = [header for header in safe if header[0] not in said]
                message["headers"] = [*message.get("headers", ()), *more]
            await send(message)

        await self._app(scope, receive, with_headers)
