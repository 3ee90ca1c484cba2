"""The page of trials: tags shown and looked for, a choice that is changed, runs from a file."""

from __future__ import annotations

import re

import pytest

from db import keys
from tests.integration.dashboard.test_trials import numbers, records
from tests.support.dashboard import HOSTILE, create, finish, own, page

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))

CSV = (
    "state,w_coco,w_lisa,lisa_test,sat_test,chart,info\n"
    "completed,0.25,0.75,0.4,0.4,0.5,0.5\ncompleted,1,0,0.4,0.4,0.6,0.5\nfailed,1,0,,,,\n"
)


@pytest.fixture
def study(api) -> str:
    found = create(api)
    api.patch(f"/studies/{found}", json={"state": "paused"})
    return found


def send(api, study, text, **asked):
    path = f"/ui/studies/{study}/trials/import"
    return api.post(path, content=text, params=asked, headers=own(api))


def test_tags_are_shown_filtered_and_looked_for(api, study):
    tagged = finish(api, study, [0.2] * 5, 0.4, tags=["Old base", "seed 2"])
    other = finish(api, study, [0.2] * 5, 0.5, tags=["old base 7"])
    html = page(api, f"/ui/studies/{study}/trials")
    assert '<span class="tag">Old base</span><span class="tag">seed 2</span>' in html
    assert re.findall(r'<option value="([^"]*)"></option>', html) == [
        "Old base",
        "old base 7",
        "seed 2",
    ]
    assert numbers(api, study, "?tag=Old+base") == [tagged]
    assert numbers(api, study, "?tag=old+base") == [], "as a whole, small letters and capitals"
    assert numbers(api, study, "?text=OLD+BASE") == [other, tagged]
    assert numbers(api, study, "?tag=") == [other, tagged]
    (row,) = records(api, study, "?tag=seed+2")
    assert row["tags"] == "Old base;seed 2"
    assert numbers(api, study, "?sort=tags&rising=true") == [tagged, other]
    story = page(api, f"/ui/studies/{study}/trials/{tagged}")
    assert 'value="Old base; seed 2"' in story


def test_a_choice_of_trials_is_changed_from_the_page(api, study):
    number = finish(api, study, [0.2] * 5, 0.4)
    path = f"/ui/studies/{study}/trials/bulk"
    body = {"action": "tag", "numbers": [number], "tags": ["a"]}
    assert api.post(path, json=body).json()["code"] == "own-page-only"
    answer = api.post(path, json=body, headers=own(api))
    assert answer.json()["trials"][0]["tags"] == ["a"]
    html = page(api, f"/ui/studies/{study}/trials")
    assert f'aria-label="Choose trial {number}"' in html


def test_a_file_is_looked_at_and_then_imported(api, study):
    before = numbers(api, study)
    looked = send(api, study, CSV, name="old.csv", tag="").json()
    assert (looked["new"], looked["added"]) == (2, 0)
    assert "old.csv: 2 runs would be added to study" in looked["html"]
    assert "line 4: its run is failed" in looked["html"]
    assert "no column for geoqav, sat, scienceqa: weight 0 in every run" in looked["html"]
    assert numbers(api, study) == before
    done = send(api, study, CSV, dry_run=False, tag="spring").json()
    assert (done["new"], done["added"]) == (2, 2)
    assert len(numbers(api, study, "?tag=spring")) == 2
    again = send(api, study, CSV).json()
    assert again["new"] == 0
    assert "2 in the study already, 1 not completed" in again["html"]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (CSV + "completed,=1,0,0,0,0,0\n", "line 5: column &#39;w_coco&#39;: &#39;=1&#39; is not"),
        (CSV.replace("chart", "lisa_test"), "line 1: column &#39;lisa_test&#39; comes twice"),
        (CSV.encode("utf-16-be"), "no column of weights"),
        (b"w_coco,\xff", "line 1 is not UTF-8 text"),
        (b"", "has no runs"),
        (f"w_coco,chart\n{HOSTILE},1\n", "&lt;script&gt;"),
        (f"{HOSTILE},chart\n1,1\n", "&lt;script&gt;"),
    ],
)
def test_a_file_that_cannot_be_taken_is_told_why_and_changes_nothing(api, study, text, why):
    before = numbers(api, study)
    answer = send(api, study, text, dry_run=False)
    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["new"], said["added"]) == (0, 0)
    assert why in said["html"]
    assert "<script" not in said["html"]
    assert numbers(api, study) == before


def test_a_file_that_is_too_large_is_refused(api, study):
    answer = send(api, study, b"x" * (8 * 2**20 + 1))
    assert answer.status_code == 413


def test_an_import_needs_the_right_to_change(api, study, database):
    with database.write() as session:
        key = keys.create(session, "reader", "read")
    path = f"/ui/studies/{study}/trials/import"
    reading = {"Authorization": f"Bearer {key}"}
    assert api.post(path, content=CSV, headers=reading).json()["code"] == "scope-needed"


def test_the_note_and_the_tags_of_a_trial_are_saved_together(api, study):
    number = finish(api, study, [0.2] * 5, 0.4)
    path = f"/ui/studies/{study}/trials/{number}/note"
    sent = api.post(path, json={"note": "n", "tags": ["a", "b"]}, headers=own(api))
    assert sent.json() == {"note": "n", "tags": ["a", "b"]}
    wrong = api.post(path, json={"note": "n", "tags": ["=a"]}, headers=own(api))
    assert "is no tag" in wrong.json()["detail"]
