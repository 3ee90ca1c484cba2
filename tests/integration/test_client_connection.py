"""The client over a real connection."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

from service.client import Client


@contextmanager
def answering(*statuses: int) -> Iterator[str]:
    """A server that knows no studies and answers with these statuses in turn."""
    left = list(statuses)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(left.pop(0))
            self.end_headers()
            self.wfile.write(b'{"studies": []}')

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_a_service_in_trouble_is_asked_again():
    pauses: list[float] = []
    with answering(503, 200) as url:
        assert Client(url, sleep=pauses.append).studies() == []
    assert len(pauses) == 1


def test_a_proxy_is_not_asked_for_this_machine(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    with answering(200) as url:
        assert Client(url, patience_s=0).studies() == []
