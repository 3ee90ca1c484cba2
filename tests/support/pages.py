"""Pages of the docs, followed as a reader would: files written as shown, commands run in order."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import httpx

from modomodo import pictures
from tests.support import warm
from tests.support.polling import until
from tests.support.serving import is_ready

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NAMED = re.compile(r"# ([\w-]+\.yaml)\n")
SHELL = re.compile(r"[$`|&;<>(){}*?~\\\n]")
"""What only a shell understands; a command without it is words, for which none is started."""
STAYS = re.compile(r"(\w+=\S+ )*modomodo (serve|worker)\b(?!.*--until-done)")
WITHIN_S = 200.0

BROWSER = """#!/bin/sh
for one; do case $one in --screenshot=*) picture=${one#*=} ;; esac; done
head -c 100 "${one#file://}" > "$picture"
"""
"""Takes no picture, but writes the file: `tests/integration/test_study_plot.py` has a real one."""


@dataclass(frozen=True)
class Block:
    """What stands between two fences.

    Attributes:
        language: as it is named there.
        line: of the page, where it begins.
    """

    language: str
    text: str
    line: int


def blocks(page: Path) -> list[Block]:
    """All of a page, in order."""
    text = page.read_text()
    return [
        Block(found[1], found[2], text.count("\n", 0, found.start()) + 1)
        for found in FENCE.finditer(text)
    ]


def commands(text: str) -> Iterator[str]:
    """The commands of a block of shell: lines, or several that only together are one."""
    pending = ""
    for line in text.splitlines():
        pending += line
        if pending.endswith("\\") or not _is_whole(pending):
            pending += "\n"
        elif pending.strip():
            yield pending
            pending = ""
        else:
            pending = ""


def _is_whole(command: str) -> bool:
    try:
        shlex.split(command, comments=True)
    except ValueError:  # a quotation is open
        return False
    return True


class Reader(ExitStack):
    """Someone who follows pages in a folder of their own, on a machine where all is installed.

    Args:
        port: where their service listens, instead of 8765.
        environment: variables that they have set.
        stands_for: what they put where the page has a name of its own to fill in.
        instead: what they write into files instead of what is shown there.
        passed_over: beginnings of commands that they do not run; `met` has those that came.
    """

    def __init__(
        self,
        folder: Path,
        port: int,
        *,
        environment: Mapping[str, str] | None = None,
        stands_for: Mapping[str, str] | None = None,
        instead: Mapping[str, str] | None = None,
        passed_over: tuple[str, ...] = (),
    ) -> None:
        super().__init__()
        programs = folder / ".programs"
        programs.mkdir()
        warm.install(programs)
        browser = programs / pictures.BROWSERS[0]
        browser.write_text(BROWSER)
        browser.chmod(0o755)
        self.folder, self.port, self._passed_over = folder, port, passed_over
        self.url = f"http://127.0.0.1:{port}"
        self.met: set[str] = set()
        self.said = ""
        here = f"127.0.0.1:{port}"
        services = ("service:8765", "head:8765", "localhost:8765", "127.0.0.1:8765")
        self._stands_for = dict.fromkeys(services, here)
        self._stands_for |= stands_for or {}
        self._instead = instead or {}
        path = (str(programs), str(Path(sys.executable).parent), os.environ["PATH"])
        self.environment = {
            **{name: v for name, v in os.environ.items() if not name.startswith("MODOMODO_")},
            "PATH": os.pathsep.join(path),
            "MODOMODO_URL": self.url,
            "MODOMODO_PORT": str(port),
            "COLUMNS": "120",
            **(environment or {}),
        }

    def follow(self, page: Path) -> None:
        """Does all that the page shows.

        Raises:
            AssertionError: a command failed; with its place on the page and what it said.
        """
        for block in blocks(page):
            if block.language == "sh":
                for command in commands(block.text):
                    self.do(command, f"{page.name}, line {block.line}")
            elif name := NAMED.match(block.text):
                text = block.text
                for shown, written in self._instead.items():
                    assert shown in text, f"{page.name}, line {block.line}: no {shown!r} there"
                    text = text.replace(shown, written)
                (self.folder / name[1]).write_text(text)

    def do(self, command: str, place: str) -> None:
        """Runs a command; `place` is where it stands."""
        for start in self._passed_over:
            if command.startswith(start):
                self.met.add(start)
                return
        for name, meant in self._stands_for.items():
            command = command.replace(name, meant)
        if STAYS.match(command):
            self._leave_running(command, place)
        elif command.startswith("modomodo ") and not SHELL.search(command):
            words = shlex.split(command, comments=True)[1:]
            self._note(
                warm.run(
                    *words, timeout=WITHIN_S, environment=self.environment, folder=self.folder
                ),
                f"{place}: {command}",
            )
        else:
            self._do_in_shell(command, place)

    def _do_in_shell(self, command: str, place: str) -> None:
        after = self.folder / ".environment"
        # Variables that a command sets are there for the next one.
        script = f"set -a\n{command}\nstatus=$?\nenv -0 > '{after}'\nexit $status"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=WITHIN_S,
            check=False,
        )
        self._note(done, f"{place}: {command}")
        pairs = (pair.partition("=") for pair in after.read_text().split("\0") if pair)
        self.environment = {name: value for name, _, value in pairs}

    def _note(self, done: subprocess.CompletedProcess[str], what: str) -> None:
        """Keeps what was said by a command, which must have succeeded."""
        assert done.returncode == 0, f"{what}\n{done.stdout}{done.stderr}"
        self.said += done.stdout

    def _leave_running(self, command: str, place: str) -> None:
        """A service until it answers; a worker until a trial has its scores."""
        words = shlex.split(command, comments=True)
        own = dict(word.split("=", 1) for word in words[: words.index("modomodo")])
        arguments = [word for word in words[words.index("modomodo") + 1 :] if word != "&"]
        log = self.enter_context((self.folder / f"{arguments[0]}.log").open("ab"))
        process = self.enter_context(
            warm.Command(
                *arguments,
                environment=self.environment | own,
                folder=self.folder,
                stdout=log,
                stderr=log,
            )
        )

        def is_there() -> bool:
            ended = f"{place}: {command}\n{Path(log.name).read_text()}"
            assert process.poll() is None, ended
            return is_ready(self.port) if arguments[0] == "serve" else self.completed() > 0

        until(is_there, within_s=WITHIN_S, every_s=0.1)

    def completed(self) -> int:
        """Trials with scores, of all studies."""
        key = self.environment.get("MODOMODO_API_KEY")
        headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        studies = httpx.get(f"{self.url}/studies", headers=headers, trust_env=False).json()
        return sum(study["trials"]["completed"] for study in studies["studies"])
