"""Studies that were stored by an earlier release, whose specification lacks what came later."""

from __future__ import annotations

import pytest
from pydantic import BaseModel
from sqlalchemy import JSON, select, type_coerce, update

from db import archive, models, proposal_needs, specs, studies, trials
from db.errors import StudyExists
from db.trials import NewTrial
from service import schemas
from service.schemas import StudySpec
from service.study import archive_checks, views
from tests.support.bodies import study_body

PARTS = {
    "domains": schemas.DomainSpec,
    "objective": schemas.Objective,
    "limits": schemas.LimitSpec,
    "reach": schemas.Reach,
    "heuristics": schemas.HeuristicsSpec,
    "evidence": schemas.EvidenceSpec,
    "search": schemas.SearchSpec,
    "requires": schemas.RequiresSpec,
    "baseline": schemas.Measurement,
}
FULL = study_body(
    domains=[{"name": "coco", "samples": 10, "upper": 0.5}, {"name": "lisa"}, {"name": "sat"}],
    limits=[{"weights": {"coco": 1.0}, "at_most": 0.9}],
    reach={"steps": 10, "prompts_per_step": 2},
    evidence=[{"study": "earlier"}],
    baseline=[{"benchmark": "chart", "score": 0.5, "samples": 100}],
)


def body(**changes):
    return StudySpec.model_validate(FULL | changes).model_dump(mode="json")


def as_first_released():
    """The fields of the first release alone."""
    old = body(limits=[], reach=None, constraints=[])
    later = ("limits", "max_active", "reach", "opening", "heuristics", "objectives", "constraints")
    for name in later:
        del old[name]
    for domain in old["domains"]:
        del domain["zero_or_at_least"]
    return old


def without_defaults():
    """Nothing but what a study must say."""
    return {key: FULL[key] for key in ("name", "domains", "benchmarks")}


SHAPES = {"as first released": as_first_released, "without any default": without_defaults}


@pytest.fixture(params=SHAPES)
def old(request, database):
    """The body of a study as it stands in the database."""
    shape = SHAPES[request.param]()
    stored(database, shape)
    return shape


def stored(database, spec):
    """A study whose row holds this specification, whatever is missing."""
    with database.write() as session:
        studies.create(session, body(), "user")
    with database.write() as session:
        raw = type_coerce(models.Study.spec, JSON)
        session.execute(update(models.Study).values({models.Study.spec: spec}))
        assert session.scalar(select(raw)) == spec


def defaults(model: type[BaseModel]):
    made = {
        name: field.get_default(call_default_factory=True)
        for name, field in model.model_fields.items()
        if not field.is_required()
    }
    return {
        name: value.model_dump(mode="json") if isinstance(value, BaseModel) else value
        for name, value in made.items()
    }


def test_the_storage_knows_every_field_that_a_study_may_leave_out():
    absent = specs.complete({}) | {"name": "vlm"}
    assert absent == defaults(StudySpec) | {"name": "vlm"}
    for name, model in PARTS.items():
        assert specs.ABSENT_IN[name] == defaults(model), name
    parts = {
        name
        for name, value in StudySpec.model_validate(FULL).model_dump().items()
        if isinstance(value, dict)
        or (isinstance(value, list) and value and isinstance(value[0], dict))
    }
    assert parts - {"recipe", "benchmarks", "similarity"} == set(PARTS)
    assert defaults(schemas.BenchmarkSpec) == {}


def test_a_complete_specification_stays_as_it_is():
    assert specs.complete(body()) == body()


def test_an_older_study_is_read_with_what_came_later(old, database):
    with database.read() as session:
        row = studies.get(session, "vlm")
        assert row.spec == StudySpec.model_validate(old).model_dump(mode="json")
        assert views.study(row, {}).opening == "optimal"
        assert proposal_needs.standing(session, row).lookahead == 2


def test_an_older_study_takes_trials(old, database):
    with database.write() as session:
        study = studies.get(session, "vlm")
        trial, _ = trials.add(session, study, NewTrial({"coco": 1.0}, "queued"), "user")
        assert trial.seed == trials.training_seed(0, 1)


def test_an_older_study_is_the_same_as_its_body_sent_again(old, database):
    again = StudySpec.model_validate(old).model_dump(mode="json")
    with database.write() as session:
        assert not studies.create(session, again, "user")[1]
        with pytest.raises(StudyExists, match="another opening"):
            studies.create(session, again | {"opening": "seeds"}, "user")


def test_an_older_study_is_archived_whole(old, database):
    with database.read() as session:
        kept = archive.dump(session, "vlm")
    checked = archive_checks.check(archive.Archive.model_validate(kept))
    assert checked == StudySpec.model_validate(old)


@pytest.mark.parametrize("field", sorted(specs.ABSENT))
def test_whichever_field_a_stored_study_lacks_it_can_be_read(field, database):
    spec = body()
    del spec[field]
    stored(database, spec)
    with database.read() as session:
        views.study(studies.get(session, "vlm"), {})
