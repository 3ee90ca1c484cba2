"""The best mixture in other trainers' own options, read as those trainers read them.

TRL is installed and reads its file here. verl, EasyR1 and ms-swift are not: their keys are held
against those of their documented configurations.
"""

from __future__ import annotations

import importlib.util
import json
import sys
import types
from collections import Counter
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from modomodo.cli import app
from tests.support.dashboard import create, finish, page

MIXTURE = {"coco": 0.5, "lisa": 0.3, "sat": 0.2}
DOMAINS = ["coco", "lisa", "none", "sat"]


@pytest.fixture
def study(api) -> str:
    name = create(api, domains=DOMAINS)
    finish(api, name, [MIXTURE.get(domain, 0.0) for domain in DOMAINS], 0.4)
    return name


def exported(api, study, trainer) -> str:
    answer = api.get(f"/studies/{study}/export", params={"format": "yaml", "trainer": trainer})
    assert answer.status_code == 200, answer.text
    assert f"{study}-{trainer}.yaml" in answer.headers["content-disposition"]
    return answer.text


def test_trl_loads_the_datasets_in_the_shares_of_the_mixture(api, study, tmp_path, monkeypatch):
    from trl import DatasetMixtureConfig, TrlParser, get_dataset

    (tmp_path / "mixture.yaml").write_text(exported(api, study, "trl"))
    for domain in MIXTURE:
        (tmp_path / "data" / domain).mkdir(parents=True)
        rows = "".join(json.dumps({"prompt": f"{domain} {n}"}) + "\n" for n in range(60))
        (tmp_path / "data" / domain / "train.jsonl").write_text(rows)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    parser = TrlParser(DatasetMixtureConfig)
    (config,) = parser.parse_args_and_config(["--config", "mixture.yaml"])
    rows = get_dataset(config)["train"]["prompt"]
    taken = Counter(row.split()[0] for row in rows)
    assert taken == {"coco": 60, "lisa": 36, "sat": 24}


def test_ms_swift_interleaves_datasets_with_the_weights_as_probabilities(api, study):
    found = yaml.safe_load(exported(api, study, "ms-swift"))
    assert found == {
        "dataset": ["data/coco", "data/lisa", "data/sat"],
        "interleave_prob": [0.5, 0.3, 0.2],
        "stopping_strategy": "first_exhausted",
    }


def test_easyr1_reads_one_file_in_its_own_order(api, study):
    number = api.get(f"/studies/{study}/best").json()["best"]["number"]
    found = yaml.safe_load(exported(api, study, "easyr1"))
    file = f"data/{study}-trial-{number}.parquet"
    assert found == {"data": {"train_files": file, "shuffle": False}}


def test_verl_draws_by_the_weights_with_the_sampler_of_the_docs(api, study, monkeypatch):
    found = yaml.safe_load(exported(api, study, "verl"))
    assert found["defaults"] == ["ppo_trainer", "_self_"]
    data = found["data"]
    assert data["dataloader_num_workers"] == 0
    assert data["train_files"] == [f"data/{domain}/train.parquet" for domain in MIXTURE]
    plenty = rows_of(coco=500, lisa=500, sat=500)
    sampler = verl_sampler(monkeypatch)(plenty, data)
    assert len(set(sampler)) == len(sampler), "no row twice"
    share = Counter(DOMAIN_OF[row] for row in sampler)
    for domain, weight in MIXTURE.items():
        assert share[domain] / len(sampler) == pytest.approx(weight, abs=0.06)
    assert list(sampler) == list(
        verl_sampler(monkeypatch)(rows_of(coco=500, lisa=500, sat=500), data)
    )
    with pytest.raises(ValueError, match="no row has data_source 'sat'"):
        verl_sampler(monkeypatch)(rows_of(coco=5, lisa=5), data)


DOMAIN_OF: list[str] = []


def rows_of(**sizes: int) -> types.SimpleNamespace:
    """As much of verl's dataset as a sampler looks at."""
    DOMAIN_OF[:] = [domain for domain, n in sizes.items() for _ in range(n)]
    return types.SimpleNamespace(dataframe={"data_source": list(DOMAIN_OF)})


def verl_sampler(monkeypatch):
    """The class in `docs/how-to/verl_sampler.py`, with torch's base class for verl's."""
    from torch.utils.data import Sampler

    module = types.ModuleType("verl.experimental.dataset.sampler")
    module.AbstractSampler = Sampler
    monkeypatch.setitem(sys.modules, module.__name__, module)
    file = Path(__file__).parents[2] / "docs/how-to/verl_sampler.py"
    spec = importlib.util.spec_from_file_location("verl_sampler", file)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found.MixtureSampler


SCHEDULE = [
    {"share": 0.25, "mixture": {"coco": 1.0}},
    {"share": 0.75, "mixture": {"coco": 0.2, "sat": 0.8}},
]


@pytest.fixture
def scheduled(api) -> str:
    """A study's trial 1, which has a schedule of 4 and 12 steps with 10 prompts each."""
    recipe = {"steps": 16, "prompts_per_step": 10}
    name = create(api, domains=DOMAINS, recipe=recipe, name="phased")
    added = api.post(f"/studies/{name}/trials", json={"schedule": SCHEDULE})
    assert added.status_code == 201, added.text
    return f"/studies/{name}/export?format=yaml&trial={added.json()['number']}"


def test_verl_draws_by_the_weights_of_each_phase_with_the_sampler_of_the_docs(
    api, scheduled, monkeypatch
):
    data = yaml.safe_load(api.get(f"{scheduled}&trainer=verl").text)["data"]
    assert data["train_files"] == ["data/coco/train.parquet", "data/sat/train.parquet"]
    assert data["sampler"]["phases"] == [
        {"prompts": 40, "weights": {"coco": 1.0}},
        {"prompts": 120, "weights": {"coco": 0.2, "sat": 0.8}},
    ]
    order = list(verl_sampler(monkeypatch)(rows_of(coco=200, sat=200), data))
    assert len(set(order)) == len(order) == 160
    drawn = [DOMAIN_OF[row] for row in order]
    assert set(drawn[:40]) == {"coco"}
    assert drawn[40:].count("sat") / 120 == pytest.approx(0.8, abs=0.12)
    short = list(verl_sampler(monkeypatch)(rows_of(coco=200, sat=5), data))
    assert [DOMAIN_OF[row] for row in short].count("sat") == 5, "it ends where one runs out"


def test_trainers_of_one_mixture_are_refused_a_schedule_and_those_that_take_one_are_named(
    api, scheduled
):
    for trainer, title in (("trl", "TRL"), ("ms-swift", "ms-swift")):
        refused = api.get(f"{scheduled}&trainer={trainer}")
        assert refused.status_code == 422
        assert f"{title} has one mixture for the whole run" in refused.text
        assert "verl and EasyR1" in refused.text
    found = yaml.safe_load(api.get(f"{scheduled}&trainer=easyr1").text)
    assert found["data"]["shuffle"] is False
    plain = api.get(scheduled)
    assert "-trial-1.yaml" in plain.headers["content-disposition"]
    found = yaml.safe_load(plain.text)
    assert [phase["share"] for phase in found["schedule"]] == [0.25, 0.75]
    assert found["mixture"]["coco"] == pytest.approx(0.4)


def test_a_phase_of_unknown_length_is_refused_to_a_trainer_that_needs_it(api):
    name = create(api, domains=DOMAINS, recipe={}, name="unknown")
    api.post(f"/studies/{name}/trials", json={"schedule": SCHEDULE})
    refused = api.get(f"/studies/{name}/export?format=yaml&trial=1&trainer=verl")
    assert refused.status_code == 422
    assert "set recipe.steps and recipe.prompts_per_step" in refused.text


def test_any_trials_mixture_can_be_had_by_its_number(api, study):
    number = api.get(f"/studies/{study}/trials").json()["trials"][0]["number"]
    found = yaml.safe_load(api.get(f"/studies/{study}/export?format=yaml&trial={number}").text)
    assert found["trial"] == number
    assert "schedule" not in found
    assert api.get(f"/studies/{study}/export?format=yaml&trial=999").status_code == 404
    assert api.get(f"/studies/{study}/export?format=csv&trial={number}").status_code == 422


def test_the_page_links_to_every_file_and_they_are_the_same(api, study):
    html = page(api, f"/ui/studies/{study}")
    for trainer in ("trl", "verl", "easyr1", "ms-swift"):
        link = f"/ui/studies/{study}/export?format=yaml&trainer={trainer}"
        assert link.replace("&", "&amp;") in html
        assert api.get(link).text == exported(api, study, trainer)


def test_a_trainer_goes_with_yaml_and_must_be_known(api, study):
    assert api.get(f"/studies/{study}/export?format=csv&trainer=trl").status_code == 422
    assert api.get(f"/studies/{study}/export?format=yaml&trainer=nemo").status_code == 422


def test_the_command_line_writes_the_same_file(api, service_url, tmp_path, monkeypatch):
    import httpx

    with httpx.Client(base_url=service_url, timeout=30) as client:
        name = create(client, domains=DOMAINS, name="cli")
        finish(client, name, [0.5, 0.3, 0.0, 0.2], 0.4)
        theirs = client.get(f"/studies/{name}/export?format=yaml&trainer=trl").text
    out = tmp_path / "trl.yaml"
    command = ["study", "export", name, "--url", service_url, "--out", str(out), "--trainer", "trl"]
    assert CliRunner().invoke(app, command).exit_code == 2
    assert CliRunner().invoke(app, [*command, "--format", "yaml"]).exit_code == 0
    assert out.read_text() == theirs


def test_no_trainer_of_fixed_weights_is_given_a_mixture_of_runs_whose_weights_followed_the_rewards(
    api,
):
    name = create(api, domains=DOMAINS, recipe={"adaptive": {}}, name="adaptive")
    number = finish(api, name, [0.5, 0.3, 0.0, 0.2], 0.4)
    shown = page(api, f"/ui/studies/{name}")
    for trainer in ("trl", "verl", "easyr1", "ms-swift"):
        assert f"trainer={trainer}" not in shown
        for asked in ("", f"&trial={number}"):
            address = f"/studies/{name}/export?format=yaml{asked}&trainer={trainer}"
            refused = api.get(address)
            assert refused.status_code == 422
            assert "drawn by weights that follow the rewards" in refused.text
    plain = api.get(f"/studies/{name}/export?format=yaml&trial={number}").text
    assert yaml.safe_load(plain)["mixture"]["coco"] == pytest.approx(0.5)
