"""What a Python process does first when this folder is on its path: it takes the server that
training runs are forked from to be the tests' (`tests.support.forks`)."""

import os

if "TESTS_FORK_SERVER" in os.environ:
    from multiprocessing import forkserver

    forkserver._forkserver._forkserver_address = os.environ["TESTS_FORK_SERVER"]
    forkserver._forkserver._forkserver_alive_fd = os.open(os.devnull, os.O_RDONLY)
    forkserver._forkserver.ensure_running = lambda: None
