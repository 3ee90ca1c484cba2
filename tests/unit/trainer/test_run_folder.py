"""Which run a folder belongs to."""

from __future__ import annotations

import pytest

from trainer.job import Job
from trainer.recipe import Recipe
from trainer.storage.run_folder import FolderTaken, RunFolder


def job(**recipe) -> Job:
    return Job({"sat": 1.0}, Recipe.parse(recipe), seed=3)


def test_a_run_goes_on_in_its_folder_however_fast_it_is_computed(tmp_path):
    RunFolder(tmp_path).claim(job(), seed=3)
    RunFolder(tmp_path).claim(job(speed={"features": False, "compiled": False}), seed=3)
    with pytest.raises(FolderTaken, match=r"recipe\.evaluation\.max_tokens is None there and 5"):
        RunFolder(tmp_path).claim(job(evaluation={"max_tokens": 5}), seed=3)


def test_a_run_goes_on_where_its_recipe_has_data_of_more_domains(tmp_path):
    def with_data(**domains: str) -> Job:
        found = job(data={"domains": domains, "benchmarks": {"chart": "data/chart"}})
        assert found.recipe.data is not None
        return found

    RunFolder(tmp_path).claim(with_data(sat="data/sat", coco="data/coco"), seed=3)
    RunFolder(tmp_path).claim(with_data(sat="data/sat", geo="data/geo"), seed=3)
    with pytest.raises(FolderTaken, match=r"domains\.sat is data/sat there and data/other here"):
        RunFolder(tmp_path).claim(with_data(sat="data/other"), seed=3)


@pytest.mark.parametrize("text", ["", "[1]", "{}", '{"recipe": 3}', '{"recipe": {"data": 3}}'])
def test_a_file_that_does_not_say_which_run_it_is_of_is_no_run_and_no_trouble(tmp_path, text):
    (tmp_path / "run.json").write_text(text)
    assert RunFolder(tmp_path).differs_in(job(), seed=3) == "its run.json does not say which"
    with pytest.raises(FolderTaken, match=r"holds another run: its run\.json does not say which"):
        RunFolder(tmp_path).claim(job(), seed=3)
