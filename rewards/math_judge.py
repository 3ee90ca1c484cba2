"""math-verify in a process of its own, which says whether two formulas are equal.

Simplifying an expression may never end, and math-verify's own limits are signals, which only a
program's main thread may set. So a child process judges, one comparison after the other. Its limits
are processor time, which the child's kernel keeps: it gives up by itself, or is ended and replaced.
Any thread may ask. Time to start, to wait for other threads and to come back after an end is no
case's time.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing.connection import wait
from pathlib import Path

SOFT_LIMIT_S = 1.0
"""Processor time of one comparison, after which the child gives up by itself, where it still
listens. Not time on the clock: a verdict should not depend on what else the machine does."""
CASE_LIMIT_S = 1.5
"""Processor time of a case: one answer that takes all of its own leaves some to the others."""
LEAST_S = 0.2
"""With less left of a case's time no comparison is begun."""
HANG_S = 60.0
"""Time on the clock after which a child that the kernel has not ended is taken for dead: on a very
busy machine a limit of processor time takes that long."""
START_LIMIT_S = 60.0
"""Importing sympy takes half a second, on a busy machine much longer."""
TRIES = 2
"""Children that a comparison may bring down, other than by its processor time."""
FAULTS = 2
"""Comparisons of a case that may do so: else one with many accepted answers may take for ever."""

WORKER = (sys.executable, "-P", "-m", "rewards.math_worker")
"""-P: not whatever is called `rewards` in the folder it happens to run in."""


class MathVerifyMissing(RuntimeError):  # noqa: N818 - it is what is wrong
    """math-verify is needed; install it with: pip install 'modomodo[math]'"""

    def __str__(self) -> str:
        return str(self.__doc__)


class JudgeBroken(RuntimeError):  # noqa: N818 - it is what is wrong
    """The process that judges formulas cannot work here, so nothing can be scored by it."""


def is_available() -> bool:
    """Whether math-verify is installed."""
    return find_spec("math_verify") is not None


@dataclass(slots=True)
class CaseComparisons:
    """The comparisons of one case; it holds the judge alone and has time of its own."""

    judge: Judge
    left_s: float = CASE_LIMIT_S
    asked: int = 0
    unjudged: int = 0
    """Comparisons without a verdict, which count as not equal."""
    reason: str = ""
    """Why the last one of them has none."""
    _unread: set[str] = field(default_factory=set)
    _faults: int = 0

    def is_equal(self, right: str, given: str) -> bool:
        """Whether math-verify says so; False also without a verdict. The order matters to it.

        Raises:
            MathVerifyMissing: it is not installed.
            JudgeBroken: its process does not start, or not again.
        """
        self.asked += 1
        if given in self._unread or self.left_s < LEAST_S or self._faults >= FAULTS:
            self.unjudged += 1
            self.reason = self.reason or "no time is left for it"
            return False
        answer = self.judge.compare(right, given, min(self.left_s, self.judge.soft_limit_s))
        self.left_s -= answer.spent_s
        if answer.is_equal is None:
            self.unjudged += 1
            self._faults += not answer.spent_s
            self.reason = answer.reason
            if not answer.was_read:
                self._unread.add(given)
        return bool(answer.is_equal)


@dataclass(frozen=True, slots=True)
class Answer:
    """What the child said of one comparison."""

    is_equal: bool | None
    """None where it gave no verdict."""
    spent_s: float
    was_read: bool
    """Whether it got as far as having read the given text."""
    reason: str = ""


class Judge:
    """The child process: started when first asked, and again after it ended."""

    def __init__(
        self,
        soft_limit_s: float = SOFT_LIMIT_S,
        hang_s: float = HANG_S,
        worker: Sequence[str] = WORKER,
    ) -> None:
        self.soft_limit_s = soft_limit_s
        self._hang_s = hang_s
        self._worker = list(worker)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._is_ready = False
        self._owner = os.getpid()

    @contextmanager
    def comparisons(self) -> Iterator[CaseComparisons]:
        """The judge alone for one case, as soon as other threads' cases are done."""
        with self._lock:
            yield CaseComparisons(self)

    def compare(self, right: str, given: str, limit_s: float) -> Answer:
        """Asks the child, once it is there, with so much processor time. Only within `comparisons`.

        Raises:
            MathVerifyMissing: it is not installed.
            JudgeBroken: the child does not start, or not again.
        """
        answer = Answer(None, 0.0, was_read=False)
        for _ in range(TRIES):
            answer = self._try(right, given, limit_s)
            if answer.is_equal is not None or answer.spent_s:
                return answer
        self._ready()  # a new one starts and judges its first formulas well, so it is this case
        return answer

    def _try(self, right: str, given: str, limit_s: float) -> Answer:
        process = self._ready()
        was_read = False
        try:
            _write(process, json.dumps([right, given, limit_s]))
            line = _line(process, self._hang_s)
            if line == b"read":
                was_read = True
                line = _line(process, self._hang_s)
        except OSError:
            line = None
        if line is not None:
            verdict, _, spent = line.partition(b" ")
            too_long = f"it takes more than {limit_s:.1f} s of processor time, or breaks"
            known = {b"1": True, b"0": False}.get(verdict)
            return Answer(known, float(spent), was_read, "" if known is not None else too_long)
        code = self._kill()
        self._start()  # it gets ready meanwhile
        if code == -signal.SIGPROF:
            return Answer(None, limit_s, was_read, f"it takes more than {limit_s:.1f} s")
        how = f"ended by itself ({code})" if code is not None else f"hung for {self._hang_s:g} s"
        return Answer(None, 0.0, was_read, f"the judging process {how}, {TRIES} times")

    def close(self) -> None:
        """Ends the child."""
        with self._lock:
            self._kill()

    def _ready(self) -> subprocess.Popen[bytes]:
        if self._owner != os.getpid():  # after a fork, the child is our parent's
            self._process, self._owner = None, os.getpid()
        process = self._process
        if process is None or process.poll() is not None:
            self._kill()
            process = self._start()
        if not self._is_ready:
            if _line(process, START_LIMIT_S) is None:
                code = self._kill()
                how = "is not ready" if code is None else f"ended ({code})"
                raise JudgeBroken(
                    f"cannot judge formulas: the process of math-verify {how} within "
                    f"{START_LIMIT_S:g} s of its start; to see why: {' '.join(self._worker)} 1"
                )
            self._is_ready = True
        return process

    def _start(self) -> subprocess.Popen[bytes]:
        if not is_available():
            raise MathVerifyMissing
        package = str(Path(__file__).resolve().parents[1])
        path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
        self._process = subprocess.Popen(  # noqa: S603 - this very Python, no text of a model
            [*self._worker, str(self.soft_limit_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"},
        )
        self._is_ready = False
        return self._process

    def _kill(self) -> int | None:
        """Ends the child; the code it had ended with by itself, None where it had not."""
        process, self._process, self._is_ready = self._process, None, False
        if process is None or self._owner != os.getpid():
            return None
        code = process.poll()
        process.kill()
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()
        return code


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
        some = os.read(process.stdout.fileno(), 1)  # not a byte of the next line
        if not some:
            return None
        read += some
    return read.strip()


JUDGE = Judge()
atexit.register(JUDGE.close)
