"""Fits are kept with their study: whoever asks next has them, whichever replica made them."""

from __future__ import annotations

import dataclasses
import re

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import func, select, update

from db import archive, fits, models, studies
from service.executor.process import Inline
from service.fitting import questions
from service.fitting.fits import Fits, fit_kind
from service.fitting.stored import StoredFits
from service.study import evidence
from tests.support.dashboard import DOMAINS, finish, store
from tests.support.serving import in_process

EVERYWHERE = pytest.mark.backends("sqlite", "postgresql")
ASKED = (
    "/studies/vlm/surrogates/bayes-quadratic",
    "/studies/vlm/best?surrogate=bayes-quadratic",
    "/ui/studies/vlm/fits/bayes-quadratic",
)
NEWEST = "/ui/studies/vlm/fits/bayes-quadratic/newest"


class Computing(Inline):
    """Keeps the names of what it was asked of fits; the proposer asks as well, whenever it looks.

    Attributes:
        listener: called before each answer.
    """

    def __init__(self):
        self.asked = []
        self.listener = lambda: None

    def ask(self, function, *args, **kwargs):
        if function.__module__ == questions.__name__:
            self.asked.append(function.__name__)
            self.listener()
        return super().ask(function, *args, **kwargs)


@pytest.fixture
def replica(app_settings):
    """Starts replicas on one database; each is a client and its engine."""
    started = []

    def start():
        engine = Computing()
        client = TestClient(in_process(app_settings, engine), base_url="http://127.0.0.1")
        started.append(client.__enter__())
        return client, engine

    yield start
    for client in started:
        client.__exit__(None, None, None)


@EVERYWHERE
def test_another_replica_has_what_one_has_fitted(replica, database):
    store(database, 7)
    first, _ = replica()
    answers = [first.get(path).json() for path in ASKED]
    assert answers[0]["n"] == 7
    second, engine = replica()
    assert [second.get(path).json() for path in ASKED] == answers
    assert engine.asked == []


def test_so_it_is_with_what_auto_goes_by(replica, database):
    store(database, 7)
    first, _ = replica()
    path = "/ui/studies/vlm/trust"
    assert first.get(f"{path}?only_made=true").json()["belief"] == ""
    made = first.get(path).json()
    assert made["belief"]
    second, engine = replica()
    assert second.get(f"{path}?only_made=true").json() == made == second.get(path).json()
    assert engine.asked == []


def test_so_it_is_with_floors(replica, database):
    store(database, 7, constraints=[{"benchmark": "chart", "at_least": "uniform - 0.05"}])
    paths = [f"/studies/vlm/{part}?surrogate=bayes-quadratic" for part in ("front", "best")]
    first, _ = replica()
    answers = [first.get(path).json() for path in paths]
    assert answers[1]["goal"]
    second, engine = replica()
    assert [second.get(path).json() for path in paths] == answers
    assert engine.asked == []


def test_the_newest_fit_is_shown_at_once_with_its_age_while_the_next_is_made(replica, database):
    store(database, 7)
    api, engine = replica()
    assert api.get(NEWEST).json() == {"so_far_s": None, "mark": ""}
    made = api.get(ASKED[2]).json()
    assert re.search(r"Fitted <time .*> to 7 runs, in [\d.e-]+ s\.", made["age"])
    found = api.get(NEWEST).json()
    assert found == made | {"so_far_s": None, "since": 0}
    finish(api, "vlm", [0.2, 0.2, 0.3, 0.1, 0.2], 0.4)
    asked = list(engine.asked)
    found = api.get(NEWEST).json()
    assert engine.asked == asked
    assert found["html"] == made["html"]
    assert "1 result has come since." in found["age"]
    fresh = api.get(f"{ASKED[2]}?shown={made['mark']}").json()
    assert "to 8 runs" in fresh["age"]
    assert fresh["html"] != made["html"]
    assert api.get(f"{ASKED[2]}?shown={fresh['mark']}").json().keys() == {"mark", "age"}


def test_who_comes_while_a_fit_is_made_hears_for_how_long(replica, database):
    store(database, 7)
    api, engine = replica()
    heard = []
    engine.listener = lambda: heard.append(api.get(NEWEST).json()["so_far_s"])
    api.get(ASKED[2])
    assert 0 <= heard[0] < 30
    assert api.get(NEWEST).json()["so_far_s"] is None


def test_a_fit_of_other_domains_is_not_shown(replica, database):
    store(database, 7)
    api, _ = replica()
    api.get(ASKED[2])
    domains = [{"name": name, "upper": 0.6} for name in DOMAINS]
    assert api.patch("/studies/vlm", json={"domains": domains}).is_success
    assert api.get(NEWEST).json()["mark"] == ""
    assert api.get(ASKED[2]).json()["mark"]


def test_a_fit_is_made_anew_where_what_it_says_of_runs_left_out_is_another(database):
    """A run that was stopped or paused gives no result, but is told among the messages."""
    store(database, 7)
    with database.read() as session:
        known = evidence.named(session, "vlm")
    kept = Fits(engine := Computing())
    for notes in ((), ("1 run is not taken",), ("2 runs are not taken",), ()):
        made = kept.fit(dataclasses.replace(known, notes=notes), "bayes-quadratic")
        assert set(notes) == {said for said in made.record.fit.messages if "not taken" in said}
    assert engine.asked == ["diagnosed"] * 3


def test_a_fit_that_other_code_made_is_made_anew(database):
    """Two checkouts of one version may have one database, as while something is developed."""
    store(database, 7)
    with database.read() as session:
        known = evidence.named(session, "vlm")
    engine = Computing()
    for code in ("before", "before", "after", "after"):
        Fits(engine, StoredFits(database), code).fit(known, "bayes-quadratic")
    assert engine.asked == ["diagnosed"] * 2


def test_an_unknown_surrogate_has_no_newest_fit(api, database):
    store(database, 1)
    assert api.get("/ui/studies/vlm/fits/oracle/newest").status_code == 404


def n_fits(database):
    with database.read() as session:
        return session.scalar(select(func.count()).select_from(models.Fit))


@EVERYWHERE
def test_a_study_called_otherwise_keeps_its_fits_and_a_deleted_one_does_not(replica, database):
    store(database, 7)
    api, engine = replica()
    made = api.get(ASKED[0]).json()
    assert api.patch("/studies/vlm", json={"name": "vision"}).is_success
    engine.asked.clear()
    assert api.get("/studies/vision/surrogates/bayes-quadratic").json() == made
    assert engine.asked == []
    assert n_fits(database) == 1
    assert api.delete("/studies/vision?confirm=vision").is_success
    assert n_fits(database) == 0


def test_what_another_version_wrote_is_fitted_anew(replica, database):
    store(database, 7)
    first, _ = replica()
    made = first.get(ASKED[0]).json()
    with database.write() as session:
        session.execute(update(models.Fit).values(document='{"fit": {"kind": "of old"}}'))
    second, engine = replica()
    assert second.get(NEWEST).json()["mark"] == ""
    assert second.get(ASKED[0]).json() == made
    assert engine.asked == ["diagnosed"]


@EVERYWHERE
def test_an_older_fit_that_comes_later_does_not_take_the_place_of_a_newer(database):
    store(database, 3)
    kind = fit_kind("gp")
    with database.read() as session:
        now = studies.get(session, "vlm").version
    older, gone = now._replace(results=now.results - 1), now._replace(study_id=now.study_id + 1)

    def keep(of, mark):
        with database.write() as session:
            return fits.keep(session, of, kind, mark=mark, took_s=1.0, document="{}") is not None

    assert [keep(older, "a"), keep(now, "b"), keep(older, "c")] == [True, True, False]
    assert not keep(gone, "d")
    with database.read() as session:
        kept = fits.newest(session, now.study_id, kind)
    assert (kept.mark, kept.results) == ("b", now.results)


def test_an_archive_has_no_fits_for_they_can_be_made_again(replica, database):
    store(database, 7)
    api, _ = replica()
    api.get(ASKED[0])
    with database.read() as session:
        assert "fits" not in archive.dump(session, "vlm")
