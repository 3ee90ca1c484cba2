"""Studies for the dashboard's tests: over HTTP, or straight into storage."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import partialmethod
from html.parser import HTMLParser
from typing import Any

import httpx
import numpy as np
import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select

from db import models, studies
from db.measurements import Reading
from db.sessions import Database
from db.trials import NewTrial, add
from service.schemas import StudySpec

DOMAINS = ("coco", "lisa", "geoqav", "sat", "scienceqa")
BENCHMARKS = {"lisa_test": "in", "sat_test": "in", "chart": "out", "info": "out"}

HOSTILE = "<script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
"""What a worker may call itself, or fail with."""


class Markup(HTMLParser):
    """Collects what could run: scripts with a body, event handlers, inline styles, addresses."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.handlers: list[str] = []
        self.addresses: list[str] = []
        self.inline = ""
        self._in_script = False
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self._in_script = tag == "script"
        self.handlers += [name for name, _ in attrs if name.startswith("on") or name == "style"]
        self.addresses += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_endtag(self, tag):
        self._in_script = False

    def handle_data(self, data):
        if self._in_script:
            self.inline += data


def page(api: httpx.Client, path: str) -> str:
    """A page's HTML, checked for whatever no page may hold."""
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    markup = Markup(answer.text)
    assert markup.handlers == []
    assert markup.inline == ""
    assert all(re.match(r"[/#]", address) for address in markup.addresses)
    return answer.text


def body(name: str = "vlm", domains: Sequence[str] = DOMAINS, **changes: Any) -> dict[str, Any]:
    """A study whose proposals nobody waits for."""
    return {
        "name": name,
        "domains": [{"name": domain} for domain in domains],
        "benchmarks": [
            {"name": benchmark, "group": group, "samples": 400}
            for benchmark, group in BENCHMARKS.items()
        ],
        "strategy": "random",
        "budget": 12,
        "lookahead": 1,
        "baseline": scores(0.2),
    } | changes


def scores(value: float) -> list[dict[str, Any]]:
    """Every benchmark with about this score."""
    return [
        {"benchmark": benchmark, "score": value + 0.01 * place, "samples": 400}
        for place, benchmark in enumerate(BENCHMARKS)
    ]


def create(client: httpx.Client, **changes: Any) -> str:
    created = client.post("/studies", json=body(**changes))
    assert created.status_code == 201, created.text
    name: str = created.json()["name"]
    return name


def finish(
    client: httpx.Client, study: str, weights: Sequence[float], value: float, **more: Any
) -> int:
    """Adds a finished run and returns its number."""
    domains = [domain["name"] for domain in client.get(f"/studies/{study}").json()["domains"]]
    added = client.post(
        f"/studies/{study}/trials",
        json={"mixture": dict(zip(domains, weights, strict=True)), "measurements": scores(value)}
        | more,
    )
    assert added.status_code == 201, added.text
    number: int = added.json()["number"]
    return number


def lease(client: httpx.Client, study: str, worker: str = "worker-1") -> tuple[int, str]:
    """A trial queued by hand and taken by a worker: its id and token."""
    domains = [domain["name"] for domain in client.get(f"/studies/{study}").json()["domains"]]
    share = {domain: 1 / len(domains) for domain in domains}
    queued = client.post(f"/studies/{study}/trials", json={"mixture": share})
    assert queued.status_code == 201, queued.text
    taken = client.post("/trials/next", json={"worker": worker, "study": study}).json()
    return taken["trial"]["id"], taken["lease"]["token"]


def runs_of_a_search(n: int, seed: int = 0) -> Iterator[tuple[list[float], float]]:
    """Weights and score of runs: the first is uniform, and the best mixture is an inner one."""
    rng = np.random.default_rng(seed)
    for weights in (np.full(5, 0.2), *rng.dirichlet(np.ones(5), max(n - 1, 0)))[:n]:
        value = 0.25 + 0.6 * weights[0] * weights[4] + 0.3 * weights[1] + rng.normal(0, 0.01)
        yield list(map(float, weights / weights.sum())), float(value)


def fill(client: httpx.Client, study: str, runs: int, seed: int = 0) -> None:
    """Adds finished runs, call by call."""
    for weights, value in runs_of_a_search(runs, seed):
        finish(client, study, weights, value, wall_s=17.5)


def store(database: Database, runs: int, seed: int = 0, **changes: Any) -> str:
    """A study with the runs of `fill` straight in storage: quicker, and nothing is proposed."""
    spec = StudySpec.model_validate(body(**changes)).model_dump(mode="json")
    with database.write() as session:
        study, _ = studies.create(session, spec, "test")
        for weights, value in runs_of_a_search(runs, seed):
            mixture = dict(zip(DOMAINS, weights, strict=True))
            readings = [Reading(**measured) for measured in scores(value)]
            run = NewTrial(mixture, "queued", readings=readings, wall_s=17.5)
            add(session, study, run, "test")
        return study.name


def few_iterations(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fits of this process are quick and rough: pages show them, whatever they are worth."""
    from service.search.surrogates.gp import GaussianProcess  # torch: seconds, so only when asked

    quick = partialmethod(GaussianProcess.__init__, iterations=8)
    monkeypatch.setattr(GaussianProcess, "__init__", quick)


def store_many(
    database: Database,
    n: int,
    name: str = "long",
    domains: Sequence[str] = DOMAINS,
    rules: Sequence[str] = ("paper",),
    steps: Sequence[int] = (0,),
) -> None:
    """A study of `n` trials, every fiftieth of them failed."""
    rng = np.random.default_rng(0)
    mixtures = rng.dirichlet(np.ones(len(domains)), n)
    spec = StudySpec.model_validate(body(name, domains, budget=n)).model_dump(mode="json")
    with database.write() as session:
        study, _ = studies.create(session, spec, "test")
        study.state, study.revision, study.results, study.last_number = "paused", n, n, n
        session.execute(
            insert(models.Trial),
            [
                {
                    "study_id": study.id,
                    "number": number,
                    "state": "completed" if number % 50 else "failed",
                    "error": None if number % 50 else "RuntimeError: out of memory",
                    "origin": "queued",
                    "mixture": dict(zip(domains, map(float, weights), strict=True)),
                    "seed": number,
                    "artifacts": {},
                    "revision": number,
                }
                for number, weights in enumerate(mixtures, 1)
            ],
        )
        found = session.execute(
            select(models.Trial.id, models.Trial.number).where(models.Trial.study_id == study.id)
        )
        session.execute(
            insert(models.Measurement),
            [
                {"trial_id": trial, "rule": rule, "step": step, **measured}
                for trial, number in found
                if number % 50
                for rule in rules
                for step in steps
                for measured in scores(0.3 + 0.2 * float(mixtures[number - 1][0]))
            ],
        )


def own(client: TestClient) -> dict[str, str]:
    """Headers of a call that a page of the service makes; the client keeps the page's cookie."""
    answer = client.get("/ui/workers", headers={"Accept": "text/html"})
    found = re.search(r'<meta name="csrf-token" content="([0-9a-f]{64})">', answer.text)
    assert found, answer.text[:300]
    return {"X-CSRF-Token": found[1]}


def sign_in(client: TestClient, key: str) -> TestClient:
    """The client as a browser in which someone signed in."""
    token = own(client)["X-CSRF-Token"]
    answer = client.post("/ui/sign-in", data={"csrf": token, "key": key, "to": "/"})
    assert answer.is_success, answer.text
    return client
