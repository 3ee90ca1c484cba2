"""`modomodo study plot`: the dashboard's charts as files."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from modomodo import pictures
from modomodo.cli import app
from tests.support import browser
from tests.support.dashboard import create, few_iterations, fill, finish
from tests.support.visits import Service

PNGS = "PNGs need Chromium or Chrome"
PICTURED = ("progress",)
"""Each picture starts a browser of its own; `slow`, all."""


@pytest.fixture(autouse=True)
def _quick_fits(monkeypatch):
    few_iterations(monkeypatch)


@pytest.fixture
def service(app_settings):
    with Service(app_settings) as service:
        yield service


@pytest.fixture(scope="module")
def chromium() -> str | None:
    return browser.find()


@pytest.fixture
def plot(tmp_path, monkeypatch):
    """Runs the command; PNGs are left out unless the test asks for a browser."""
    monkeypatch.setattr(pictures, "find", lambda: None)

    def call(study, *options):
        arguments = ["study", "plot", study, "--out", str(tmp_path / "plots"), *options]
        result = CliRunner().invoke(app, arguments, env={"COLUMNS": "300"})
        return result, tmp_path / "plots"

    return call


def searched(service) -> str:
    """A small study, so that fits are quick."""
    study = create(service.client, domains=["coco", "lisa", "sat"])
    for weights, value in (([1.0, 0.0, 0.0], 0.3), ([0.0, 1.0, 0.0], 0.4), ([0.0, 0.0, 1.0], 0.2),
                           ([0.4, 0.4, 0.2], 0.5)):  # fmt: skip
        finish(service.client, study, weights, value)
    return study


def figure_in(page) -> dict:
    found = re.search(r'<script type="application/json">(.*?)</script>', page.read_text(), re.S)
    return json.loads(found[1])


def test_the_files_hold_the_very_figures_of_the_pages_also_without_a_service(
    service, plot, app_settings
):
    study = searched(service)
    result, folder = plot(study, "--url", service.url)
    assert PNGS in str(result.exception)
    ui = f"/ui/studies/{study}"
    progress = service.client.get(f"{ui}/progress").json()["figure"]
    assert figure_in(folder / "progress.html") == progress
    fit = service.client.get(f"{ui}/fits/gp").json()["figures"]
    assert figure_in(folder / "gp-loo.html") == fit["loo"]
    heat = service.client.get(f"{ui}/benchmarks/figures").json()["heat"]
    assert figure_in(folder / "benchmarks.html") == heat
    assert f"{service.url}{ui}/trials" in (folder / "progress.html").read_text()
    every = (folder / "index.html").read_text()
    assert every.count("application/json") == len(list(folder.glob("*.html"))) - 1
    assert not re.search(r"(src|href)=.?(https?:)?//", every)

    theirs = {page.name: figure_in(page) for page in folder.glob("*-loo.html")}
    _, folder = plot(study, "--database", app_settings.database_url)
    assert {page.name: figure_in(page) for page in folder.glob("*-loo.html")} == theirs
    assert 'data-trials=""' in (folder / "progress.html").read_text()


def test_what_cannot_be_drawn_is_said(service, plot):
    study = create(service.client)
    result, folder = plot(study, "--url", service.url)
    assert "No run is completed yet" in result.stdout
    assert [page.name for page in folder.glob("*.html")] == ["index.html"]
    fill(service.client, study, 2)
    result, folder = plot(study, "--url", service.url)
    assert "Gaussian process:" in result.stdout
    assert (folder / "progress.html").exists()


def test_a_study_or_program_that_is_not_there_is_named(service, plot):
    result, _ = plot("nope", "--url", service.url)
    assert "no study 'nope'" in str(result.exception)
    study = create(service.client)
    result, _ = plot(study, "--url", service.url, "--browser", "/no/such/chrome")
    assert "/no/such/chrome" in str(result.exception)


@pytest.mark.browser
@pytest.mark.parametrize("some", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_pictures_show_the_chart(chromium, service, plot, some):
    from PIL import Image

    if chromium is None:
        pytest.skip("NOT RUN: no Chromium found; `python -m tests.support.browser` installs one")
    study = create(service.client)
    fill(service.client, study, 1)
    _, folder = plot(study, "--url", service.url)
    names = PICTURED if some else [page.stem for page in folder.glob("*.html")]
    pages = [pictures.Page(folder / f"{name}.html", 700) for name in names if name != "index"]
    for file in pictures.draw(pages, Path(chromium)):
        with Image.open(file) as picture:
            assert picture.size == (pictures.SCALE * pictures.WIDTH, pictures.SCALE * 700)
            # A page without its chart has black, white and greys of text only, and few.
            assert len(picture.convert("RGB").getcolors(1 << 24)) > 100, file.name
