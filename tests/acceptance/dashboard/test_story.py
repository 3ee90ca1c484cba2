"""The whole story of a study in a real Chromium: from the form to the file, with a real worker.

What it trains is a script, done in a moment; `slow`, the miniature.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.warm import Command

pytestmark = pytest.mark.browser

STARTS_WITHIN_MS = 100_000
"""A worker imports its libraries first, its first run does so again, and a machine may be busy."""

BENCHMARKS = ("lisa", "chartqa")
"""Of the script; the miniature has seven, and as many models are fitted."""

MEASURED = ",".join(
    f'{{"benchmark": "{name}", "score": 0.$score, "samples": 400}}' for name in BENCHMARKS
)
SCRIPT = f"""#!/bin/sh
echo '{{"step": 1, "total_steps": 2, "metrics": {{"reward": 0.5}}}}' >> "$MODOMODO_PROGRESS"
until [ -e "${{0%/*}}/go" ]; do sleep 0.05; done
score=$((20 + MODOMODO_SEED % 60))
cat > result <<END
{{"measurements": [{MEASURED}]}}
END
mv result "$MODOMODO_RESULT"
"""
"""Waits until a file `go` lies beside it, so that a run can be seen while it goes on."""

COMMAND = "{backend: command, command: {script: train}}"
MINIATURE = "evaluation: {limit: 4, batch_size: 4}"
UNSCORED = (7, 6, 5, 3, 2)
"""Rows of the benchmarks that the script does not score, in the order they are removed."""


@pytest.fixture
def commands(tmp_path):
    folder = tmp_path / "commands"
    folder.mkdir()
    (folder / "train").write_text(SCRIPT)
    (folder / "train").chmod(0o755)
    return folder


@contextmanager
def worker(url: str, study: str, folder: Path, commands: Path) -> Iterator[None]:
    """A worker of this machine for one study, stopped at the end."""
    options = ["--url", url, "--study", study, "--folder", str(folder), "--min-free-gb", "0.1"]
    options += ["--commands", str(commands)]
    with Command("worker", "--name", "laptop", *options) as process:
        yield
        process.terminate()
        process.wait(30)


@pytest.mark.timeout(240)  # the worker imports its libraries, and again for its first run
@pytest.mark.parametrize(
    ("more", "unscored"),
    [
        pytest.param(COMMAND, UNSCORED, id="script"),
        pytest.param(MINIATURE, (), marks=pytest.mark.slow, id="miniature"),
    ],
)
def test_from_the_form_over_live_runs_fits_and_a_wish_to_the_file(
    own_visit, own_service, tmp_path, commands, more, unscored
):
    visit, service = own_visit, own_service
    # 1. The first page leads to the form, and an example fills it in.
    page = visit.open("/")
    page.get_by_role("link", name="The offline world").click()
    page.get_by_label("Name", exact=True).fill("story")
    for domain in (5, 3, 2):
        page.get_by_role("button", name=f"Remove domain {domain}").click()
    for benchmark in unscored:
        page.get_by_role("button", name=f"Remove benchmark {benchmark}").click()
    for field in ("Steps", "Prompts a step", "Completions a prompt"):
        page.get_by_label(field, exact=True).fill("2")
    page.get_by_label("Other keys, as YAML").fill(more)
    page.get_by_label("Budget, in completed runs").fill("3")
    page.get_by_role("button", name="Create study").click()
    page.wait_for_url("**/ui/studies/story")
    page.evaluate("window.stayed = true")
    expect(page.locator("#progress-none")).to_be_visible()

    # 2. A worker comes, and its runs show on the open page.
    with worker(service.url, "story", tmp_path / "runs", commands):
        expect(page.locator(".strip")).to_contain_text("laptop", timeout=STARTS_WITHIN_MS)
        (commands / "go").touch()
        completed = page.locator("#rows tr.completed")
        expect(completed).to_have_count(3, timeout=STARTS_WITHIN_MS)
        expect(page.locator(".figures")).to_contain_text("the budget is used")
        expect(page.locator("#progress-chart .points path")).to_have_count(3)
        # 3. The surrogates are fitted to them, and auto averages them.
        fitted = page.locator(".fit [data-figure=loo] .main-svg")
        expect(fitted.first).to_be_attached()
        expect(page.locator("#trust")).to_contain_text(re.compile("auto (averages|goes by) the"))
        assert page.evaluate("window.stayed") is True

        # 4. A mixture is tried out and wished for; the worker runs it.
        page.get_by_role("link", name="What if").click()
        expect(page.locator("[data-surrogate=gp] .large")).to_be_visible()
        page.get_by_label("sat", exact=True).fill("35")
        chosen = page.get_by_role("img", name="coco 65%, sat 35%")
        expect(chosen).to_be_visible()
        page.get_by_role("button", name="Queue this mixture").click()
        page.locator("#queued a").click()
        expect(page.locator("h1 + .pill")).to_have_text("completed")
        expect(page.get_by_role("table").first).to_contain_text("chartqa")
        number = page.get_by_role("heading", level=1).inner_text().removeprefix("Trial ")

    # 5. All of it is saved as a file.
    page.get_by_role("link", name="story", exact=True).click()
    with page.expect_download() as started:
        page.get_by_role("link", name="CSV", exact=True).click()
    saved = list(csv.DictReader(Path(started.value.path()).read_text().splitlines()))
    done = [row for row in saved if row["state"] == "completed"]
    assert len(done) == 4
    wished = next(row for row in done if row["trial"] == number)
    assert float(wished["w_sat"]) == pytest.approx(0.35)
    assert wished["strategy"] == "queued"
