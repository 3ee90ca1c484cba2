"""Imported by a server that training runs are forked from: it outlives clients that are killed.

A client that is killed between its call and what it wanted would end CPython's server with an
`EOFError`, and with it the runs of all others; a call that was broken off is one it passes over. A
worker's own server has no other client, and ends with it.
"""

from __future__ import annotations

import errno
import socket
from multiprocessing import reduction

_received = reduction.recvfds


def _recvfds(sock: socket.socket, size: int) -> list[int]:
    try:
        return _received(sock, size)
    except (EOFError, ConnectionResetError) as error:
        raise OSError(errno.ECONNABORTED, "the client is gone") from error


reduction.recvfds = _recvfds
