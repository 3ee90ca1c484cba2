"""Finds Docker Compose to read the compose file, or gets one: `python -m tests.support.compose`.

Reading needs no engine. Where Compose is missing, Debian's program is unpacked beside the virtual
environment; nothing is installed.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

FOLDER = Path(sys.prefix) / "compose"
SOURCE = "deb http://deb.debian.org/debian trixie main"
"""Older releases have no Compose 2."""


def find() -> list[str] | None:
    """The command that runs Compose 2; None where there is none."""
    unpacked = FOLDER.glob("usr/libexec/docker/cli-plugins/docker-compose")
    for command in (["docker", "compose"], ["docker-compose"], *([str(path)] for path in unpacked)):
        if shutil.which(command[0]) is None:
            continue
        asked = subprocess.run(
            [*command, "version", "--short"], capture_output=True, text=True, check=False
        )
        if asked.returncode == 0 and asked.stdout.lstrip("v").startswith(("2", "3", "4", "5")):
            return command
    return None


def unpack() -> None:
    """Debian's package, if this machine knows Debian's keys and reaches it; failing is no error."""
    if shutil.which("apt-get") is None:
        return
    with tempfile.TemporaryDirectory(prefix="compose-") as folder:
        own = Path(folder)
        for name in ("lists/partial", "cache/archives/partial"):
            (own / name).mkdir(parents=True)
        (own / "sources.list").write_text(f"{SOURCE}\n")
        apt = [
            "apt-get", "-qq",
            "-o", f"Dir::Etc::sourcelist={own}/sources.list",
            "-o", "Dir::Etc::sourceparts=/dev/null",
            "-o", f"Dir::State::lists={own}/lists", "-o", f"Dir::Cache={own}/cache",
            "-o", "APT::Sandbox::User=root",
        ]  # fmt: skip
        for command in ("update", "download docker-compose"):
            with suppress(subprocess.TimeoutExpired):
                subprocess.run(
                    [*apt, *command.split()], cwd=own, capture_output=True, check=False, timeout=120
                )
        for package in own.glob("docker-compose_*.deb"):
            subprocess.run(["dpkg", "-x", package, FOLDER], capture_output=True, check=False)


if __name__ == "__main__":
    if find() is None:
        print("no Docker Compose found, unpacking one to check the compose file", flush=True)
        unpack()
    found = find()
    print(f"compose file: {' '.join(found) if found else 'NOT RUN, no Compose could be had'}")
