"""Studies that are changed while they run: what stays evidence, what is proposed, what is told."""

from __future__ import annotations

import pytest

from db import archive, studies, trials
from db.sessions import Database
from service.executor.process import Inline
from service.proposing.proposer import Proposer
from service.proposing.task import read_task
from service.study import archive_checks, evidence
from tests.support.bodies import scores, study_body

pytestmark = pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))

FOUR = [{"name": name} for name in ("coco", "lisa", "sat", "geo")]
THREE = FOUR[:3]


class Desk:
    """A study whose proposals wait until it is told to make some."""

    def __init__(self, api, database: Database):
        self.api, self.database = api, database
        api.app.state.context.proposer.stop()
        self.proposer = Proposer(database, "test", Inline())
        self.create()

    def create(self, **changes):
        answer = self.api.post("/studies", json=study_body(**changes))
        assert answer.is_success, answer.text
        return answer.json()

    def edit(self, study="vlm", **changes):
        answer = self.api.patch(f"/studies/{study}", json=changes)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def refused(self, status=422, study="vlm", **changes):
        answer = self.api.patch(f"/studies/{study}", json=changes)
        assert answer.status_code == status, answer.text
        return answer.json()["detail"]

    def run(self, value=0.5, **mixture):
        body = {"mixture": mixture, "measurements": scores(value)}
        answer = self.api.post("/studies/vlm/trials", json=body)
        assert answer.status_code == 201, answer.text

    def turn(self):
        return self.proposer.turn()

    def trials(self, study="vlm", **only):
        found = self.api.get(f"/studies/{study}/trials").json()["trials"]
        found = [t for t in found if all(t[key] == value for key, value in only.items())]
        return sorted(found, key=lambda trial: trial["number"])

    def changes(self, study="vlm"):
        return [c["changes"] for c in self.api.get(f"/studies/{study}/changes").json()["changes"]]

    def known(self):
        with self.database.read() as session:
            return evidence.named(session, "vlm")

    def task(self):
        with self.database.read() as session:
            return read_task(session, "vlm")


@pytest.fixture
def desk(api, database):
    return Desk(api, database)


def test_a_run_from_before_a_domain_came_has_weight_zero_there(desk):
    desk.run(coco=0.5, lisa=0.5)
    desk.edit(domains=FOUR)
    assert desk.known().runs.weights.tolist() == [[0.5, 0.5, 0.0, 0.0]]
    assert desk.trials()[0]["mixture"] == {"coco": 0.5, "lisa": 0.5, "sat": 0.0, "geo": 0.0}
    desk.run(geo=1.0)
    assert desk.known().runs.weights[1].tolist() == [0.0, 0.0, 0.0, 1.0]


def test_runs_with_a_dropped_domain_go_on_teaching_and_nothing_that_uses_it_is_proposed(desk):
    desk.run(coco=0.2, lisa=0.3, sat=0.5)
    changed = desk.edit(domains=THREE[:2])
    assert [(d["name"], d["upper"]) for d in changed["domains"]] == [
        *(("coco", 1.0), ("lisa", 1.0), ("sat", 0.0)),
    ]
    desk.turn()
    assert len(desk.known().runs) == 1
    proposed = desk.trials(state="queued")
    assert proposed
    assert all(trial["mixture"]["sat"] == 0.0 for trial in proposed)


@pytest.mark.usefixtures("quick_fits")
def test_the_mixture_to_train_is_one_that_the_study_still_allows(desk):
    desk.run(0.9, sat=1.0)
    desk.run(0.5, coco=0.5, lisa=0.5)
    desk.run(0.6, coco=1.0)
    assert desk.api.get("/studies/vlm/best").json()["train"]["mixture"]["sat"] == 1.0
    desk.edit(domains=THREE[:2])
    best = desk.api.get("/studies/vlm/best").json()
    assert best["train"]["mixture"]["coco"] == 1.0
    assert best["gain"] == pytest.approx(0.1), "over the domains that are left, equally"
    assert "trial 3" in desk.api.get("/ui/studies/vlm").text
    figure = desk.api.get("/ui/studies/vlm/progress").json()["figure"]
    assert any(trace.get("ids") == ["1", "2", "3"] for trace in figure["data"])


def test_a_study_that_allows_none_of_its_runs_says_so(desk):
    desk.run(0.9, sat=1.0)
    desk.edit(domains=THREE[:2])
    best = desk.api.get("/studies/vlm/best").json()
    assert best["train"] is None
    assert "is a mixture that the study allows since it was changed" in best["message"]
    assert "no completed run is allowed" in desk.api.get("/ui/studies/vlm").text
    assert desk.api.get("/ui/studies/vlm/progress").json()["figure"]["data"]
    none = "none of 1 completed run is a mixture that the study allows since it was changed"
    for path in ("export?format=yaml", "effects"):
        refused = desk.api.get(f"/studies/vlm/{path}")
        assert (refused.status_code, none in refused.json()["detail"]) == (409, True)


def test_a_dropped_domain_can_come_back(desk):
    desk.edit(domains=THREE[:2])
    assert desk.edit(domains=THREE)["domains"][2]["upper"] == 1.0


def test_proposals_that_no_longer_fit_are_withdrawn_and_made_again(desk):
    desk.turn()
    before = {trial["number"]: trial["mixture"] for trial in desk.trials(state="queued")}
    capped = [{"name": "coco", "upper": 0.01}, *THREE[1:]]
    desk.edit(domains=capped)
    gone = desk.trials(state="cancelled")
    assert gone
    assert all("withdrawn: it fits the study no more: weight of 'coco'" in t["error"] for t in gone)
    desk.turn()
    queued = desk.trials(state="queued")
    assert len(queued) == len(before)
    assert all(trial["mixture"]["coco"] <= 0.01 for trial in queued)


def test_proposals_that_fit_are_made_anew_since_they_were_chosen_for_another_study(desk):
    desk.turn()
    desk.edit(strategy="lattice")
    desk.turn()
    assert {trial["proposal"]["strategy"] for trial in desk.trials(state="queued")} == {"lattice"}


def test_proposals_computed_for_the_study_before_an_edit_are_not_stored(desk):
    from db import proposers
    from service.proposing.question import compute
    from service.proposing.storing import store

    task = desk.task()
    desk.edit(domains=FOUR)
    with desk.database.write() as session:
        proposers.take(session, task.known.version.study_id, "me", 15.0)
        found = compute(task.question, "random")
        assert store(session, task, found, "me") == 0


def test_a_running_trial_goes_on_and_its_result_counts(desk):
    desk.turn()
    leased = desk.api.post("/trials/next", json={"worker": "w", "study": "vlm"}).json()
    capped = [{"name": "coco", "upper": 0.0}, *THREE[1:], {"name": "geo"}]
    desk.edit(domains=capped)
    body = {"token": leased["lease"]["token"], "measurements": scores(0.4)}
    answer = desk.api.post(f"/trials/{leased['trial']['id']}/result", json=body)
    assert answer.json()["state"] == "completed"
    assert len(desk.known().runs) == 1


def test_proposals_of_a_channel_that_is_given_up_are_made_anew(desk):
    steps = {"steps": 4, "evaluation": {"at": [2]}}
    recipe = {"backend": "command", "command": {"script": "train"}} | steps
    channels = {"channels": ["full", "step-2"]}
    desk.create(name="parts", recipe=recipe, search=channels, strategy="bayes-quadratic")
    with desk.database.write() as session:
        row = studies.get(session, "parts")
        weights = {"coco": 1.0, "lisa": 0.0, "sat": 0.0}
        proposal = {"strategy": "bayes-quadratic", "seed": 1, "reason": "a part"}
        new = trials.NewTrial(weights, "proposed", proposal, row.results, stop_at=2, share=0.5)
        trials.add(session, row, new, actor="proposer")
    desk.edit(study="parts", search={"channels": ["full"]})
    desk.turn()
    assert [trial["stop_at"] for trial in desk.trials("parts")] == [None, None]


def test_a_mixture_queued_by_hand_stays(desk):
    desk.api.post("/studies/vlm/trials", json={"mixture": {"sat": 1.0}})
    desk.edit(domains=THREE[:2])
    assert [trial["origin"] for trial in desk.trials(state="queued")] == ["queued"]


def test_every_edit_is_told_with_what_was_before_and_the_same_again_is_none(desk):
    desk.run(coco=1.0)
    change = {
        "budget": 12,
        "lookahead": 3,
        "note": "more room",
        "domains": [{"name": "coco", "upper": 0.5}, *THREE[1:]],
        "limits": [{"weights": {"coco": 1.0, "sat": 2.0}, "at_most": 0.9}],
    }
    first = desk.edit(**change)
    again = desk.edit(**change)
    assert first == again
    (told,) = desk.changes()
    assert told["budget"] == [8, 12]
    assert told["lookahead"] == [2, 3]
    assert told["note"] == ["", "more room"]
    assert told["domains.coco.upper"] == [1.0, 0.5]
    assert told["limits"][0] == []
    assert len(told["limits"][1]) == 1
    whole = desk.api.get("/studies/vlm/changes").json()["changes"][0]
    assert whole["after_trial"] == 1
    assert whole["actor"]


def test_a_domain_that_comes_is_told_whole(desk):
    desk.edit(domains=FOUR)
    (told,) = desk.changes()
    assert list(told) == ["domains.geo"]
    assert told["domains.geo"][0] is None
    assert told["domains.geo"][1]["upper"] == 1.0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"budget": 1}, "budget 1 is below the 2 runs that are done (study 'vlm'); give 2 or more"),
        (
            {"domains": [{"name": "coco", "upper": 0.3}, {"name": "lisa", "upper": 0.3}]},
            "upper weights sum to 0.6, below 1",
        ),
        ({"limits": [{"weights": {"geo": 1}, "at_most": 1}]}, "unknown domain 'geo'"),
        (
            {"limits": [{"weights": {"coco": 1, "lisa": 1, "sat": 1}, "at_most": 0.5}]},
            "no mixture satisfies all of",
        ),
        ({"objective": {"name": "mine", "weights": {"zzz": 1}}}, "unknown benchmark 'zzz'"),
        ({"strategy": "guess"}, "unknown strategy 'guess'; there are"),
        ({"domains": [{"name": "coco"}, {"name": "coco"}]}, "'coco' is listed more than once"),
        ({"search": {"channels": ["full", "merged"]}}, "channel 'merged'"),
        ({"evidence": [{"study": "vlm"}]}, "evidence names this very study"),
        ({"recipe": {"steps": 9}}, "runs by two recipes cannot be compared"),
        ({"spread": {"geo": {"new": 1.0}}}, "spread names unknown domain 'geo'"),
    ],
)
def test_an_edit_that_fits_nothing_is_refused_with_what_would_be_right(desk, changes, said):
    with desk.database.write() as session:
        studies.get(session, "vlm").results = 2  # as if two runs were done
    assert said in desk.refused(**changes)
    assert desk.changes() == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "nothing to change"),
        ({"spread": {"coco": {"a": 0.5, "b": 0.4}}}, "shares of 'coco' sum to 0.9, not 1"),
        ({"gpu_hours": 4, "remove": ["gpu_hours"]}, "gpu_hours is given and to be removed"),
        ({"remove": ["budget"]}, "is not one of"),
        ({"opening": "chess"}, "is not one of"),
    ],
)
def test_an_edit_that_says_nothing_sensible_is_refused(desk, changes, said):
    answer = desk.api.patch("/studies/vlm", json=changes)
    assert answer.status_code == 422
    assert said in answer.text


@pytest.mark.usefixtures("quick_fits")
def test_the_objective_may_change_and_old_runs_are_scored_by_it(desk):
    desk.run(0.5, coco=1.0)
    desk.api.get("/studies/vlm/best")  # what was thought of the old objective is kept in memory
    body = {"mixture": {"sat": 1.0}, "measurements": [*scores(0.4)[1:], scores(0.9)[0]]}
    desk.api.post("/studies/vlm/trials", json=body)
    assert desk.api.get("/studies/vlm/best").json()["train"]["mixture"]["coco"] == 1.0
    desk.edit(objective={"name": "in_score"})
    assert desk.api.get("/studies/vlm/best").json()["train"]["mixture"]["sat"] == 1.0
    page = desk.api.get("/ui/studies/vlm").text
    assert "In-Score" in page


def test_a_limit_can_be_taken_away_and_so_can_gpu_hours_and_most_domains(desk):
    limit = {"weights": {"coco": 1.0}, "at_most": 0.5}
    desk.edit(limits=[limit], gpu_hours=8, max_active=2)
    changed = desk.edit(limits=[], remove=["gpu_hours", "max_active"])
    assert (changed["limits"], changed["gpu_hours"], changed["max_active"]) == ([], None, None)


def test_a_study_whose_only_budget_are_gpu_hours_keeps_one(desk):
    body = study_body("hours", gpu_hours=8)
    del body["budget"]
    desk.api.post("/studies", json=body)
    assert "give one in runs" in desk.refused(study="hours", remove=["gpu_hours"])
    assert desk.edit("hours", remove=["gpu_hours"], budget=9)["budget"] == 9


def test_the_body_that_a_study_was_created_with_stays_its_body(desk):
    desk.edit(domains=FOUR, budget=20, strategy="lattice")
    assert desk.api.post("/studies", json=study_body()).status_code == 200
    other = desk.api.post("/studies", json=study_body(domains=FOUR))
    assert other.status_code == 409


def test_a_domain_is_split_by_shares_and_so_are_old_weights(desk):
    desk.run(coco=0.5, lisa=0.5)
    desk.edit(limits=[{"weights": {"coco": 1.0, "sat": 1.0}, "at_most": 0.8}])
    split = {"spread": {"coco": {"indoor": 0.6, "outdoor": 0.4}}}
    changed = desk.edit(**split)
    assert [d["name"] for d in changed["domains"]] == ["lisa", "sat", "indoor", "outdoor"]
    assert changed["limits"][0]["weights"] == {"sat": 1.0, "indoor": 1.0, "outdoor": 1.0}
    assert desk.trials()[0]["mixture"] == {"lisa": 0.5, "sat": 0.0, "indoor": 0.3, "outdoor": 0.2}
    assert desk.edit(**split) == changed
    assert len(desk.changes()) == 2


def test_what_was_spread_before_is_no_change_and_what_never_was_there_is_refused(desk):
    desk.edit(domains=FOUR)
    for name in ("lisa", "geo"):
        desk.edit(spread={name: {"coco": 1.0}})
    changes = desk.changes()
    desk.edit(spread={"lisa": {"coco": 1.0}, "geo": {"coco": 1.0}})
    assert desk.changes() == changes
    said = "spread names unknown domain 'lissa' (study 'vlm'); it has coco, sat"
    assert desk.refused(spread={"lissa": {"coco": 1.0}}) == said


def test_a_domain_that_takes_others_up_has_their_samples_too(desk):
    desk.edit(domains=[{**d, "samples": n} for d, n in zip(THREE, (100, 300, 50), strict=True)])
    changed = desk.edit(spread={"lisa": {"coco": 0.5, "sat": 0.5}})
    assert {d["name"]: d["samples"] for d in changed["domains"]} == {"coco": 250, "sat": 200}


def test_domains_are_merged_and_their_weights_added_up(desk):
    sizes = [{"name": "coco", "samples": 100}, {"name": "lisa", "samples": 50}, {"name": "sat"}]
    desk.edit(domains=sizes)
    desk.run(coco=0.5, lisa=0.2, sat=0.3)
    changed = desk.edit(spread={"coco": {"street": 1.0}, "lisa": {"street": 1.0}})
    assert [d["name"] for d in changed["domains"]] == ["sat", "street"]
    assert changed["domains"][1]["samples"] == 150
    assert desk.known().runs.weights[0].tolist() == pytest.approx([0.3, 0.7])


@pytest.mark.parametrize("weights", [{"coco": 1.0, "lisa": 2.0}, {"coco": 1.0}])
def test_domains_that_a_limit_tells_apart_are_not_merged_under_it(desk, weights):
    desk.edit(limits=[{"weights": weights, "at_most": 0.9}])
    both = {"coco": {"street": 1.0}, "lisa": {"street": 1.0}}
    assert "give `limits` anew" in desk.refused(spread=both)
    desk.edit(spread=both, limits=[])


def test_domains_that_a_limit_weighs_alike_are_merged_under_it(desk):
    desk.edit(limits=[{"weights": {"coco": 2.0, "lisa": 2.0, "sat": 1.0}, "at_most": 1.5}])
    changed = desk.edit(spread={"coco": {"street": 1.0}, "lisa": {"street": 1.0}})
    assert changed["limits"][0]["weights"] == {"sat": 1.0, "street": 2.0}


def test_a_study_is_found_by_its_former_name_while_no_other_is_called_so(desk):
    desk.turn()
    assert desk.edit(name="vlm-2b")["name"] == "vlm-2b"
    assert desk.api.get("/studies/vlm").json()["name"] == "vlm-2b"
    leased = desk.api.post("/trials/next", json={"worker": "w", "study": "vlm"}).json()
    assert leased["trial"]["study"] == "vlm-2b"
    assert leased["files_of"] == "vlm", "where its workers find what they kept of it"
    assert desk.api.get("/ui/studies/vlm").status_code == 200
    desk.create(budget=5)
    assert desk.api.get("/studies/vlm").json()["budget"] == 5
    assert desk.api.get("/studies/vlm-2b").json()["budget"] == 8
    assert "another study is" in desk.refused(409, "vlm-2b", name="vlm")


def test_a_study_can_be_called_as_before_again(desk):
    desk.edit(name="other")
    desk.edit("other", name="vlm")
    assert desk.api.get("/studies/other").json()["name"] == "vlm"
    assert desk.changes() == [{"name": ["vlm", "other"]}, {"name": ["other", "vlm"]}]


def test_a_study_that_was_another_ones_evidence_still_is_under_its_new_name(desk):
    desk.run(coco=1.0)
    desk.create(name="next", evidence=[{"study": "vlm"}])
    desk.edit(name="vlm-2b")
    with desk.database.read() as session:
        assert list(evidence.named(session, "next").runs.channels) == ["study-vlm-2b"]


def test_a_clone_has_the_specification_and_no_trials(desk):
    desk.run(coco=1.0)
    desk.edit(domains=THREE[:2], lookahead=5)
    body = {"name": "copy", "budget": 4, "domains": THREE[:2]}
    made = desk.api.post("/studies/vlm/clone", json=body)
    assert made.status_code == 201
    assert [d["name"] for d in made.json()["domains"]] == ["coco", "lisa"]
    assert (made.json()["budget"], made.json()["lookahead"]) == (4, 5)
    assert desk.trials("copy") == []
    assert desk.api.post("/studies/vlm/clone", json=body).status_code == 200
    assert desk.api.post("/studies/vlm/clone", json={"name": "vlm"}).status_code == 409


def test_a_deleted_study_is_gone_with_all_that_it_had(desk):
    desk.run(coco=1.0)
    desk.turn()
    trial = desk.trials()[0]["id"]
    refused = desk.api.delete("/studies/vlm", params={"confirm": "vml"})
    assert refused.status_code == 422
    assert "called 'vlm'" in refused.text
    assert desk.api.delete("/studies/vlm", params={"confirm": "vlm"}).status_code == 204
    assert desk.api.get("/studies/vlm").status_code == 404
    assert desk.api.get(f"/trials/{trial}").status_code == 404
    assert desk.api.delete("/studies/vlm", params={"confirm": "vlm"}).status_code == 404


def test_a_study_with_a_running_trial_is_not_deleted(desk):
    desk.turn()
    leased = desk.api.post("/trials/next", json={"worker": "w", "study": "vlm"}).json()
    refused = desk.api.delete("/studies/vlm", params={"confirm": "vlm"})
    assert refused.status_code == 409
    assert "1 running trial: cancel" in refused.text
    desk.api.post(f"/trials/{leased['trial']['id']}/cancel")
    assert desk.api.delete("/studies/vlm", params={"confirm": "vlm"}).status_code == 204


def test_a_new_study_of_a_deleted_ones_name_knows_nothing_of_its_runs(desk):
    desk.run(coco=1.0)
    assert "the only mixture" in desk.api.get("/ui/studies/vlm").text.lower()
    desk.api.delete("/studies/vlm", params={"confirm": "vlm"})
    desk.create()
    desk.run(sat=1.0)
    assert desk.api.get("/studies/vlm/best").json()["train"]["mixture"]["sat"] == 1.0
    assert "coco 100" not in desk.api.get("/ui/studies/vlm").text


def test_an_archive_has_the_study_as_it_is_and_as_it_was_created(desk, new_database):
    desk.run(coco=1.0)
    desk.edit(domains=[{"name": "coco", "upper": 0.5}, *FOUR[1:]], name="vlm-2b")
    with desk.database.read() as session:
        kept = archive.dump(session, "vlm-2b")
    content = archive.Archive.model_validate(kept)
    spec = archive_checks.check(content, "imported")
    assert spec.domains[0].upper == 0.5
    with desk.database.write() as session:
        archive.load(session, content, spec.model_dump(mode="json"))
    assert desk.changes("imported") == desk.changes("vlm-2b")
    assert desk.api.post("/studies", json=study_body("imported")).status_code == 200


def moved(desk, name, to, **columns):
    """A study taken to another database as an archive, with other columns of its row."""
    with desk.database.read() as session:
        kept = archive.dump(session, name)
    kept["study"] |= columns
    content = archive.Archive.model_validate(kept)
    spec = archive_checks.check(content)
    with to.write() as session:
        archive.load(session, content, spec.model_dump(mode="json"))


def test_files_of_a_study_that_was_renamed_and_moved_are_found_as_before(desk, new_database):
    desk.edit(name="vlm-2b")
    there = Database(new_database())
    moved(desk, "vlm-2b", there)
    with there.read() as session:
        row = studies.get(session, "vlm-2b")
        assert (row.name, row.spec["name"]) == ("vlm-2b", "vlm")
    there.close()


def test_a_study_that_has_the_name_of_what_was_its_evidence_can_be_moved(desk, new_database):
    desk.create(name="new", evidence=[{"study": "vlm"}])
    desk.edit(study="new", evidence=[])
    assert desk.api.delete("/studies/vlm", params={"confirm": "vlm"}).status_code == 204
    desk.edit(study="new", name="vlm")
    there = Database(new_database())
    moved(desk, "vlm", there)
    there.close()


@pytest.mark.parametrize("columns", [{"channels": "full,step-2"}, {"early_stopping": True}])
def test_an_archive_whose_columns_and_specification_do_not_go_together_is_refused(desk, columns):
    recipe = study_body()["recipe"] | {"command": {"script": "train", "schedules": True}}
    desk.create(name="phased", search={"schedule": {"phases": 2}}, recipe=recipe)
    with pytest.raises(ValueError, match=r"search\.schedule"):
        moved(desk, "phased", desk.database, **columns)


def test_an_archive_of_before_there_were_edits_is_taken(desk):
    with desk.database.read() as session:
        kept = archive.dump(session, "vlm")
    kept["version"] = 7
    for column in archive.EDITED:
        del kept["study"][column]
    content = archive.Archive.model_validate(kept)
    spec = archive_checks.check(content, "imported")
    with desk.database.write() as session:
        archive.load(session, content, spec.model_dump(mode="json"))
    assert desk.changes("imported") == []


def test_how_alike_domains_are_may_be_said_changed_and_taken_back(desk):
    desk.edit(domains=FOUR)
    changed = desk.edit(similarity={"coco": {"geo": 0.9}})
    assert changed["similarity"] == {"coco": {"geo": 0.9}}
    assert desk.known().space.similarity.matrix[0, 3] == 0.9
    assert desk.changes()[-1] == {"similarity.coco": [None, {"geo": 0.9}]}
    desk.edit(similarity={"coco": {"geo": 0.5}})
    assert desk.changes()[-1] == {"similarity.coco.geo": [0.9, 0.5]}
    assert desk.edit(similarity={})["similarity"] == {}
    assert desk.known().space.similarity is None


@pytest.mark.parametrize(
    ("similarity", "said"),
    [
        ({"coco": {"geo": 0.9}}, "similarity names unknown domain 'geo'"),
        ({"coco": {"lisa": 0.9}, "lisa": {"coco": 0.8}}, "said twice, as 0.9 and 0.8"),
        ({"coco": {"lisa": 1.2}}, "similarity.coco.lisa"),
    ],
)
def test_a_similarity_that_cannot_be_is_refused(desk, similarity, said):
    assert said in desk.refused(similarity=similarity)


def pairs_of(study):
    """How alike its domains are, whichever of two a pair stands under."""
    return {
        frozenset((one, other)): value
        for one, others in study["similarity"].items()
        for other, value in others.items()
    }


def test_a_similarity_follows_domains_that_are_split_merged_or_left_out_of_a_clone(desk):
    desk.edit(similarity={"coco": {"lisa": 0.8, "sat": 0.2}})
    changed = desk.edit(spread={"coco": {"indoor": 0.5, "outdoor": 0.5}})
    assert changed["similarity"] == {
        "indoor": {"lisa": 0.8, "sat": 0.2},
        "outdoor": {"lisa": 0.8, "sat": 0.2},
    }
    changed = desk.edit(spread={"indoor": {"coco": 1.0}, "lisa": {"coco": 1.0}})
    assert pairs_of(changed) == {
        frozenset(("coco", "sat")): 0.2,
        frozenset(("coco", "outdoor")): 0.8,
        frozenset(("outdoor", "sat")): 0.2,
    }
    body = {"name": "two", "domains": [{"name": "coco"}, {"name": "sat"}]}
    made = desk.api.post("/studies/vlm/clone", json=body)
    assert pairs_of(made.json()) == {frozenset(("coco", "sat")): 0.2}


def test_a_similarity_is_in_archives(desk):
    desk.edit(similarity={"coco": {"lisa": 0.8}})
    with desk.database.read() as session:
        kept = archive.dump(session, "vlm")
    spec = archive_checks.check(archive.Archive.model_validate(kept))
    assert spec.similarity == {"coco": {"lisa": 0.8}}


def test_proposals_are_made_anew_where_domains_are_said_to_be_alike(desk):
    desk.turn()
    before = {trial["number"] for trial in desk.trials(state="queued")}
    desk.edit(similarity={"coco": {"lisa": 0.8}})
    assert before
    assert desk.turn()


def test_a_key_knows_its_body_again_after_a_domain_came(desk):
    desk.create(name="open", recipe={})
    changing = [{"share": 0.5, "mixture": {name: 1.0}} for name in ("coco", "sat")]
    bodies = [{"mixture": {"coco": 0.5, "lisa": 0.5}}, {"schedule": changing}]

    def sent(number):
        headers = {"Idempotency-Key": f"mine-{number}"}
        answer = desk.api.post("/studies/open/trials", json=bodies[number], headers=headers)
        return answer.status_code, answer.json().get("id")

    first = [sent(number) for number in (0, 1)]
    desk.edit("open", domains=FOUR)
    assert [sent(number) for number in (0, 1)] == [(200, trial) for _, trial in first]
    bodies[0]["mixture"] = {"coco": 0.5, "geo": 0.5}
    assert sent(0)[0] == 409
