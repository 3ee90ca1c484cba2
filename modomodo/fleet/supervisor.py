"""What runs on a node of a Ray cluster: an actor that holds the GPUs and keeps one worker.

It is sent to the nodes by value, so they need ray and the worker's program, and no code of ours in
ray's own environment. The worker is a process in a session of its own, which the kernel sends
SIGTERM when the actor's process ends, however that ends: it then hands its trial back.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from typing import Any

LEASH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
if os.getppid() != int(sys.argv[1]):
    sys.exit("the actor has ended")
os.execvp(sys.argv[2], sys.argv[2:])
"""


class Supervisor:
    """One worker, for as long as its process is there."""

    def __init__(self) -> None:
        self._worker: subprocess.Popen[bytes] | None = None
        self._said: dict[str, Any] = {}

    def keep(
        self, name: str, program: Sequence[str], arguments: Sequence[str], more: dict[str, str]
    ) -> dict[str, Any]:
        """Starts the worker, once; says its name, host and process id.

        Args:
            name: `{node}` in it and in the arguments is put in here.
            more: variables of its environment. They come with this call and not with the actor's
                creation, which Ray stores and shows.
        """
        if self._worker is None:
            import ray

            node = ray.get_runtime_context().get_node_id()[:16]
            words = [word.replace("{node}", node) for word in arguments]
            command = [*(program or (sys.executable, "-P", "-m", "modomodo")), *words]
            self._worker = subprocess.Popen(  # noqa: S603 - the operator's own program
                [sys.executable, "-c", LEASH, str(os.getpid()), *command],
                stdin=subprocess.DEVNULL,
                env=os.environ | more,
                start_new_session=True,
            )
            self._said = {
                "name": name.replace("{node}", node),
                "host": os.uname().nodename,
                "node": node,
                "pid": self._worker.pid,
            }
            threading.Thread(target=self._end_with, args=[self._worker], daemon=True).start()
        return self._said

    def stop(self) -> None:
        """Has the worker end in order."""
        if self._worker is not None:
            self._worker.send_signal(signal.SIGTERM)

    def _end_with(self, worker: subprocess.Popen[bytes]) -> None:
        # The GPUs are free again at once, whether a controller is there or not.
        worker.wait()
        os._exit(0)
