"""Pictures of every page as it may come: `python -m tests.support.every_page FOLDER`.

Of studies with 0, 1, 24 and 3,000 runs over 5, 17 and 40 domains (the 40 have long names), on a
phone, a laptop and a wall, light and dark; or of some of them, as `--runs 24 --domains 5 40
--screens phone --unfitted` says: fits of 40 domains take long. What is wider than its window, and
what is longer than `MOST_SCREENS` on a phone, is told. Beside the pictures `sheet-….png` have those
of a page next to each other.
"""

from __future__ import annotations

import argparse
import logging
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import numpy as np
import structlog
from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from db import upgrade
from db.sessions import Database
from service.dashboard.navigation import STUDY_LINKS
from service.settings import Settings
from tests.support import browser
from tests.support.visits import Service

RUNS = (0, 1, 24, 3000)
DOMAINS = (5, 17, 40)
SCREENS = {"phone": (390, 844), "laptop": (1400, 900), "wall": (2560, 1440)}
THEMES = ("light", "dark")

MOST_SCREENS = 6
"""Of a study's own page on a phone."""

LONGEST_PX = 9000
"""Of a picture: Chromium draws no more than 16,384."""

TILE_PX, MOST_TILE_PX = 420, 1400
"""Width of a picture on a sheet, and its height at most."""

WIDE = """
() => [...document.querySelectorAll("body *")].filter((part) => {
  const box = part.getBoundingClientRect();
  if (!box.width || !box.height || box.right <= innerWidth + 1) return false;
  if (part.closest(".unseen, .skip") || !part.checkVisibility()) return false;
  for (let up = part.parentElement; up; up = up.parentElement) {
    const style = getComputedStyle(up);
    if (style.overflowX !== "visible") return false;
  }
  return true;
}).slice(0, 3).map((part) => part.outerHTML.slice(0, 120))
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A page as it comes: its name for files, and its address."""

    name: str
    path: str
    is_study: bool = False


def long(kind: str, place: int) -> str:
    """A name of 60 letters."""
    name = f"{kind}-with-a-name-that-goes-on-and-on-until-sixty-letters-{place:02}"
    return name[:57] + name[-3:]


def body(runs: int, n_domains: int) -> dict[str, object]:
    """A study; that of 40 domains has long names wherever there are names."""
    is_long = n_domains == max(DOMAINS)
    names = [long("domain", n) if is_long else f"set-{n:02}" for n in range(1, n_domains + 1)]
    tests = [long("benchmark", n) if is_long else f"test-{n}" for n in range(1, 7)]
    return {
        "name": long("study", runs) if is_long else f"runs-{runs}-domains-{n_domains}",
        "note": "What is looked for here, and why." * (4 if is_long else 1),
        "domains": [{"name": name, "samples": 4000} for name in names],
        "benchmarks": [
            {"name": name, "group": "in" if place < 2 else "out", "samples": 400}
            for place, name in enumerate(tests)
        ],
        "objective": {"name": long("objective", 1), "weights": dict.fromkeys(tests, 1.0)}
        if is_long
        else {"name": "out_score"},
        "baseline": [{"benchmark": name, "score": 0.2, "samples": 400} for name in tests],
        "strategy": "random",
        "budget": max(runs, 12),
        "lookahead": 1,
    }


def fill(client: httpx.Client, runs: int, n_domains: int) -> str:
    """Makes the study, with runs that are finished, one that runs and one that has failed."""
    asked = body(runs, n_domains)
    created = client.post("/studies", json=asked)
    created.raise_for_status()
    study = created.json()
    names = [domain["name"] for domain in study["domains"]]
    tests = [benchmark["name"] for benchmark in study["benchmarks"]]
    rng = np.random.default_rng(runs + n_domains)
    rows = rng.dirichlet(np.full(n_domains, 0.4), max(runs, 1))
    rows[0] = 1 / n_domains
    best = rng.dirichlet(np.full(n_domains, 0.4))
    made = []
    for row in rows[:runs]:
        value = 0.5 - 0.25 * float(np.linalg.norm(np.sqrt(row) - np.sqrt(best)))
        scores = {name: value + rng.normal(0, 0.01) - 0.02 * k for k, name in enumerate(tests)}
        mixture = dict(zip(names, map(float, row / row.sum()), strict=True))
        made.append({"mixture": mixture, "scores": scores, "tags": ["from an older base"]})
    for start in range(0, len(made), 1000):
        part = {"runs": made[start : start + 1000]}
        client.post(f"/studies/{study['name']}/trials/import", json=part).raise_for_status()
    if runs > 1:
        for place in (1, 2):
            _attempt(client, study["name"], names, place, fails=place == 1)
    name: str = study["name"]
    return name


def _attempt(
    client: httpx.Client, study: str, names: Sequence[str], place: int, *, fails: bool
) -> None:
    """A run that a worker of a long name has begun, and perhaps failed."""
    share = dict.fromkeys(names, 1 / len(names))
    client.post(f"/studies/{study}/trials", json={"mixture": share}).raise_for_status()
    worker = long("worker", place)
    taken = client.post("/trials/next", json={"worker": worker, "study": study}).json()
    trial, token = taken["trial"]["id"], taken["lease"]["token"]
    if fails:
        error = "Traceback\nRuntimeError: " + "out_of_memory" * 8
        failed = client.post(f"/trials/{trial}/failure", json={"token": token, "error": error})
        failed.raise_for_status()
        return
    for step in range(2, 60, 2):
        rewards = {f"reward/{name}": 0.3 + 0.004 * step for name in names}
        metrics = rewards | {"reward": 0.3 + 0.004 * step, "kl": 0.001 * step}
        beat = {"token": token, "step": step, "total_steps": 200, "metrics": metrics}
        client.post(f"/trials/{trial}/heartbeat", json=beat).raise_for_status()


def cases(
    client: httpx.Client, runs_of: Sequence[int], domains_of: Sequence[int]
) -> Iterator[Case]:
    """All pages; makes the studies on the way, those without runs first."""
    yield Case("no-study", "/")
    yield Case("no-worker", "/ui/workers")
    names = []
    for runs in runs_of:
        for n_domains in domains_of:
            study = fill(client, runs, n_domains)
            names.append(study)
            base, end = f"/ui/studies/{study}", f"{runs}-{n_domains}"
            yield Case(f"study-{end}", base, is_study=True)
            for link in STUDY_LINKS:
                yield Case(f"{link.part}-{end}", f"{base}/{link.part}")
            newest = client.get(f"/studies/{study}/trials?limit=1").json()["trials"]
            for trial in newest:
                yield Case(f"trial-{end}", f"{base}/trials/{trial['number']}")
            if runs > 1:
                chosen = "&".join(f"trial={number}" for number in range(runs - 2, runs + 2))
                yield Case(f"curves-{end}", f"{base}/curves?{chosen}")
    yield Case("studies", "/")
    yield Case("workers", "/ui/workers")
    yield Case("new", "/ui/new?preset=paper")
    chosen = "&".join(f"study={name}" for name in names[-3:])
    yield Case("compare", f"/compare?{chosen}")
    yield Case("missing", f"/ui/studies/{long('missing', 1)}")


def take(
    folder: Path,
    runs: Sequence[int],
    domains: Sequence[int],
    screens: Sequence[str],
    fits_unasked: int,
) -> Iterator[str]:
    """Takes the pictures, and says what is wrong with a page."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
    folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as kept:
        url = f"sqlite:///{kept}/modomodo.db"
        database = Database(url)
        upgrade.upgrade(database)
        database.close()
        settings = Settings(
            database_url=url, upkeep_every_s=3600.0, calls_per_s=1e5, fits_unasked=fits_unasked
        )
        with Service(settings) as service, sync_playwright() as playwright:
            chromium = playwright.chromium.launch(
                executable_path=browser.find(), args=["--no-sandbox", "--disable-gpu"]
            )
            for case in cases(service.client, runs, domains):
                for screen in screens:
                    yield from _shots(chromium, service.url, case, screen, folder)
            chromium.close()


def _shots(chromium: Browser, url: str, case: Case, screen: str, folder: Path) -> Iterator[str]:
    width, height = SCREENS[screen]
    page = chromium.new_page(viewport={"width": width, "height": height}, reduced_motion="reduce")
    page.on("pageerror", lambda error: print(f"{case.name}: {error}"))
    page.goto(url + case.path)
    _settle(page)
    for wide in page.evaluate(WIDE):
        yield f"{case.name} {screen}: wider than the window: {wide}"
    long_px = page.evaluate("document.documentElement.scrollHeight")
    if screen == "phone" and case.is_study and long_px > MOST_SCREENS * height:
        yield f"{case.name}: {long_px / height:.1f} screens"
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)  # type: ignore[arg-type]
        page.wait_for_timeout(250)
        clip = {"x": 0, "y": 0, "width": width, "height": min(long_px, LONGEST_PX)}
        whole = {} if screen == "wall" else {"full_page": True, "clip": clip}
        page.screenshot(path=folder / f"{case.name}-{screen}-{theme}.png", **whole)  # type: ignore[arg-type]
    page.close()


def _settle(page: Page) -> None:
    page.wait_for_load_state("load")
    if page.locator("[data-plotly]").count():
        page.wait_for_selector("[data-drawn]", timeout=180_000)
    page.wait_for_function("() => !document.querySelector('[aria-busy=true]')", timeout=180_000)
    page.wait_for_timeout(300)


def sheets(folder: Path) -> Iterator[Path]:
    """The pictures of a page on a screen in a theme, next to each other."""
    found: dict[str, list[Path]] = defaultdict(list)
    for file in sorted(folder.glob("*.png")):
        if not file.stem.startswith("sheet-"):
            *page, screen, theme = file.stem.split("-")
            found[f"sheet-{page[0]}-{screen}-{theme}"].append(file)
    for name, files in found.items():
        tiles = []
        for file in files:
            with Image.open(file) as shown:
                height = round(shown.height * TILE_PX / shown.width)
                small = shown.convert("RGB").resize((TILE_PX, height), Image.Resampling.LANCZOS)
            tiles.append(small.crop((0, 0, TILE_PX, min(height, MOST_TILE_PX))))
        sheet = Image.new(
            "RGB", (len(tiles) * (TILE_PX + 8), max(tile.height for tile in tiles)), "#c33"
        )
        for place, tile in enumerate(tiles):
            sheet.paste(tile, (place * (TILE_PX + 8), 0))
        path = folder / f"{name}.png"
        sheet.save(path)
        yield path


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, nargs="+", default=RUNS)
    parser.add_argument("--domains", type=int, nargs="+", default=DOMAINS)
    parser.add_argument("--screens", choices=SCREENS, nargs="+", default=list(SCREENS))
    parser.add_argument("--unfitted", action="store_true")
    asked = parser.parse_args()
    fits_unasked = 0 if asked.unfitted else 200
    for said in take(asked.folder, asked.runs, asked.domains, asked.screens, fits_unasked):
        print(said, flush=True)
    for sheet in sheets(asked.folder):
        print(sheet)
