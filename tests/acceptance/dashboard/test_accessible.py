"""axe-core over every page, light and dark, and each on a phone, in a real Chromium."""

from __future__ import annotations

import pytest
from axe_playwright_python.base import AXE_SCRIPT
from playwright.sync_api import Page, expect

from service.settings import Settings
from tests.support.dashboard import create, finish, store
from tests.support.visits import WINDOW, Service, Visit

pytestmark = pytest.mark.browser

OF_A_STUDY = (*("", "/trials", "/mixtures", "/benchmarks", "/surfaces", "/what-if", "/change"),)
RUNNING = "/trials/14"
CURVES = "/curves?trial=14&trial=15&trial=1"
DONE = ("/trials/13", "/trials/1")
"""A failed trial and a completed one: less is on their pages than on that of one that runs."""

ONLY_COLOURS = {"runOnly": ["color-contrast", "link-in-text-block"]}
"""All rules of axe-core that look at colours; the others find the same at night as by day."""

UNNAMED = """
[...document.querySelectorAll("a, button, progress, [role=img], input:not([type=hidden]), select")]
  .filter(part => !(part.textContent.trim() || part.getAttribute("aria-label")
                    || part.labels?.length))
  .map(part => part.outerHTML)
"""


def violations(page: Page) -> list[str]:
    """What axe-core finds on the page as it is now, by day and at night."""
    page.evaluate(AXE_SCRIPT)
    found = []
    for colours, options in (("light", {}), ("dark", ONLY_COLOURS)):
        page.emulate_media(color_scheme=colours, reduced_motion="reduce")
        page.wait_for_selector(f"html[data-theme={colours}]")
        asked = {"resultTypes": ["violations"]} | options
        for one in page.evaluate("options => axe.run(options)", asked)["violations"]:
            places = [node["html"][:120] for node in one["nodes"][:3]]
            found.append(f"{colours}: {one['impact']} {one['id']}: {one['help']} {places}")
    page.emulate_media(color_scheme="light", reduced_motion="reduce")
    return found


def look(visit: Visit, address: str) -> None:
    """Opens a page once and looks at all of it."""
    visit.page.set_viewport_size(WINDOW)
    page = visit.open(address)
    visit.settle()
    assert violations(page) == []
    assert page.evaluate(UNNAMED) == []
    page.set_viewport_size({"width": 390, "height": 844})
    # Charts take the new size a moment later.
    page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth")


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
    "part", [*OF_A_STUDY, RUNNING, CURVES, *(pytest.param(p, marks=pytest.mark.slow) for p in DONE)]
)
def test_pages_of_a_study_with_trials_are_for_everyone(tab, searched, part):
    look(tab, f"/ui/studies/{searched}{part}")
    tab.check()


@pytest.mark.usefixtures("chromium", "searched")
@pytest.mark.parametrize("address", ["/", "/ui/workers"])
def test_lists_of_studies_and_workers_are_for_everyone(tab, address):
    look(tab, address)
    tab.check()


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize("address", ["/", "/ui/workers", "/ui/new"])
def test_pages_without_a_study_are_for_everyone(bare, address):
    look(bare, address)
    bare.check()


@pytest.mark.usefixtures("chromium")
def test_a_page_that_is_not_there_is_for_everyone(bare):
    look(bare, "/ui/studies/nope")
    bare.complaints.clear()  # the browser notes that it is not there


@pytest.mark.usefixtures("chromium")
@pytest.mark.parametrize(
    "part", ["", *(pytest.param(part, marks=pytest.mark.slow) for part in OF_A_STUDY[1:])]
)
def test_pages_of_a_study_without_trials_are_for_everyone(tab, shared_database, name, part):
    look(tab, f"/ui/studies/{store(shared_database, 0, name=name)}{part}")
    tab.check()


def test_the_page_where_one_signs_in_is_for_everyone(chromium, database_url):
    key = "a-key-of-thirty-two-or-more-chars"
    with (
        Service(Settings(database_url=database_url, api_key=key)) as service,
        Visit(chromium, service) as visit,
    ):
        look(visit, "/ui/sign-in")


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
