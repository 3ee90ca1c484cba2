"""What engine `kubernetes` asks of kubectl and makes of its answers, by a stand-in for it; and its
manifests, by Kubernetes' own schemas."""

from __future__ import annotations

import copy
import itertools
import shlex

import jsonschema
import kubernetes_validate
import pytest
import yaml
from typer.testing import CliRunner

from modomodo.cli import app
from modomodo.errors import CommandFailed, WrongUse
from modomodo.fleet.engines import Setup, Started
from modomodo.fleet.kubernetes import AT_ONCE, Kubernetes
from modomodo.fleet.manifests import Pods, read_template
from tests.support import kubectl

RAY_JOB = {
    "type": "object",
    "required": ["apiVersion", "kind", "metadata", "spec"],
    "additionalProperties": False,
    "properties": {
        "apiVersion": {"const": "ray.io/v1"},
        "kind": {"const": "RayJob"},
        "metadata": {"type": "object", "required": ["name", "labels"]},
        "spec": {
            "type": "object",
            "required": ["entrypoint", "rayClusterSpec"],
            "additionalProperties": False,
            "properties": {
                "entrypoint": {"type": "string"},
                "shutdownAfterJobFinishes": {"type": "boolean"},
                "ttlSecondsAfterFinished": {"type": "integer"},
                "rayClusterSpec": {
                    "type": "object",
                    "required": ["headGroupSpec"],
                    "additionalProperties": False,
                    "properties": {
                        "enableInTreeAutoscaling": {"type": "boolean"},
                        "autoscalerOptions": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {"idleTimeoutSeconds": {"type": "integer"}},
                        },
                        "headGroupSpec": {"$ref": "#/$defs/group"},
                        "workerGroupSpecs": {
                            "type": "array",
                            "items": {
                                "$ref": "#/$defs/group",
                                "required": ["groupName", "minReplicas", "maxReplicas"],
                            },
                        },
                    },
                },
            },
        },
    },
    "$defs": {
        "group": {
            "type": "object",
            "required": ["rayStartParams", "template"],
            "additionalProperties": False,
            "properties": {
                "groupName": {"type": "string"},
                "replicas": {"type": "integer"},
                "minReplicas": {"type": "integer"},
                "maxReplicas": {"type": "integer"},
                "rayStartParams": {"type": "object", "additionalProperties": {"type": "string"}},
                "template": {"type": "object", "required": ["metadata", "spec"]},
            },
        }
    },
}
"""What KubeRay takes, as far as it is used here: ray-operator/apis/ray/v1/rayjob_types.go and
raycluster_types.go of its release 1.4."""


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """Folder of the objects of a cluster without any."""
    objects = kubectl.install(tmp_path)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("MODOMODO_API_KEY", "of-the-controller")
    monkeypatch.setenv("MODOMODO_WORKER_KEY", "of-the-workers")
    monkeypatch.setenv("MODOMODO_DATABASE_URL", "postgresql://modomodo:of-the-database@host/x")
    monkeypatch.setenv("MODOMODO_DATA", "/nfs/data")
    return objects


def engine(fleet="Lab_1", **pods):
    setup = Setup("http://head:8765", gpus=4, store="s3://b/p")
    return Kubernetes(fleet, setup, Pods(**{"image": "worker:1", "queue": "gpus"} | pods), "ml")


def valid(manifest):
    version = kubernetes_validate.latest_version()
    kubernetes_validate.validate(manifest, version, strict=True)


def begin(cluster, node="node-1.example.com", phase="Running"):
    """A node takes the pod of the one Job that there is; the worker's name."""
    (job,) = kubectl.stored(cluster, "Job")
    template = copy.deepcopy(job["spec"]["template"])
    spec = template["spec"] | {"nodeName": node}
    metadata = template["metadata"] | {"name": f"{job['metadata']['name']}-x7"}
    kubectl.put(
        cluster, {"kind": "Pod", "metadata": metadata, "spec": spec, "status": {"phase": phase}}
    )
    return metadata["labels"]["modomodo/worker"]


def node(cluster, name, ready):
    conditions = [
        {"type": "MemoryPressure", "status": "Unknown" if ready == "Unknown" else "False"}
    ]
    status = {"conditions": [*conditions, {"type": "Ready", "status": ready}]}
    kubectl.put(cluster, {"kind": "Node", "metadata": {"name": name}, "status": status})


def test_a_worker_is_a_job_that_kubernetes_and_its_queue_know(cluster):
    engine().start("vlm", 1)
    (job,) = kubectl.stored(cluster, "Job")
    del job["status"]
    valid(job)
    assert job["metadata"]["name"].startswith("lab-1-")
    assert job["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == "gpus"
    spec = job["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["resources"]["limits"] == {"nvidia.com/gpu": 4}
    assert container["command"][:2] == ["modomodo", "worker"]
    assert "--max-trials" in container["command"]
    assert spec["terminationGracePeriodSeconds"] > 150
    assert (job["spec"]["backoffLimit"], spec["restartPolicy"]) == (0, "Never")
    assert (cluster.parent / "calls").read_text().startswith("create --namespace=ml ")


def test_a_worker_waits_until_a_node_has_it_and_is_none_once_it_has_ended(cluster):
    runs = engine()
    runs.start("vlm", 1)
    (waiting,) = runs.workers()
    assert (waiting.state, waiting.study, waiting.name) == ("pending", "vlm", None)
    name = begin(cluster)
    assert runs.workers() == [Started(waiting.id, "vlm", "running", name, "node-1.example.com")]
    assert name.startswith("Lab_1.")
    assert engine("other").workers() == []
    begin(cluster, phase="Succeeded")
    (job,) = kubectl.stored(cluster, "Job")
    ended = {"conditions": [{"type": "Complete", "status": "True"}]}
    kubectl.put(cluster, job | {"status": ended})
    assert runs.workers() == []


def test_many_workers_are_asked_for_in_few_calls(cluster):
    engine().start("vlm", AT_ONCE + 1)
    assert len(engine().workers()) == AT_ONCE + 1
    verbs = [line.split()[0] for line in (cluster.parent / "calls").read_text().splitlines()]
    assert verbs == ["create", "create", "get"]


def test_what_waits_is_taken_back_and_what_runs_stays_until_it_has_ended(cluster):
    runs = engine()
    runs.start(None, 1)
    begin(cluster)
    (worker,) = runs.workers()
    runs.cancel(worker)
    assert runs.workers() == [worker], "its pod has its grace"
    begin(cluster, phase="Failed")
    assert runs.workers() == []
    runs.cancel(worker)


@pytest.mark.parametrize(
    ("ready", "is_lost"), [("True", False), ("False", False), ("Unknown", True), (None, True)]
)
def test_a_worker_is_lost_when_its_node_is_silent_or_no_more(cluster, ready, is_lost):
    runs = engine()
    runs.start(None, 1)
    name = begin(cluster)
    node(cluster, "node-2", "Unknown")
    if ready is not None:
        node(cluster, "node-1.example.com", ready)
    assert runs.lost([name, "Lab_1.gone.0", "by-hand"]) == ([name] if is_lost else [])


def test_without_the_right_to_see_nodes_none_is_lost_and_all_else_works(cluster):
    runs = engine()
    runs.start(None, 1)
    name = begin(cluster)
    (cluster.parent / "refuses-nodes").write_text("nodes is forbidden")
    assert runs.lost([name]) == []
    assert len(runs.workers()) == 1


def test_keys_are_a_secrets_and_in_no_manifest_and_no_argument(cluster):
    engine(keys_from="keys").start(None, 1)
    (job,) = kubectl.stored(cluster, "Job")
    assert "of-the-" not in str(job) + (cluster.parent / "calls").read_text()
    (container,) = job["spec"]["template"]["spec"]["containers"]
    env = {variable.pop("name"): variable for variable in container["env"]}
    assert env["MODOMODO_DATA"] == {"value": "/nfs/data"}
    secret = env["MODOMODO_API_KEY"]["valueFrom"]["secretKeyRef"]
    assert (secret["name"], secret["key"]) == ("keys", "worker-key")


def test_without_kubectl_and_when_it_refuses_the_message_says_so(cluster, monkeypatch):
    (cluster.parent / "refuses-jobs,pods").write_text("jobs is forbidden")
    with pytest.raises(CommandFailed, match="kubectl get failed: jobs is forbidden"):
        engine().workers()
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(CommandFailed, match="no kubectl here"):
        engine().workers()


def test_a_template_of_the_operators_keeps_what_it_says(tmp_path):
    file = tmp_path / "pod.yaml"
    file.write_text("""
metadata: {labels: {team: vision}}
spec:
  terminationGracePeriodSeconds: 900
  tolerations: [{operator: Exists}]
  containers:
    - image: own:2
      args: [sleep]
      env: [{name: MODOMODO_DATA, value: /mine}]
      resources: {limits: {amd.com/gpu: 2}}
""")
    pods = Pods(template=read_template(file))
    env = [{"name": "MODOMODO_DATA", "value": "/other"}, {"name": "A", "value": "b"}]
    pod = pods.pod({"modomodo/fleet": "f"}, env, gpus=4, command=["modomodo"])
    valid({"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": pod})
    assert pod["metadata"]["labels"] == {"team": "vision", "modomodo/fleet": "f"}
    assert pod["spec"]["terminationGracePeriodSeconds"] == 900
    (container,) = pod["spec"]["containers"]
    assert container == {
        "name": "worker",
        "image": "own:2",
        "command": ["modomodo"],
        "env": [{"name": "MODOMODO_DATA", "value": "/mine"}, {"name": "A", "value": "b"}],
        "resources": {"limits": {"amd.com/gpu": 2}},
    }


@pytest.mark.parametrize(
    "text",
    ["", "- a", "spec: {}", "spec: {containers: []}", "a: [", "spec: 3", "spec: {containers: [3]}"]
    + [
        f"spec: {{containers: [{{{said}}}]}}"
        for said in ("env: 3", "env: [{value: a}]", "env: [a]")
    ]
    + ["spec: {containers: [{resources: {limits: 3}}]}", "{spec: {containers: [{}]}, metadata: 3}"],
)
def test_what_is_no_pod_template_is_refused(tmp_path, text):
    file = tmp_path / "pod.yaml"
    file.write_text(text)
    with pytest.raises(WrongUse, match="--pod"):
        read_template(file)


def test_what_a_template_leaves_empty_is_filled_in(tmp_path):
    file = tmp_path / "pod.yaml"
    file.write_text("{metadata: , spec: {containers: [{image: a, env: , resources: {limits: }}]}}")
    pod = Pods(template=read_template(file)).pod({"a": "b"}, [], gpus=1)
    assert pod["metadata"]["labels"] == {"a": "b"}
    assert pod["spec"]["containers"][0]["resources"]["limits"] == {"nvidia.com/gpu": 1}


def manifests(*options):
    words = ["fleet", "manifest", "--url", "http://modomodo", "--image", "w:1", *options]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    return list(yaml.safe_load_all(done.stdout))


def test_a_manifest_has_a_job_for_each_worker_which_goes_on_until_nothing_is_left():
    made = manifests("--max", "3", "--name", "lab", "--study", "a", "--study", "b")
    for job in made:
        valid(job)
    commands = [job["spec"]["template"]["spec"]["containers"][0]["command"] for job in made]
    assert [words[words.index("--study") + 1] for words in commands] == ["a", "b", "a"]
    assert [words[words.index("--name") + 1] for words in commands] == [
        "lab.0.0",
        "lab.1.0",
        "lab.2.0",
    ]
    assert not any({"--max-trials", "--idle-after"} & {*words} for words in commands)
    assert all("--until-done" in words for words in commands)


@pytest.mark.parametrize("queue", [None, "gpus"])
def test_a_manifest_for_kuberay_is_a_cluster_that_ends_with_its_controller(queue):
    options = ["--max", "8", "--gpus-per-trial", "2", "--study", "a b"]
    (made,) = manifests("--engine", "kuberay", *options, *(["--queue", queue] if queue else []))
    jsonschema.validate(made, RAY_JOB)
    spec = made["spec"]["rayClusterSpec"]
    (workers,) = spec["workerGroupSpecs"]
    for group in (spec["headGroupSpec"], workers):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}}
        valid(pod | {"template": group["template"]})
    (worker,) = workers["template"]["spec"]["containers"]
    assert worker["resources"]["limits"] == {"nvidia.com/gpu": 2}
    assert "--engine ray" in made["spec"]["entrypoint"]
    assert "--study 'a b'" in made["spec"]["entrypoint"]
    grows = (workers["minReplicas"], workers["maxReplicas"])
    if queue is None:
        assert (grows, spec["enableInTreeAutoscaling"]) == ((0, 8), True)
    else:
        assert made["metadata"]["labels"]["kueue.x-k8s.io/queue-name"] == queue
        assert (grows, "enableInTreeAutoscaling" in spec) == ((8, 8), False)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--name", "a."], "at both ends"),
        (["--min", "2"], "more than --max"),
        ([], "--image is needed"),
        (["--pod", "/nowhere.yaml"], "cannot be read"),
    ],
)
def test_a_manifest_that_cannot_be_made_is_refused_with_what_is_wrong(options, says):
    done = CliRunner().invoke(app, ["fleet", "manifest", *options])
    assert says in str(done.exception)


def test_labels_and_memory_of_workers_are_in_what_starts_them():
    has = ("--gpu-memory-gb", "80", "--label", "pool=a 100")
    [made] = manifests("--engine", "kuberay", *has)
    words = shlex.split(made["spec"]["entrypoint"])
    assert words[words.index("--gpu-memory-gb") + 1] == "80"
    assert words[words.index("--label") + 1] == "pool=a 100"
    [job] = manifests(*has)
    (container,) = job["spec"]["template"]["spec"]["containers"]
    labels = [b for a, b in itertools.pairwise(container["command"]) if a == "--label"]
    assert labels == ["engine=kubernetes", "pool=a 100"]
