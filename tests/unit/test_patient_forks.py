"""The server that runs of tests are forked from passes over clients that were killed."""

from __future__ import annotations

import errno
import socket
from multiprocessing import reduction

import pytest

from tests.support import patient_forks


def test_a_client_that_vanished_is_a_call_that_was_broken_off():
    assert reduction.recvfds is patient_forks._recvfds
    server, client = socket.socketpair()
    with server:
        client.close()
        with pytest.raises(OSError) as gone:
            reduction.recvfds(server, 4)
    assert gone.value.errno == errno.ECONNABORTED


def test_what_a_client_sends_is_received():
    server, client = socket.socketpair()
    with server, client:
        reduction.sendfds(client, [server.fileno()])
        (received,) = reduction.recvfds(server, 4)
    socket.close(received)
