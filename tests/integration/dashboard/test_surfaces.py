"""Surrogates in detail: where they are looked at, and what is drawn of it."""

from __future__ import annotations

import numpy as np
import pytest

from service.dashboard.charts import slices
from service.dashboard.charts import surfaces as surface_charts
from service.schemas import FitPoint, StudySpec
from service.search.limits import LinearLimit
from service.search.space import MixtureSpace
from tests.support.dashboard import DOMAINS, body, create, finish, page, store

BEST = np.array([0.4, 0.3, 0.2, 0.1, 0.0])


def space_of(*limits: LinearLimit, least: float = 0.0) -> MixtureSpace:
    m = len(DOMAINS)
    return MixtureSpace(DOMAINS, np.zeros(m), np.ones(m), limits, None, np.full(m, least))


def test_a_slice_goes_through_the_best_run_and_keeps_the_others_in_proportion():
    coco = slices.slices(space_of(), BEST)[0]
    assert any(np.allclose(x, BEST) for x in coco.mixtures)
    assert coco.mixtures[:, 0].tolist() == sorted(coco.mixtures[:, 0])
    inner = coco.mixtures[coco.mixtures[:, 0] < 0.99]
    assert np.allclose(inner[:, 1] / inner[:, 2], 1.5)
    assert np.allclose(coco.mixtures.sum(axis=1), 1.0)


def test_slices_and_triangles_keep_to_what_the_study_allows():
    space = space_of(LinearLimit({"coco": 1.0}, 0.5, "coco <= 0.5"))
    for part in slices.slices(space, BEST):
        assert space.contains(part.mixtures, 1e-6).all()
    assert slices.slices(space, BEST)[0].mixtures[:, 0].max() == pytest.approx(0.5)
    triangle = slices.triangle(space, BEST, [0, 1, 2])
    assert 0 < len(triangle) < 231
    assert triangle[:, 0].max() <= 0.5 + 1e-9


def test_a_triangle_shares_what_its_domains_have_in_the_best_run():
    triangle = slices.triangle(space_of(), BEST, [0, 1, 3])
    assert len(triangle) == 231
    assert np.allclose(triangle[:, [0, 1, 3]].sum(axis=1), 0.8)
    assert np.allclose(triangle[:, 2], 0.2)
    assert len(slices.triangle(space_of(), np.array([0, 0, 0, 0.5, 0.5]), [0, 1, 2])) == 0


def test_one_domain_is_a_slice_of_one_mixture():
    space = MixtureSpace(("coco",), np.zeros(1), np.ones(1), (), None, np.zeros(1))
    (only,) = slices.slices(space, np.ones(1))
    assert only.mixtures.tolist() == [[1.0]]


def test_a_band_has_a_gap_where_the_study_allows_nothing():
    space = space_of(least=0.25)
    best = np.array([0.5, 0.5, 0.0, 0.0, 0.0])
    part = slices.slices(space, best)[0]
    found = surface_charts.Predicted(np.full(len(part.steps), 0.4), np.full(len(part.steps), 0.01))
    study = StudySpec.model_validate(body())
    band, curve, dot = surface_charts.slice_curves(study, best, [(part, found)])["data"]
    # 0% (then lisa has all), 25% to 75%, and 100%.
    assert curve["x"].count(None) == 3
    assert [x for x in curve["x"] if x is not None and 0 < x < 25] == []
    assert max(y for y in band["y"] if y is not None) == pytest.approx(41.96, abs=0.001)
    assert dot["x"] == [50.0]


def test_residuals_tell_runs_outside_their_interval_apart():
    points = [
        FitPoint(trial=n, number=n, actual=actual, se=0.01, mean=0.3, sd=0.02)
        for n, actual in ((1, 0.31), (2, 0.4))
    ]
    inside, outside = surface_charts.residuals(StudySpec.model_validate(body()), points)["data"]
    assert (inside["ids"], inside["y"]) == (["1"], [1.0])
    assert (outside["ids"], outside["y"]) == (["2"], [10.0])


@pytest.mark.parametrize("surrogate", ["bayes-quadratic", "gp"])
def test_what_is_drawn_is_what_the_api_predicts(api, database, surrogate):
    study = store(database, 14)
    asked = {"corner": ["coco", "lisa", "scienceqa"]}
    answer = api.get(f"/ui/studies/{study}/surfaces/{surrogate}", params=asked).json()
    assert set(answer["figures"]) == {"slices", "residuals", "mean", "sd"}
    curve = next(t for t in answer["figures"]["slices"]["data"] if t.get("name") == "coco")
    alone = {"mixtures": [{"coco": 1.0}]}
    own = api.post(f"/studies/{study}/surrogates/{surrogate}/predict", json=alone).json()
    assert curve["y"][curve["x"].index(100.0)] == pytest.approx(
        100 * own["predictions"][0]["mean"], abs=0.01
    )
    spread = answer["figures"]["sd"]["data"][0]["marker"]["color"]
    assert min(spread) > 0
    refused = api.get(f"/ui/studies/{study}/surfaces/gp", params={"corner": ["coco", "mars"]})
    assert refused.status_code == 422


@pytest.mark.parametrize("runs", [0, 1])
def test_with_too_few_runs_the_reason_is_said(api, runs):
    study = create(api)
    for _ in range(runs):
        finish(api, study, [0.2] * 5, 0.3)
    answer = api.get(f"/ui/studies/{study}/surfaces/gp").json()
    assert answer["figures"] == {}
    assert "completed run" in answer["trouble"]
    page(api, f"/ui/studies/{study}/surfaces")
    assert api.get("/ui/studies/nothing/surfaces").status_code == 404
    assert api.get(f"/ui/studies/{study}/surfaces/oracle").status_code == 404
