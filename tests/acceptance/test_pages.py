"""What the pages show works as written: every command, in order, with the files shown there."""

from __future__ import annotations

import json
import shutil
import tomllib
from pathlib import Path

import pytest
import yaml

from db.sessions import Database
from modomodo.local import free_port
from service.client import Client
from service.schemas import (
    Heartbeat,
    Measurement,
    NextRequest,
    Partial,
    StudySpec,
    TrialCreate,
)
from tests.support import TRAINING_S, dashboard, forks, toy
from tests.support.datasets import png
from tests.support.pages import ROOT, Reader, blocks, commands
from tests.support.polling import until

EASY_VQA = ROOT / "tests/data/easy_vqa"

pytestmark = pytest.mark.timeout(TRAINING_S)

NEVER = (
    "make ",
    "pip install",
    "docker compose",
    "kubectl",
    "modomodo data prepare coco",
    "modomodo data prepare lisa-test",
    "modomodo data prepare mmmu",
    "modomodo worker --url http://service:8765 --store s3:",
    "modomodo worker --url http://service:8765 --store gs:",
    'accelerate launch --config_file "$(python -c',
    "ray start",
    "modomodo fleet --engine ray",
    "modomodo fleet --engine slurm",
    "modomodo fleet --engine kubernetes",
)
"""What no test can run: it would test itself, install what is there, or need an engine, a cluster
(`test_fleet_on_ray.py` has one), the hub, a bucket, or several GPUs."""

RUNS = "\n".join(
    ["w_coco,w_lisa,w_sat,out_score"]
    + [f"0.{a},0.{b},0.{10 - a - b},0.4{a}{b}" for a in range(1, 5) for b in range(1, 5)]
)

ELSEWHERE = {
    "docs/reference/data.md": "published datasets: tests/unit/domains has some rows of each layout",
    "docs/reference/client.md": "Python: tests/integration/test_client_page.py",
}
"""Pages with commands or code that other tests stand for."""


def reader(folder: Path, **options) -> Reader:
    """Runs the toy trainer, where a recipe does not say otherwise."""
    environment = {"MODOMODO_COMMANDS": str(toy.install(folder / "commands"))}
    environment |= options.pop("environment", {})
    return Reader(folder, free_port(), environment=environment, passed_over=NEVER, **options)


def follow(reader: Reader, page: str) -> Reader:
    with reader:
        reader.follow(ROOT / page)
    return reader


def stored(folder: Path, migrated_file: Path, study: str) -> None:
    """A database of a service that has searched, in the folder where that was started."""
    shutil.copy(migrated_file, folder / "modomodo.db")
    database = Database(f"sqlite:///{folder}/modomodo.db")
    dashboard.store(database, 8, name=study)
    database.close()


def test_the_front_page(tmp_path):
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(toy.study() | {"name": "my-study"}))
    (tmp_path / "runs.csv").write_text(RUNS)
    done = follow(reader(tmp_path), "README.md")
    assert done.met == {"make ", "pip install"}
    assert "datasets:" in done.said, "the mixture for TRL"
    assert (tmp_path / "plots/index.html").exists()
    assert (tmp_path / "plots/progress.png").exists()
    assert (tmp_path / "fit.html").exists()


@pytest.mark.parametrize(
    "instead",
    [
        {"steps: 10, evaluation: {limit: 100}": "steps: 1, evaluation: {limit: 4}"},
        pytest.param({}, marks=pytest.mark.slow),
    ],
    ids=["a short run", "as shown"],
)
def test_the_quickstart_ends_with_scores(tmp_path, instead):
    own = reader(tmp_path, environment=forks.environment(), instead=instead)
    done = follow(own, "docs/quickstart.md")
    assert "first" in done.said
    answer = done.said[done.said.rindex('{"id"') :]
    assert json.loads(answer)["state"] == "completed", "the run from elsewhere counts"


def test_suggest_and_fit(tmp_path):
    (tmp_path / "runs.csv").write_text(RUNS)
    follow(reader(tmp_path), "docs/reference/cli.md")
    assert (tmp_path / "fit.html").exists()


def test_a_service_for_a_fleet(tmp_path, migrated_file, new_on_postgresql):
    stored(tmp_path, migrated_file, "search")
    url = new_on_postgresql()
    names = {
        "postgresql+psycopg://modomodo:PASSWORD@host/modomodo": url,
        "postgresql+psycopg://modomodo@host/modomodo": url,
        "NAME": "search",
    }
    done = follow(reader(tmp_path, stands_for=names), "docs/how-to/operate.md")
    assert "gpu-fleet" in done.said
    assert len(done.environment["MODOMODO_API_KEY"]) == 64


def test_rules(tmp_path):
    (tmp_path / "cases.jsonl").write_text('{"response": "12", "answer": "12"}\n')
    follow(reader(tmp_path), "docs/reference/rules.md")
    assert json.loads((tmp_path / "scored.jsonl").read_text())["score"] == 1.0


def test_own_trainers(tmp_path, migrated_file):
    page = "docs/how-to/own-trainer.md"
    shown = next(block for block in blocks(ROOT / page) if block.language == "yaml")
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(yaml.safe_load(shown.text)["recipe"]))
    own = reader(tmp_path, stands_for={"NAME": "search"})
    shutil.copy(ROOT / "docs/how-to/own_trainer.py", tmp_path / "commands")
    stored(tmp_path, migrated_file, "search")
    with own:
        own.do("modomodo serve", page)
        own.follow(ROOT / page)
    assert "datasets:" in (tmp_path / "mixture.yaml").read_text()


def test_workers(tmp_path):
    key = "k" * 32
    own = reader(tmp_path, stands_for={"…": key, "/nfs": str(tmp_path / "nfs")})
    own.environment["MODOMODO_API_KEY"] = key
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(toy.study(budget=8)))
    with own:
        own.do("modomodo serve", "a service")
        own.do("modomodo study create study.yaml", "with a study")
        own.follow(ROOT / "docs/how-to/workers.md")


def test_a_fleet(tmp_path):
    own = reader(tmp_path, stands_for={"…": "k" * 32})
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(toy.study()))
    with own:
        own.do("modomodo serve", "a service")
        own.do("modomodo study create study.yaml", "with a study")
        own.follow(ROOT / "docs/how-to/fleet.md")
        with Client(own.url) as client:
            (study,) = client.studies()
    assert study.trials["completed"] == 1
    engines = ("ray", "slurm", "kubernetes")
    assert own.met >= {f"modomodo fleet --engine {engine}" for engine in engines}
    assert "kind: Job" in (tmp_path / "jobs.yaml").read_text()
    assert "kind: RayJob" in (tmp_path / "rayjob.yaml").read_text()


def leased(client: Client, *, is_paused: bool) -> None:
    """The study's next trial with a worker that stays at it, or that paused it at step 500."""
    request = NextRequest(worker=f"node-{is_paused}", study="hours")
    answer = until(lambda: client.next(request), lambda answer: answer.trial)
    token = answer.lease.token
    client.heartbeat(answer.trial.id, Heartbeat(token=token, step=500, total_steps=2000))
    if is_paused:
        client.partial(answer.trial.id, Partial(token=token, step=500, measurements=[]))


def test_living_studies(tmp_path):
    page, own = "docs/how-to/living-studies.md", reader(tmp_path)
    with own:
        own.do("modomodo serve", page)
        own.follow(ROOT / page)
    assert "study vlm-2b is deleted" in own.said
    archived = json.loads((tmp_path / "vlm-2b.json").read_text())["study"]
    assert [d["name"] for d in archived["spec"]["domains"]] == [
        "sat",
        "indoor",
        "outdoor",
        "street",
    ]
    assert archived["created_as"]["domains"][0]["name"] == "coco"


def test_schedules(tmp_path):
    page, own = "docs/how-to/schedules.md", reader(tmp_path, stands_for={"NUMBER": "1"})
    with own:
        own.do("modomodo serve", page)
        own.follow(ROOT / page)
        with Client(own.url) as client:
            phases = [len(trial.schedule or ()) for trial in client.trials("phased")]
            assert client.study("searched").search.schedule is not None
            assert client.study("adaptive").recipe["adaptive"] == {"floor": 0.25, "memory": 8}
    assert phases.count(2) == 3
    # Whichever was first, a proposal or one of these.
    assert yaml.safe_load((tmp_path / "schedule.yaml").read_text())["trial"] == 1
    assert "MixtureSampler" in (tmp_path / "verl.yaml").read_text()


def test_gpu_hours(tmp_path):
    page = "docs/how-to/gpu-hours.md"
    shown = next(block for block in blocks(ROOT / page) if block.language == "yaml")
    own = reader(tmp_path)
    with own:
        own.do("modomodo serve", page)
        with Client(own.url) as client:
            client.create_study(StudySpec.model_validate(yaml.safe_load(shown.text)))
            for number in range(1, 5):
                leased(client, is_paused=number > 1)
            own.follow(ROOT / page)
            states = {trial.number: trial.state for trial in client.trials("hours")}
            assert client.trial(1).asked == "pause"
            assert client.study("hours").gpu_hours == 600
    assert [states[number] for number in range(2, 5)] == ["queued", "queued", "early_stopped"]
    assert '"running"' in own.said, "what is under way"


def test_teams(tmp_path):
    page, own = "docs/how-to/teams.md", reader(tmp_path)
    with own:
        own.do("modomodo serve", page)
        own.follow(ROOT / page)
    assert "study offline belongs to vision" in own.said
    assert "study offline belongs to no owner" in own.said


@pytest.mark.slow  # `auto` fits each score
def test_floors_and_fronts(tmp_path):
    page = "docs/how-to/floors-and-fronts.md"
    shown = next(block for block in blocks(ROOT / page) if block.language == "yaml")
    (tmp_path / "study.yaml").write_text(shown.text)
    rows = [(1, 0, 0), (0, 1, 0), (0, 0, 1), (0.4, 0.3, 0.3), (0.2, 0.6, 0.2), (0.1, 0.1, 0.8)]
    scored = [(*x, 0.3 + 0.1 * x[0], 0.2 + 0.3 * x[1], 0.3 + 0.05 * x[2]) for x in rows]
    head = ["w_coco,w_lisa,w_sat,out_score,in_score,chart"]
    (tmp_path / "runs.csv").write_text("\n".join(head + [",".join(map(str, r)) for r in scored]))
    own = reader(tmp_path)
    with own:
        own.do("modomodo serve", page)
        with Client(own.url) as client:
            study = client.create_study(StudySpec.model_validate(yaml.safe_load(shown.text)))
            for *weights, one, two, three in scored:
                names = ("coco", "lisa", "sat")
                found = zip(("info", "lisa_test", "chart"), (one, two, three), strict=True)
                client.add_trial(
                    study.name,
                    TrialCreate(
                        mixture=dict(zip(names, map(float, weights), strict=True)),
                        measurements=[
                            Measurement(benchmark=name, score=score, samples=1000)
                            for name, score in found
                        ],
                    ),
                )
        own.follow(ROOT / page)
    assert "Floors hold with: lisa_test at least" in own.said
    assert '"choice"' in own.said


@pytest.mark.slow
def test_own_data(tmp_path):
    page = "docs/how-to/own-data.md"
    rows = next(block for block in blocks(ROOT / page) if block.language == "json")
    (tmp_path / "cups/pictures").mkdir(parents=True)
    (tmp_path / "cups/rows.jsonl").write_text(rows.text)
    for name in ("1.png", "2.jpg"):
        (tmp_path / "cups/pictures" / name).write_bytes(png(80, 60))
    some = {"$(python -c 'import easy_vqa; print(easy_vqa.__path__[0])')/data": str(EASY_VQA)}
    own = follow(reader(tmp_path, stands_for=some), page)
    assert own.met == {"pip install"}


@pytest.mark.slow
def test_recipes(tmp_path):
    follow(reader(tmp_path), "docs/reference/recipe.md")
    assert json.loads((tmp_path / "recipe.schema.json").read_text())["properties"]


def test_every_page_with_commands_is_followed():
    text = Path(__file__).read_text()
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        name = str(page.relative_to(ROOT))
        if any(block.language in ("sh", "python") for block in blocks(page)):
            assert f'"{name}"' in text, f"{name}: no test follows it"
        assert all(block.language for block in blocks(page) if "modomodo " in block.text), name


NEEDS = {"serve": "service", "db": "service", "key": "service", "worker": "trainer"}


def test_pages_install_what_they_then_run_and_it_can_be_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    installing = set()
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        shown = [
            command
            for block in blocks(page)
            if block.language == "sh"
            for command in commands(block.text)
        ]
        extras = {
            extra
            for command in shown
            if command.startswith("pip install") and "[" in command
            for extra in command.partition("[")[2].partition("]")[0].split(",")
        }
        if extras:
            run = {
                words[words.index("modomodo") + 1]
                for words in map(str.split, shown)
                if "modomodo" in words
            }
            installing.add(page.name)
            assert {NEEDS[name] for name in run & NEEDS.keys()} <= extras, page.name
            assert extras <= set(project["optional-dependencies"]), page.name
    assert "quickstart.md" in installing
