"""What stands in docker-compose.yml, the Dockerfile and deploy/ fits together and fits the program.

Images cannot be built where there is no engine, so every name, port, path, setting and command in
them is checked against what it names.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path

import kubernetes_validate
import pytest
import typer.main
import yaml
from typer.testing import CliRunner

from db import keys
from modomodo.cli import app
from service.app import create_app
from service.settings import Settings
from tests.support import compose as docker_compose
from tests.support import warm

ROOT = Path(__file__).parents[2]
KUBERNETES = ROOT / "deploy" / "kubernetes"
PORT = Settings().port

OTHERS_OWN = {"FORWARDED_ALLOW_IPS"}
"""Settings that uvicorn reads."""


@pytest.fixture(scope="module")
def compose():
    return yaml.safe_load((ROOT / "docker-compose.yml").read_text())


@pytest.fixture(scope="module")
def manifests():
    found = []
    for file in sorted(KUBERNETES.glob("*.yaml")):
        found += [(file.name, m) for m in yaml.safe_load_all(file.read_text())]
    return found


def options(command: str) -> set[str]:
    """Environment variables and options that a command takes."""
    group = typer.main.get_command(app)
    found: set[str] = set()
    for parameter in group.commands[command].params:
        names = parameter.envvar or []
        found |= {names} if isinstance(names, str) else set(names)
        found |= set(parameter.opts)
    return found


def known_settings() -> set[str]:
    service = {f"MODOMODO_{name.upper()}" for name in Settings.model_fields}
    return service | options("worker") | {"MODOMODO_URL", "MODOMODO_API_KEY"} | OTHERS_OWN


def is_understood(command: list[str]) -> bool:
    assert command[0] == "modomodo"
    return CliRunner().invoke(app, [*command[1:], "--help"]).exit_code == 0


def seconds(text: str) -> int:
    return int(text.removesuffix("s"))


def test_every_name_in_the_compose_file_is_one_of_its_own(compose):
    names = {kind: set(compose[kind]) for kind in ("services", "configs", "networks", "volumes")}
    targets = set(re.findall(r"^FROM \S+ AS (\S+)", (ROOT / "Dockerfile").read_text(), re.M))
    for service in compose["services"].values():
        assert set(service.get("depends_on", {})) <= names["services"]
        assert set(service["networks"]) <= names["networks"]
        assert {c["source"] for c in service.get("configs", [])} <= names["configs"]
        assert {v.partition(":")[0] for v in service.get("volumes", [])} <= names["volumes"]
        assert ("image" in service) != ("build" in service)
        assert service.get("build", {"target": "service"})["target"] in targets
    for config in compose["configs"].values():
        assert (ROOT / config["file"]).is_file()


def test_every_setting_is_one_that_the_program_knows(compose):
    for name in ("prepare", "service", "worker"):
        given = set(compose["services"][name]["environment"])
        assert given <= known_settings(), name
    assert is_understood(_worker_command(compose))


def _worker_command(compose):
    shell, _, script = compose["services"]["worker"]["command"]
    assert shell == "sh"
    return script.partition(" exec ")[2].split()


def test_workers_use_a_key_of_their_own_that_may_do_no_more_than_they_need(compose):
    worker = compose["services"]["worker"]
    assert "MODOMODO_API_KEY" not in worker["environment"]
    (file,) = re.findall(r"MODOMODO_API_KEY=\$\$\(cat (\S+)\)", worker["command"][-1])
    folder, _, name = file.rpartition("/")
    assert f"keys:{folder}:ro" in worker["volumes"]
    who = name.removesuffix("-key")
    assert f"make_key {who} worker" in (ROOT / "deploy/compose/prepare.sh").read_text()


def test_secrets_have_no_default(compose):
    text = (ROOT / "docker-compose.yml").read_text()
    used = re.findall(r"\$\{(\w+)(\S*)", text)
    assert {name for name, _ in used} == {"MODOMODO_API_KEY", "POSTGRES_PASSWORD"}
    assert all(rest.startswith(":?") for _, rest in used)


def test_what_is_reached_from_outside_is_bound_to_this_machine(compose):
    for service in compose["services"].values():
        for port in service.get("ports", []):
            assert port.startswith("127.0.0.1:")


def test_the_proxy_leads_to_the_service(compose):
    conf = (ROOT / "deploy/compose/proxy.conf").read_text()
    (name, port), *_ = re.findall(r"set \$service (\w+):(\d+);", conf)
    assert name in compose["services"]
    assert int(port) == PORT
    (listening,) = re.findall(r"listen (\d+);", conf)
    proxy = compose["services"]["proxy"]
    assert proxy["ports"] == [f"127.0.0.1:{PORT}:{listening}"]
    assert compose["services"]["worker"]["environment"]["MODOMODO_URL"].endswith(f":{listening}")
    body = int(re.findall(r"client_max_body_size (\d+)m;", conf)[0])
    assert body * 2**20 == Settings().max_body_bytes
    assert int(re.findall(r"proxy_read_timeout (\d+)s;", conf)[0]) > Settings().fit_limit_s
    together = set(compose["services"][name]["networks"]) & set(proxy["networks"])
    assert together


def test_prometheus_asks_every_replica_with_the_key_made_for_it(compose):
    (job,) = yaml.safe_load((ROOT / "deploy/compose/prometheus.yml").read_text())["scrape_configs"]
    paths = create_app().openapi()["paths"]
    assert job["metrics_path"] in paths
    (found,) = job["dns_sd_configs"]
    assert found["names"] == ["service"]
    assert found["port"] == PORT
    folder, _, name = job["authorization"]["credentials_file"].rpartition("/")
    assert f"keys:{folder}:ro" in compose["services"]["prometheus"]["volumes"]
    who = name.removesuffix("-key")
    assert f"make_key {who} read" in (ROOT / "deploy/compose/prepare.sh").read_text()


@pytest.mark.backends("postgresql", pytest.param("sqlite", marks=pytest.mark.slow))
def test_preparing_makes_each_key_once_and_anew_when_it_was_lost(database_url, database, tmp_path):
    lost, kept = (tmp_path / f"{who}-key" for who in ("fleet", "prometheus"))
    (programs := tmp_path / "bin").mkdir()
    warm.install(programs)

    def prepare() -> list[str]:
        subprocess.run(
            ["sh", str(ROOT / "deploy/compose/prepare.sh")],
            env=os.environ
            | {
                "HOME": str(tmp_path),
                "MODOMODO_DATABASE_URL": database_url,
                "PATH": f"{programs}:{os.environ['PATH']}",
            },
            check=True,
            capture_output=True,
            timeout=50,
        )
        return [file.read_text().strip() for file in (lost, kept)]

    first = prepare()
    assert prepare() == first
    lost.unlink()
    again = prepare()
    assert again[1] == first[1]
    with database.read() as session:
        found = [keys.by_prefix(session, keys.prefix_of(key)) for key in (first[0], *again)]
    assert [key and key.scope for key in found] == [None, "worker", "read"]


def test_workers_have_longer_to_stop_than_their_grace(compose, manifests):
    worker = compose["services"]["worker"]
    assert seconds(worker["stop_grace_period"]) > seconds(_worker_command(compose)[-1])
    (pod,) = [m["spec"]["template"]["spec"] for _, m in manifests if m["kind"] == "StatefulSet"]
    (container,) = pod["containers"]
    assert pod["terminationGracePeriodSeconds"] > seconds(container["command"][-1])


def test_manifests_are_what_kubernetes_takes(manifests):
    checked = [m["kind"] for _, m in manifests if m["kind"] != "Kustomization"]
    assert len(checked) > 8
    for _, manifest in manifests:
        if manifest["kind"] != "Kustomization":
            version = kubernetes_validate.latest_version()
            kubernetes_validate.validate(manifest, version, strict=True)


def test_manifests_name_what_is_there(manifests):
    (kustomization,) = [m for _, m in manifests if m["kind"] == "Kustomization"]
    files = {name for name, _ in manifests} - {"kustomization.yaml", "secret.example.yaml"}
    assert set(kustomization["resources"]) == files
    images = {image["name"] for image in kustomization["images"]}
    (secret,) = [m for _, m in manifests if m["kind"] == "Secret"]
    paths = create_app().openapi()["paths"]
    pods = [m for _, m in manifests if "template" in m.get("spec", {})]
    assert {m["kind"] for m in pods} == {"Deployment", "StatefulSet", "Job"}
    for pod in pods:
        labels = pod["spec"]["template"]["metadata"]["labels"]
        assert pod["spec"].get("selector", {"matchLabels": labels})["matchLabels"] == labels
        (container,) = pod["spec"]["template"]["spec"]["containers"]
        assert container["image"] in images
        assert is_understood(container["command"])
        assert not container["securityContext"]["allowPrivilegeEscalation"]
        # A Service's name would become settings: MODOMODO_PORT=tcp://…
        assert pod["spec"]["template"]["spec"]["enableServiceLinks"] is False
        for variable in container["env"]:
            assert variable["name"] in known_settings()
            if "valueFrom" in variable:
                asked = variable["valueFrom"]["secretKeyRef"]
                assert asked["name"] == secret["metadata"]["name"]
                assert asked["key"] in secret["stringData"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            if probe in container:
                assert container[probe]["httpGet"]["path"] in paths


def test_docker_itself_reads_the_compose_file():
    found = docker_compose.find()
    if found is None:
        pytest.skip("NOT RUN: Docker Compose is not installed")
    command = [*found, "--profile", "worker", "--profile", "watch", "config", "--format", "json"]
    secrets = {"MODOMODO_API_KEY": "k" * 32, "POSTGRES_PASSWORD": "p" * 32}
    plain = {k: v for k, v in os.environ.items() if k not in secrets}
    good = subprocess.run(
        command, cwd=ROOT, env=plain | secrets, capture_output=True, text=True, check=False
    )
    assert good.returncode == 0, good.stderr
    services = json.loads(good.stdout)["services"]
    assert services["service"]["deploy"]["replicas"] == 2
    assert services["service"]["environment"]["MODOMODO_API_KEY"] == "k" * 32
    for missing in secrets:
        some = {k: v for k, v in secrets.items() if k != missing}
        bad = subprocess.run(
            command, cwd=ROOT, env=plain | some, capture_output=True, text=True, check=False
        )
        assert bad.returncode != 0
        assert f"set {missing}" in bad.stderr
