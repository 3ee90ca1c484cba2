"""Experts' weights: fetched once, kept for the next merged model, and never the wrong ones."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from service.schemas import Expert
from trainer.recipe import Recipe
from trainer.storage.experts import Experts
from trainer.storage.remote import Store
from trainer.storage.work_folder import WorkFolder

RECIPE = Recipe(steps=24)


@pytest.fixture
def store(tmp_path):
    return Store(f"{tmp_path}/store")


def finished(store, tmp_path, trial, domain, *, recipe=RECIPE, study="vlm", mixture=None) -> Expert:
    """Puts a finished run into the store."""
    run = tmp_path / f"run-{trial}"
    (run / "model").mkdir(parents=True)
    (run / "model/model.safetensors").write_bytes(b"weights of %d" % trial)
    (run / "responses").mkdir()
    (run / "responses/many.parquet").write_bytes(b"not wanted")
    identity = {
        "mixture": mixture or {domain: 1.0},
        "seed": 5,
        "recipe": recipe.model_dump(mode="json", exclude={"speed"}),
    }
    (run / "run.json").write_text(json.dumps(identity))
    stored = store.of(study, trial)
    stored.put_final(run, 24)
    return Expert(domain=domain, trial=trial, run=stored.final, steps=24)


def fetched(store, folder, *experts, recipe=RECIPE, **more) -> Experts:
    found = Experts(store, folder, **more)
    found.fetch(experts, recipe)
    found.join(30)
    assert not found.is_busy
    return found


def test_weights_are_fetched_and_nothing_else_of_the_run(store, tmp_path):
    coco, sat = (finished(store, tmp_path, n, name) for n, name in ((3, "coco"), (4, "sat")))
    found = fetched(store, tmp_path / "experts/a", coco, sat)
    assert found.trouble is None
    assert [(one.domain, one.steps) for one in found.weights] == [("coco", 24), ("sat", 24)]
    names = sorted(path.name for path in (tmp_path / "experts").rglob("*") if path.is_file())
    assert names == ["model.safetensors", "model.safetensors", "run.json", "run.json"]
    assert (found.weights[1].folder / "model.safetensors").read_bytes() == b"weights of 4"


def test_they_are_fetched_once_and_those_of_other_studies_go(store, tmp_path):
    coco = finished(store, tmp_path, 3, "coco")
    fetched(store, tmp_path / "experts/a", coco)
    store.of("vlm", 3)._remove(f"{store.of('vlm', 3).place}/final")
    assert fetched(store, tmp_path / "experts/a", coco).trouble is None
    other = finished(store, tmp_path, 9, "coco", study="other")
    fetched(store, tmp_path / "experts/b", other)
    assert [path.name for path in (tmp_path / "experts").iterdir()] == ["b"]


def test_an_expert_is_found_where_it_was_put_also_after_its_study_was_renamed(store, tmp_path):
    found = fetched(store, tmp_path / "e/a", finished(store, tmp_path, 3, "sat", study="old-name"))
    assert found.trouble is None


def test_an_expert_that_is_not_there_yet_is_left_to_a_later_try(store, tmp_path):
    expert = Expert(domain="sat", trial=3, run=store.of("vlm", 3).final, steps=24)
    found = fetched(store, tmp_path / "e/a", expert)
    assert found.trouble is not None
    assert "the expert of 'sat'" in found.trouble
    assert "is not in the store, or not yet" in found.trouble
    assert not found.is_wrong


@pytest.mark.parametrize("url", ["s3://elsewhere/vlm/trial-3/final", "/etc/final", "{}/../x/final"])
def test_what_is_in_another_store_is_not_looked_at(store, tmp_path, url):
    run = url.format(store.of("vlm", 3).place)
    found = fetched(store, tmp_path / "e/a", Expert(domain="sat", trial=3, run=run, steps=24))
    assert found.trouble is not None
    assert "is in another store than this worker's" in found.trouble
    assert not found.is_wrong


def test_a_damaged_expert_is_not_taken(store, tmp_path):
    expert = finished(store, tmp_path, 3, "sat")
    Path(f"{store.of('vlm', 3).place}/final/model/model.safetensors").write_bytes(b"weights of 4")
    found = fetched(store, tmp_path / "e/a", expert)
    assert found.trouble is not None
    assert "is damaged in the store: model/model.safetensors" in found.trouble
    assert found.weights == ()


def test_runs_of_other_recipes_or_mixtures_are_refused_for_good(store, tmp_path):
    longer = finished(store, tmp_path, 3, "sat", recipe=Recipe(steps=48))
    found = fetched(store, tmp_path / "e/a", longer)
    assert found.is_wrong
    assert "is of another recipe: steps is 48 there and 24 here" in str(found.trouble)
    other = finished(store, tmp_path, 4, "sat", mixture={"coco": 0.1, "sat": 0.9})
    found = fetched(store, tmp_path / "e/a", other)
    assert found.is_wrong
    assert "was trained on coco, sat" in str(found.trouble)


def with_data(**domains) -> Recipe:
    data = {"domains": domains, "benchmarks": {"chart": "data/chart"}}
    return Recipe.parse({"steps": 24, "data": data}, is_here=False)


def test_an_expert_outlives_changes_of_its_study(store, tmp_path):
    before = with_data(coco="data/coco", sat="data/sat")
    sat = finished(store, tmp_path, 3, "sat", recipe=before)
    more = with_data(coco="data/coco", sat="data/sat", geo="data/geo")
    assert fetched(store, tmp_path / "e/a", sat, recipe=more).trouble is None
    renamed = finished(store, tmp_path, 4, "rooms", recipe=before, mixture={"sat": 1.0})
    other = with_data(coco="data/coco", rooms="data/rooms")
    assert fetched(store, tmp_path / "e/a", renamed, recipe=other).trouble is None
    moved = with_data(coco="data/coco", sat="data/others")
    found = fetched(store, tmp_path / "e/a", sat, recipe=moved)
    assert found.is_wrong
    assert "data is data/sat there and data/others here" in str(found.trouble)


def test_how_fast_an_expert_was_computed_does_not_matter(store, tmp_path):
    expert = finished(store, tmp_path, 3, "sat")
    recipe = Recipe.parse({"steps": 24, "speed": {"pictures_once": False}})
    assert fetched(store, tmp_path / "e/a", expert, recipe=recipe).trouble is None


def test_where_there_is_no_room_nothing_is_fetched(store, tmp_path, monkeypatch):
    expert = finished(store, tmp_path, 3, "sat")
    asked = []
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    found = fetched(
        store, tmp_path / "e/a", expert, make_room=lambda wanted: asked.append(wanted) or 10
    )
    assert "no room for the experts' weights: they need 1.0 GB" in str(found.trouble)
    assert (len(asked), list((tmp_path / "e/a").iterdir())) == (1, [])


def test_an_idle_worker_that_needs_room_gives_experts_up_last(tmp_path):
    folder = WorkFolder(tmp_path)
    (folder.experts / "a").mkdir(parents=True)
    folder.make_room(0, is_idle=True)
    assert folder.experts.is_dir()
    folder.make_room(2**62)
    assert folder.experts.is_dir()
    folder.make_room(2**62, is_idle=True)
    assert not folder.experts.exists()
    folder.close()
