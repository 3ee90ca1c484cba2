"""Equality of mathematical expressions, judged by math-verify in a process of its own.

Simplifying an expression may never end, and math-verify's own limits are signals, which only a
program's main thread may set. So a child process judges, one case after the other: it gives up by
itself, or is killed and replaced. Any thread may ask.
"""

from __future__ import annotations

import atexit
import json
import os
import re
import subprocess
import sys
import threading
import time
from importlib.util import find_spec
from multiprocessing.connection import wait
from pathlib import Path

from rewards.cases import Case

SOFT_LIMIT_S = 1.0
"""After this the child gives a case up by itself, where it still listens."""
HARD_LIMIT_S = 1.4
"""After this it is killed."""
PATIENCE_S = 0.5
"""After this no further accepted answer is tried."""
START_LIMIT_S = 60.0
"""Importing sympy takes half a second, on a busy machine much longer."""
MAX_LENGTH = 2000
"""Characters of an expression; two longer ones are equal if they are the same."""

_MARKED = re.compile(r"\$|\\boxed|\\\(|\\\[")
_WORD = re.compile(r"(?<![\\A-Za-z])[A-Za-z]{2,}")
_OPERATOR = re.compile(r"[\\^=√(){}/*+]")
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z])")


class MathVerifyMissing(RuntimeError):  # noqa: N818 - it is what is wrong
    """math-verify is needed; install it with: pip install 'modomodo[math]'"""

    def __str__(self) -> str:
        return str(self.__doc__)


def score(case: Case) -> float:
    """1 if the response is mathematically equal to an accepted answer, or the same text.

    Raises:
        MathVerifyMissing: it is not installed.
    """
    given = case.response.strip()
    if any(given == answer.strip() for answer in case.accepted):
        return 1.0
    end = time.monotonic() + PATIENCE_S
    return float(
        any(time.monotonic() < end and is_equal(answer, given) for answer in case.accepted)
    )


def is_equal(right: str, given: str) -> bool:
    """Whether `given` says the same as `right`; False where that takes too long to tell.

    The order matters: math-verify takes the right answer first.

    Raises:
        MathVerifyMissing: it is not installed.
    """
    right, given = right.strip(), given.strip()
    if right == given:
        return True
    if not right or not given or max(len(right), len(given)) > MAX_LENGTH:
        return False
    return _JUDGE.is_equal(marked(right), marked(given))


def is_available() -> bool:
    """Whether math-verify is installed."""
    return find_spec("math_verify") is not None


def marked(text: str) -> str:
    r"""A formula between dollar signs, so that it is read as one; other text as it is.

    Words are not: as a formula "pairs" is the product of its letters, and equal to "Paris".
    """
    if _MARKED.search(text) or _WORD.search(text) or not _OPERATOR.search(text):
        return text
    return "$" + _ROOT.sub(r"\\sqrt{\1}", text) + "$"


class Judge:
    """The child process: started when first asked, and again after it was killed."""

    def __init__(self, soft_limit_s: float = SOFT_LIMIT_S, hard_limit_s: float = HARD_LIMIT_S):
        self._soft_limit_s, self._hard_limit_s = soft_limit_s, hard_limit_s
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._owner = os.getpid()

    def is_equal(self, right: str, given: str) -> bool:
        """Asks the child; False where it gives up or must be killed.

        Raises:
            MathVerifyMissing: it is not installed.
        """
        with self._lock:
            process = self._ready()
            try:
                _write(process, json.dumps([right, given]))
                verdict = _line(process, self._hard_limit_s)
            except OSError:
                verdict = None
            if verdict is None:
                self._kill()
                self._start()  # it gets ready meanwhile
            return verdict == b"1"

    def close(self) -> None:
        """Ends the child."""
        with self._lock:
            self._kill()

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():  # after a fork, the child is our parent's
            self._process, self._owner = None, os.getpid()
        process = self._process
        if process is None or process.poll() is not None:
            process = self._start()
        if not self._is_ready:
            if _line(process, START_LIMIT_S) is None:
                self._kill()
                raise RuntimeError(f"math-verify did not start within {START_LIMIT_S:g} s")
            self._is_ready = True
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        if not is_available():
            raise MathVerifyMissing
        package = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        command = [sys.executable, "-m", "rewards.math_worker", str(self._soft_limit_s)]
        self._process = subprocess.Popen(  # noqa: S603 - this very Python, no text of a model
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        self._is_ready = False
        return self._process

    def _kill(self) -> None:
        process, self._process, self._is_ready = self._process, None, False
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def _write(process: subprocess.Popen[bytes], text: str) -> None:
    """Short enough for the pipe to take it at once."""
    if process.stdin is not None:
        process.stdin.write(text.encode("ascii") + b"\n")
        process.stdin.flush()


def _line(process: subprocess.Popen[bytes], limit_s: float) -> bytes | None:
    """The child's next line; None where it takes too long or the child has died."""
    if process.stdout is None:
        return None
    end = time.monotonic() + limit_s
    read = b""
    while not read.endswith(b"\n"):
        left = end - time.monotonic()
        if left <= 0 or not wait([process.stdout.fileno()], left):
            return None
        some = os.read(process.stdout.fileno(), 64)
        if not some:
            return None
        read += some
    return read.strip()


_JUDGE = Judge()
atexit.register(_JUDGE.close)
