"""The process behind `service.executor.process`: `python -m service.executor.child SOCKET`."""

from __future__ import annotations

import faulthandler
import importlib
import os
import pickle
import queue
import signal
import sys
import threading
from multiprocessing.connection import Connection
from typing import Any

ASKED = ("service.proposing.question", "service.fitting.questions")
"""Where the functions are that will be asked for: imported before they are. Neither knows database
or HTTP."""

NICENESS = 5
"""How much it yields to the service on a busy processor (`nice`)."""

OVERTIME_S = 30.0
"""After the limit the service ends this process; where the service is gone, it ends itself,
also when a library holds the interpreter: this watchdog needs no Python."""


def main(descriptor: int, limit_s: float) -> None:
    """Answers questions until the service is gone."""
    # Whoever stops all processes of a service at once must not look like a fit that failed: the
    # service ends this one, and without a service it ends by itself.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    os.nice(NICENESS)
    line = Connection(descriptor)
    questions: queue.SimpleQueue[Any] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(line, questions), daemon=True).start()
    for asked in ASKED:
        importlib.import_module(asked)
    while True:
        function, args, kwargs = questions.get()
        faulthandler.dump_traceback_later(limit_s + OVERTIME_S, exit=True)
        try:
            answer = (True, function(*args, **kwargs))
        except Exception as error:
            answer = (False, _sendable(error))
        faulthandler.cancel_dump_traceback_later()
        line.send(answer)


def _listen(line: Connection, questions: queue.SimpleQueue[Any]) -> None:
    while True:
        try:
            questions.put(line.recv())
        except (EOFError, OSError):
            os._exit(0)  # the service is gone


def _sendable(error: Exception) -> Exception:
    try:
        pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    except Exception:
        return RuntimeError(f"{type(error).__name__}: {error}")
    return error


if __name__ == "__main__":
    main(int(sys.argv[1]), float(os.environ["MODOMODO_CALCULATION_LIMIT_S"]))
