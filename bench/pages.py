"""How long a long study's page takes until its charts are there: `python -m bench.pages`.

A study of 17 domains with so many completed runs, in a browser: `cold` is the first look after the
service has started, `warm` the next one. A fit is made before the service is started again, so that
a cold page has what the database keeps of it; then one more run is added, and the page has to show
the last fit while the next is made. Service, browser and fits share the machine. On a busy one the
processor time of service and browser tells more than the clock: a page does not take longer than
that where nothing else runs.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import httpx
import numpy as np
import psutil
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import insert, update

from bench.report import table, write_results, write_section
from bench.service import database_of, service
from db import models, studies
from db.sessions import Database
from service.schemas import StudySpec
from tests.support import browser

RUNS = (24, 500, 3000)
DOMAINS = [f"domain-{letter}" for letter in "abcdefghijklmnopq"]
BENCHMARKS = ("chart", "info")
STUDY = "long"
FITTED = 500
"""Runs up to which a fit is waited for; to thousands it takes minutes."""
SURROGATE = "bayes-quadratic"
"""Whose fit is waited for: it takes any number of runs."""
AIM_S = 2.0
"""What was aimed at, for the first chart of a cold page."""
LONGEST_MS = 180_000

CHART = "#progress-chart .main-svg"
FIT = f"[data-surrogate={SURROGATE}] .fit-body .main-svg"


def fill(url: str, n: int) -> None:
    """The study with n completed runs, paused."""
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.full(len(DOMAINS), 0.5), n)
    pull = rng.uniform(0.2, 0.6, len(DOMAINS))
    score = mixtures @ pull + 0.3 * mixtures[:, 0] * mixtures[:, 1] + 0.01 * rng.normal(size=n)
    spec = StudySpec.model_validate(
        {
            "name": STUDY,
            "domains": [{"name": name} for name in DOMAINS],
            "benchmarks": [{"name": b, "group": "out", "samples": 2500} for b in BENCHMARKS],
            "strategy": "random",
            "budget": n + 1,
            "recipe": {},
        }
    ).model_dump(mode="json")
    database = Database(url)
    with database.write() as session:
        study, _ = studies.create(session, spec, "bench")
        trials = [
            {"study_id": study.id, "number": k, "revision": k, "state": "completed",
             "origin": "queued", "mixture": dict(zip(DOMAINS, weights.tolist(), strict=True)),
             "seed": k}
            for k, weights in enumerate(mixtures, 1)
        ]  # fmt: skip
        session.execute(insert(models.Trial), trials)
        scores = [
            {"trial_id": k, "benchmark": b, "rule": "paper", "step": 0,
             "score": float(np.clip(value + 0.01 * rng.normal(), 0, 1)), "samples": 2500}
            for k, value in enumerate(score, 1)
            for b in BENCHMARKS
        ]  # fmt: skip
        session.execute(insert(models.Measurement), scores)
        session.execute(
            update(models.Study).values(state="paused", last_number=n, revision=n, results=n)
        )
    database.close()


def cpu_s() -> float:
    """Processor time of service and browser so far, without what starts and fits beside them."""
    used = 0.0
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if "service.executor.child" not in process.cmdline():
                used += sum(process.cpu_times()[:2])
    return used


def seconds_until(chromium: Browser, address: str, selector: str) -> tuple[float, float]:
    """From opening the study's page in a window of its own until this is there, by the clock and of
    processors."""
    with window(chromium) as page:
        began, used = time.perf_counter(), cpu_s()
        page.goto(f"{address}/ui/studies/{STUDY}", wait_until="commit")
        page.wait_for_selector(selector, state="visible", timeout=LONGEST_MS)
        return round(time.perf_counter() - began, 2), round(cpu_s() - used, 2)


@contextmanager
def window(chromium: Browser) -> Iterator[Any]:
    context = chromium.new_context(viewport={"width": 1400, "height": 1100})
    try:
        yield context.new_page()
    finally:
        context.close()


def add_one(address: str) -> None:
    """One more completed run: no fit is current any more."""
    measured = [{"benchmark": b, "score": 0.4, "samples": 2500} for b in BENCHMARKS]
    mixture = dict.fromkeys(DOMAINS, 1 / len(DOMAINS))
    added = httpx.post(
        f"{address}/studies/{STUDY}/trials", json={"mixture": mixture, "measurements": measured}
    )
    added.raise_for_status()


def measure(chromium: Browser, n: int) -> dict[str, Any]:
    """Seconds at n runs."""
    found: dict[str, Any] = {"runs": n, "fit_made": None, "fit_cold": None, "fit_stale": None}
    with database_of("sqlite") as url:
        fill(url, n)
        with service(url) as (address, _, _):
            for look in ("cold", "warm"):
                found[f"chart_{look}"], found[f"cpu_{look}"] = seconds_until(
                    chromium, address, CHART
                )
            if n > FITTED:
                return found
            began = time.perf_counter()
            fit = httpx.get(f"{address}/studies/{STUDY}/surrogates/{SURROGATE}", timeout=600)
            fit.raise_for_status()
            found["fit_made"] = round(time.perf_counter() - began, 2)
        with service(url) as (address, _, _):
            found["fit_cold"], _ = seconds_until(chromium, address, FIT)
        with service(url) as (address, _, _):
            add_one(address)
            found["fit_stale"], _ = seconds_until(chromium, address, FIT)
    return found


def section(rows: list[dict[str, Any]], load: float) -> str:
    head = {
        "runs": "completed runs",
        "chart_cold": "first chart, cold, s",
        "cpu_cold": "of processors, s",
        "chart_warm": "warm, s",
        "cpu_warm": "of processors, s",
        "fit_made": f"{SURROGATE} made, s",
        "fit_cold": "its chart, cold, s",
        "fit_stale": "with a result since, s",
    }
    slowest, most = (max(row[of] for row in rows) for of in ("chart_cold", "cpu_cold"))
    cells = [["–" if row[key] is None else f"{row[key]:,}" for key in head] for row in rows]
    return (
        f"{table([*head.values()], cells)}\n\n"
        f"Of {len(DOMAINS)} domains; the aim is a first chart within {AIM_S:g} s of a cold page: "
        f"{'met' if slowest <= AIM_S else 'NOT MET'}, at most {slowest:.1f} s by the clock and "
        f"{most:.1f} s of processors. Service, browser and fits share {os.cpu_count()} cores, "
        f"whose load average was {load:.1f} before."
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", default=",".join(map(str, RUNS)))
    parser.add_argument("--dry", action="store_true", help="print, write nothing")
    given = parser.parse_args()
    path = browser.find()
    if path is None:
        sys.exit("no Chromium found; `python -m tests.support.browser` installs one")
    load = os.getloadavg()[0]
    rows = []
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-gpu"]
        )
        for n in map(int, given.runs.split(",")):
            rows.append(measure(chromium, n))
            print(rows[-1], flush=True)
        chromium.close()
    told = section(rows, load)
    print(told)
    if not given.dry:
        write_results("pages", rows)
        write_section("pages", told)


if __name__ == "__main__":
    main()
