"""axe-core over every page, and each on a phone, in a real Chromium.

At night only colours differ, and `tests/unit/test_page_colours.py` has all that text may have on
whatever it stands on: here some pages are dark, `slow` all of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from service.settings import Settings
from tests.support.dashboard import create, finish, store
from tests.support.visits import WINDOW, Service, Visit

pytestmark = pytest.mark.browser

OF_A_STUDY = (*("", "/trials", "/mixtures", "/benchmarks", "/surfaces", "/what-if", "/change"),)
RUNNING = "/trials/8"
CURVES = "/curves?trial=8&trial=9&trial=1"
DONE = ("/trials/7", "/trials/1")
"""A failed trial and a completed one: less is on their pages than on that of one that runs."""

ONLY_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""All rules of axe-core that look at colours; the others find the same at night as by day."""

FOUND = """async (options) => {
  const charts = [...document.querySelectorAll(".js-plotly-plot")].slice(1);
  const parts = charts.map((chart) => [...chart.childNodes]);
  for (const chart of charts) chart.replaceChildren();
  const { violations } = await axe.run(options);
  for (const [i, chart] of charts.entries()) chart.replaceChildren(...parts[i]);
  return violations;
}"""
"""Inside, all charts are alike to axe-core, which does not judge the colours of drawings: it looks
into the first of a page, at the others as pictures with a name."""

UNNAMED = """
[...document.querySelectorAll("a, button, progress, [role=img], input:not([type=hidden]), select")]
  .filter(part => !(part.textContent.trim() || part.getAttribute("aria-label")
                    || part.labels?.length))
  .map(part => part.outerHTML)
"""


def violations(page: Page, colours: str) -> list[str]:
    """What axe-core finds on the page as it is now, by day (light) or at night (dark)."""
    page.evaluate(AXE_SCRIPT)
    asked = {"resultTypes": ["violations"]} | (ONLY_COLOURS if colours == "dark" else {})
    found = []
    for one in page.evaluate(FOUND, asked):
        places = [node["html"][:120] for node in one["nodes"][:3]]
        found.append(f"{colours}: {one['impact']} {one['id']}: {one['help']} {places}")
    return found


def look(visit: Visit, address: str, colours: str = "light") -> None:
    """Opens a page once and looks at all of it; charts of the one before are not drawn again."""
    page = visit.open_nothing()
    page.set_viewport_size(WINDOW)
    page.emulate_media(color_scheme=colours, reduced_motion="reduce")
    visit.open(address)
    visit.settle()
    page.wait_for_selector(f"html[data-theme={colours}]")
    assert violations(page, colours) == []
    if colours == "dark":
        return
    assert page.evaluate(UNNAMED) == []
    page.set_viewport_size({"width": 390, "height": 844})
    # Charts take the new size a moment later.
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")


def views(
    pages: Sequence[str], *, at_night: Sequence[str] = (), slow: Sequence[str] = ()
) -> list[object]:
    """Pages by day and some at night; the others of them at night, and more pages, are `slow`."""
    return [
        pytest.param(page, colours, marks=[] if page in quick else pytest.mark.slow)
        for colours, quick in (("light", pages), ("dark", at_night))
        for page in (*pages, *slow)
    ]


@pytest.fixture(scope="module")
def tab(browser, service):
    """A page for all that is looked at: what a browser has loaded once it need not load again."""
    with browser.at_work():
        visit = Visit(browser, service)
    yield visit
    with browser.at_work():
        visit.close()


@pytest.fixture(scope="module")
def bare(browser, migrated_file, tmp_path_factory):
    """A page of a service without studies."""
    folder = tmp_path_factory.mktemp("bare")
    (folder / "modomodo.db").write_bytes(migrated_file.read_bytes())
    settings = Settings(database_url=f"sqlite:///{folder}/modomodo.db", upkeep_every_s=3600.0)
    with Service(settings) as service:
        with browser.at_work():
            visit = Visit(browser, service)
        yield visit
        with browser.at_work():
            visit.close()


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize(
    ("part", "colours"),
    views((*OF_A_STUDY, RUNNING, CURVES), at_night=["/trials"], slow=DONE),
)
def test_pages_of_a_study_with_trials_are_for_everyone(tab, searched, part, colours):
    look(tab, f"/ui/studies/{searched}{part}", colours)
    tab.check()


@pytest.mark.usefixtures("chromium", "searched")
@pytest.mark.parametrize(("address", "colours"), views(["/", "/ui/workers"]))
def test_lists_of_studies_and_workers_are_for_everyone(tab, address, colours):
    look(tab, address, colours)
    tab.check()


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize(
    ("address", "colours"), views(["/", "/ui/workers", "/ui/new"], at_night=["/ui/new"])
)
def test_pages_without_a_study_are_for_everyone(bare, address, colours):
    look(bare, address, colours)
    bare.check()


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize(("address", "colours"), views(["/ui/studies/nope"]))
def test_a_page_that_is_not_there_is_for_everyone(bare, address, colours):
    look(bare, address, colours)
    bare.complaints.clear()  # the browser notes that it is not there


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize(("part", "colours"), views([""], slow=OF_A_STUDY[1:]))
def test_pages_of_a_study_without_trials_are_for_everyone(
    tab, shared_database, name, part, colours
):
    look(tab, f"/ui/studies/{store(shared_database, 0, name=name)}{part}", colours)
    tab.check()


@pytest.mark.parametrize(("address", "colours"), views(["/ui/sign-in"]))
def test_the_page_where_one_signs_in_is_for_everyone(chromium, database_url, address, colours):
    key = "a-key-of-thirty-two-or-more-chars"
    with (
        Service(Settings(database_url=database_url, api_key=key)) as service,
        Visit(chromium, service) as visit,
    ):
        look(visit, address, colours)


@pytest.mark.usefixtures("unfitted")
def test_what_a_chart_shows_is_a_table_too_whose_links_the_keyboard_reaches(visit, service, name):
    study = create(service.client, name=name)
    first = finish(service.client, study, [0.2] * 5, 0.3)
    best = finish(service.client, study, [0.6, 0.1, 0.1, 0.1, 0.1], 0.5)
    page = visit.open_study(study)
    summary = page.locator("#progress-chart + details.data summary")
    summary.focus()
    page.keyboard.press("Enter")
    rows = page.locator("#progress-chart + details.data tr")
    expect(rows.filter(has_text=f"trial {best}").first).to_contain_text("52.5")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    focused = page.locator(":focus")
    expect(focused).to_have_text(f"trial {first}")
    outline = focused.evaluate("link => getComputedStyle(link).outlineStyle")
    assert outline == "solid", "where the focus is can be seen"
    page.keyboard.press("Enter")
    page.wait_for_url(f"**/trials/{first}")
