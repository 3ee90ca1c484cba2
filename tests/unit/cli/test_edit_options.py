"""Options of `study edit`: from what is typed to the fields of the call."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from modomodo.edit_options import EditOptions
from modomodo.errors import CommandFailed, WrongUse
from service.notation.requirements import read, written
from service.schemas import RequiresSpec, Scores, Study, StudyPatch
from tests.support.bodies import study_body


def study(**changes):
    now = datetime.now(UTC)
    stored = {"state": "active", "created_at": now, "updated_at": now, "trials": {}}
    stored |= {"planned": 8, "gpu_hours_used": 0.0}
    stored["baseline_scores"] = Scores(objective=None, in_score=None, out_score=None)
    return Study.model_validate(study_body(**changes) | stored)


def body(of=None, **options):
    found = EditOptions(**options).body(of or study())
    StudyPatch.model_validate(found)
    return found


def test_fields_that_were_not_given_are_not_sent():
    assert body(fields={"budget": 9, "note": None}) == {"budget": 9}
    assert not EditOptions(fields={"budget": None}).is_any
    assert EditOptions(fields={"note": ""}).is_any


def test_what_the_search_may_spend_on_changes_by_its_parts():
    of = study(search={"channels": ["full", "merged"]})
    assert body(of, early_stopping=True)["search"] == {
        "channels": ["full", "merged"],
        "early_stopping": True,
        "schedule": None,
    }
    assert body(of, channels="full, step-500")["search"]["channels"] == ["full", "step-500"]
    assert EditOptions(early_stopping=False).is_any


def test_bounds_of_one_domain_leave_the_others_as_they_are():
    of = study(domains=[{"name": "coco", "upper": 0.7}, {"name": "lisa", "samples": 5}])
    found = body(of, bounds=["coco=0.1:0.5"], least=["lisa=0.05"], samples=["lisa=10"])
    assert [(d["name"], d["samples"], d["lower"], d["upper"]) for d in found["domains"]] == [
        ("coco", None, 0.1, 0.5),
        ("lisa", 10, 0.0, 1.0),
    ]
    assert found["domains"][1]["zero_or_at_least"] == 0.05


def test_domains_are_added_and_dropped():
    found = body(add=["geo"], drop=["sat"], bounds=["geo=:0.2"])
    assert [d["name"] for d in found["domains"]] == ["coco", "lisa", "geo"]
    assert found["domains"][2] == {"name": "geo", "lower": 0.0, "upper": 0.2}


def test_domains_are_split_and_merged():
    assert body(split=["coco=indoor:0.6, outdoor:0.4"], merge=["street=lisa,sat"])["spread"] == {
        "coco": {"indoor": 0.6, "outdoor": 0.4},
        "lisa": {"street": 1.0},
        "sat": {"street": 1.0},
    }


def test_parts_of_a_split_domain_may_get_bounds_at_once():
    found = body(split=["coco=indoor:0.6,outdoor:0.4"], bounds=["indoor=0:0.3"])
    assert [d["name"] for d in found["domains"]] == ["lisa", "sat", "indoor", "outdoor"]


def test_limits_may_name_a_domain_that_comes_with_them():
    (limit,) = body(add=["geo"], limits=["coco - geo >= 0.1"])["limits"]
    assert limit == {"weights": {"coco": 1.0, "geo": -1.0}, "at_least": 0.1}


def test_an_objective_of_ones_own_has_weights():
    found = body(objective="ours", weigh=["chart=2", "info=1"])["objective"]
    assert (found["name"], found["weights"]) == ("ours", {"chart": 2.0, "info": 1.0})
    assert body(objective="in_score")["objective"]["weights"] is None


def test_a_new_domains_folder_goes_into_the_recipes_data():
    data = {"domains": {"coco": "data/coco"}, "benchmarks": {}}
    found = body(study(recipe={"steps": 3, "data": data}), data=["geo=data/geo"])
    assert found["recipe"]["data"]["domains"] == {"coco": "data/coco", "geo": "data/geo"}
    assert found["recipe"]["steps"] == 3


def test_what_is_taken_away_is_named():
    assert body(without=["limits", "gpu-hours"]) == {"limits": [], "remove": ["gpu_hours"]}
    assert body(without=["similarity"]) == {"similarity": {}}


def test_how_alike_domains_are_comes_from_a_file(tmp_path):
    (tmp_path / "alike.yaml").write_text("similarity:\n  coco: {lisa: 0.9}\n")
    found = body(similarity=tmp_path / "alike.yaml")
    assert found == {"similarity": {"coco": {"lisa": 0.9}}}
    assert EditOptions(similarity=tmp_path / "alike.yaml").is_any


def test_a_file_that_says_nothing_of_pairs_is_refused_by_its_name(tmp_path):
    (tmp_path / "alike.yaml").write_text("coco: 0.5")
    for name, said in (("alike.yaml", "pairs of domains"), ("none.yaml", "No such file")):
        with pytest.raises(CommandFailed, match=said) as refused:
            body(similarity=tmp_path / name)
        assert name in str(refused.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"bounds": ["geo=0:1"]}, "unknown domain (it has coco, lisa, sat)"),
        ({"bounds": ["coco"]}, "is not of the form name=value"),
        ({"bounds": ["coco=0.5"]}, "is not of the form coco=0.1:0.5"),
        ({"bounds": ["coco=a:b"]}, "'a' is not a number"),
        ({"drop": ["geo"]}, "unknown domain"),
        ({"limits": ["coco"]}, "is not of the form"),
        ({"split": ["coco=indoor:x"]}, "'x' is not a number"),
        ({"data": ["geo=data"]}, "the study's recipe names no prepared data"),
        (
            {"without": ["budget"]},
            "is not one of limits, floors, objectives, requires, similarity, gpu-hours",
        ),
    ],
)
def test_options_that_cannot_be_read_are_refused(options, said):
    with pytest.raises(WrongUse) as refused:
        body(**options)
    assert said in str(refused.value)


def test_floors_and_objectives_are_as_a_file_of_a_study_has_them():
    found = body(floors=["chartqa >= uniform - 0.02", "lisa_test>=0.4"], floor_probability=0.8)
    assert found["constraints"] == [
        {"benchmark": "chartqa", "at_least": "uniform - 0.02", "probability": 0.8},
        {"benchmark": "lisa_test", "at_least": 0.4, "probability": 0.8},
    ]
    assert body(objectives="out_score, in_score") == {"objectives": ["out_score", "in_score"]}
    gone = body(without=["floors", "objectives", "reach"])
    assert gone == {"constraints": [], "objectives": [], "remove": ["reach"]}


@pytest.mark.parametrize(
    "options",
    [{"floors": ["chartqa"]}, {"floors": ["chartqa >= high"]}, {"floor_probability": 0.8}],
    ids=["no level", "a level that is none", "a probability of nothing"],
)
def test_a_floor_that_cannot_be_read_is_refused(options):
    with pytest.raises(WrongUse, match="--floor"):
        body(**options)


def test_weight_and_requirements_are_sent_as_the_service_takes_them():
    found = body(fields={"weight": 2.0}, requires=["gpus=4", "gpu_memory_gb = 80", "label:pool=a"])
    assert found == {
        "weight": 2.0,
        "requires": {"gpus": 4, "gpu_memory_gb": 80.0, "labels": {"pool": "a"}},
    }
    assert body(without=["requires"]) == {"requires": {}}


@pytest.mark.parametrize(
    "text",
    ["gpu=4", "gpus", "gpus=", "gpus=four", "gpus=1.5", "pool=a", "label:=a", "label:pool=", ""],
)
def test_what_is_no_requirement_is_refused_with_what_one_is(text):
    with pytest.raises(WrongUse, match="--requires"):
        body(requires=[text])


def test_what_is_required_twice_is_refused():
    with pytest.raises(WrongUse, match="gpus is required twice"):
        body(requires=["gpus=4", "gpus=2"])


def test_requirements_are_written_as_they_are_read():
    texts = ["gpus=4", "gpu_memory_gb=80", "label:pool=a=b", "label:rack=7"]
    assert written(RequiresSpec.model_validate(read(texts)).model_dump()) == texts
    assert written(RequiresSpec().model_dump()) == []
