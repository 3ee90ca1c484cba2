"""The dashboard's charts as files: pages that need no service, and pictures that Chromium takes.

A page holds its figure and the dashboard's own drawing code and style; Plotly lies beside it.
"""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

from modomodo.database import opened
from modomodo.errors import CommandFailed, WrongUse
from modomodo.extras import need
from service.schemas import StudyFigure, StudyFigures

PLOTLY = "plotly.min.js"
WIDTH, HEIGHT, HEAD = 960, 520, 150
"""Of a picture, in CSS pixels; title and reading aid are above a chart of its own height."""
SCALE = 2
PATIENCE_S = 60.0

BROWSERS = (
    "chromium-headless-shell",  # never has a window: a third less of a processor for the same
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)

STYLE = """
main { max-width: none; padding: 0; }
.picture { margin: 0; border: 0; border-radius: 0; min-height: 100vh; display: flex;
  flex-direction: column; background: var(--panel); }
.picture .chart { flex: 1; margin-top: .6rem; }
.picture .data { display: none; }
.every .data { display: block; }
.every { max-width: 92rem; padding: var(--room); }
.every .picture { min-height: 0; margin-bottom: var(--room); border: 1px solid var(--line);
  border-radius: 14px; }
"""

SCRIPT = """
for (const place of document.querySelectorAll(".chart")) {
  await draw(place, JSON.parse(place.nextElementSibling.textContent));
}
document.documentElement.dataset.drawn = "yes";
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A file with one chart, and how high its picture is in CSS pixels."""

    file: Path
    height: int


def read(database: str, study: str) -> StudyFigures:
    """A study's charts from the database itself; surrogates are fitted in this process.

    Raises:
        CommandFailed: the database cannot be used, or has no such study.
    """
    with opened(database) as found:
        from db import upgrade
        from service.dashboard.pages import figures
        from service.dashboard.queries.history import Histories
        from service.executor.process import Inline
        from service.fitting.fits import Fits

        upgrade.prepare(found)
        return figures.of(found, Fits(Inline()), Histories(), study)


def write_pages(found: StudyFigures, folder: Path, service: str | None) -> list[Page]:
    """A page for each chart, and `index.html` with all of them.

    Args:
        service: address of the service whose trials a click leads to.

    Raises:
        CommandFailed: Plotly is not installed, or the folder cannot be written.
    """
    need("plot")
    from service.dashboard import assets

    name = found.study.name
    trials = f"{service.rstrip('/')}/ui/studies/{quote(name)}/trials" if service else ""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PLOTLY).write_bytes(assets.asset(PLOTLY).plain)
        pages = []
        for one in found.figures:
            file = folder / f"{one.name}.html"
            file.write_text(_page(name, trials, [one], 2), encoding="utf-8")
            pages.append(Page(file, HEAD + _height(one)))
        every = _page(name, trials, found.figures, 1)
        (folder / "index.html").write_text(every, encoding="utf-8")
    except OSError as error:
        raise CommandFailed(f"--out: cannot write {error.filename}: {error.strerror}") from error
    return pages


def draw(pages: Sequence[Page], browser: Path | None = None) -> list[Path]:
    """A PNG beside each page, taken by a Chromium without a window.

    Raises:
        WrongUse: `browser` is no program.
        CommandFailed: there is no Chromium, or it draws nothing; the pages stay.
    """
    program = shutil.which(str(browser)) if browser else find()
    if browser and program is None:
        raise WrongUse(f"--browser {browser}: no such program")
    if program is None:
        raise CommandFailed(
            "the HTML is written, but PNGs need Chromium or Chrome and none is on the PATH: "
            "install one (Debian: apt install chromium), or name it with --browser"
        )
    with ThreadPoolExecutor(os.cpu_count()) as several:
        return list(several.map(partial(_picture, program), pages))


def find() -> str | None:
    """A Chromium or Chrome of this machine."""
    return next((path for name in BROWSERS if (path := shutil.which(name))), None)


def _picture(program: str, page: Page) -> Path:
    target = page.file.with_suffix(".png").absolute()
    # An old picture must not pass for a new one.
    target.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="modomodo-") as profile:
        command = [
            program,
            "--headless",
            "--disable-gpu",
            "--disable-background-networking",
            "--no-first-run",
            "--hide-scrollbars",
            # Chromium refuses to run as root, as in containers, unless told so.
            *(["--no-sandbox"] if os.name == "posix" and os.geteuid() == 0 else []),
            f"--user-data-dir={profile}",
            f"--force-device-scale-factor={SCALE}",
            f"--window-size={WIDTH},{page.height}",
            "--virtual-time-budget=20000",
            f"--screenshot={target}",
            page.file.absolute().as_uri(),
        ]
        try:
            done = subprocess.run(  # noqa: S603 - a browser that the user has or names
                command, capture_output=True, text=True, timeout=PATIENCE_S, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise CommandFailed(f"{program} drew no {target.name}: {error}") from error
    if not target.exists():
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise CommandFailed(f"{program} drew no {target.name} (exit {done.returncode}): {said}")
    return target


def _height(one: StudyFigure) -> int:
    return int(one.figure["layout"].get("height", HEIGHT))


def _page(study: str, trials: str, shown: Sequence[StudyFigure], level: int) -> str:
    from service.dashboard.assets import STATIC

    single = len(shown) == 1 and level == 2
    title = html.escape(f"{shown[0].title}, {study}" if single else study)
    head = "" if single else f"<h1>{html.escape(study)}</h1>"
    style = (STATIC / "style.css").read_text(encoding="utf-8")
    script = (STATIC / "charts.js").read_text(encoding="utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{title}</title>\n<style>\n{style}{STYLE}</style>\n</head>\n"
        f'<body><main{"" if single else " class=every"} data-plotly="{PLOTLY}" '
        f'data-trials="{html.escape(trials)}">\n{head}'
        f"{''.join(_section(one, study if single else '') for one in shown)}</main>\n"
        f'<script type="module">\n{script}{SCRIPT}</script>\n</body></html>\n'
    )


def _section(one: StudyFigure, study: str) -> str:
    label = html.escape(f"{one.title}. {one.about}".strip())
    # Whatever is in the figure, it does not end the element that holds it.
    figure = json.dumps(one.figure, allow_nan=False).replace("<", "\\u003c")
    of_study = f' <span class="count">{html.escape(study)}</span>' if study else ""
    about = f'<p class="aid">{html.escape(one.about)}</p>\n' if one.about else ""
    return (
        f'<section class="panel picture"><h2>{html.escape(one.title)}{of_study}</h2>\n{about}'
        f'<div class="chart" role="img" aria-label="{label}" style="min-height: {_height(one)}px">'
        f'</div>\n<script type="application/json">{figure}</script>\n</section>\n'
    )
