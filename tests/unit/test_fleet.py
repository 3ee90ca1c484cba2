"""How many workers a fleet has, whatever the engine, and what they are started with."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field

import pytest

from modomodo.fleet.controller import Controller
from modomodo.fleet.engines import Setup, Started, node_of, worker_name
from service.client import ServiceError
from service.schemas import Demand, WorkerSeen

NOW = "2030-01-01T00:00:00Z"


@dataclass
class Service:
    """A service with some work, by study, and workers that hold a trial of a study."""

    claimable: dict[str | None, int]
    holders: dict[str, str] = field(default_factory=dict)
    retry_after_s: float | None = 0.0
    refuses: bool = False
    told: list[str] = field(default_factory=list)
    asked: list[dict] = field(default_factory=list)

    def demand(self, study, **has):
        self.asked.append(has)
        n = self.claimable[study]
        left = n + len(self.holders)
        more = {"retry_after_s": self.retry_after_s, "paused": 0, "left": left}
        return Demand(claimable=n, running=len(self.holders), **more)

    def workers(self, starts_with):
        more = {"capabilities": {}, "asked_at": NOW, "trial": 1}
        return [
            WorkerSeen.model_validate({"name": name, "study": study} | more, strict=False)
            for name, study in self.holders.items()
            if name.startswith(starts_with)
        ]

    def gone(self, worker):
        if self.refuses:
            raise ServiceError(403, "scope-needed", "this call needs a key of scope 'admin'")
        self.told.append(worker)
        return [1]


@dataclass
class Machines:
    """An engine whose workers wait for a machine until they are told to run."""

    fleet: str = "f"
    has: list[Started] = field(default_factory=list)
    dead: set[str] = field(default_factory=set)

    def workers(self):
        return list(self.has)

    def start(self, study, n):
        for _ in range(n):
            self.has.append(Started(f"{len(self.has)}", study, "pending"))

    def cancel(self, worker):
        self.has.remove(worker)

    def lost(self, names):
        return [name for name in names if node_of(self.fleet, name) in self.dead]

    def run(self):
        self.has = [dataclasses.replace(w, state="running", name=f"f.n{w.id}.0") for w in self.has]


def test_as_many_workers_are_started_as_trials_can_begin():
    machines = Machines()
    controller = Controller(Service({None: 3}), machines, [], 10)
    controller.turn()
    assert len(machines.has) == 3
    controller.turn()
    assert len(machines.has) == 3, "what is under way is not started again"


def test_running_trials_and_those_that_can_begin_are_wanted_up_to_the_most():
    machines = Machines()
    service = Service({None: 4})
    Controller(service, machines, [], 10).turn()
    machines.run()
    service.holders = {worker.name: "vlm" for worker in machines.has}
    found = Controller(service, machines, [], 6).turn()
    assert [(pool.running, pool.want) for pool in found.pools] == [(4, 6)]
    assert len(machines.has) == 6


def test_trials_that_others_run_are_no_reason_to_start_workers():
    machines = Machines()
    Controller(Service({None: 1}, {"by-hand": "vlm"}), machines, [], 10).turn()
    assert len(machines.has) == 1


def test_two_controllers_do_no_harm_and_one_that_comes_back_knows_all():
    machines, service = Machines(), Service({None: 3})
    first, second = (Controller(service, machines, [], 10) for _ in range(2))
    for controller in (first, second, first, second):
        controller.turn()
    assert len(machines.has) == 3


def test_what_waits_for_a_machine_is_taken_back_when_there_is_no_work_for_it():
    machines, service = Machines(), Service({None: 3})
    controller = Controller(service, machines, [], 10)
    controller.turn()
    service.claimable[None] = 1
    controller.turn()
    assert len(machines.has) == 1
    machines.run()
    service.claimable[None] = 0
    service.retry_after_s = None
    assert not controller.turn().is_over, "a worker that runs ends by itself"
    assert len(machines.has) == 1
    machines.has = []
    assert controller.turn().is_over


def test_studies_get_workers_in_turn_as_long_as_they_have_trials_to_begin():
    machines = Machines()
    service = Service({"a": 5, "b": 1, "c": 5})
    found = Controller(service, machines, ["a", "b", "c"], 6).turn()
    assert [pool.want for pool in found.pools] == [3, 1, 2]
    assert [worker.study for worker in machines.has] == ["a"] * 3 + ["b"] + ["c"] * 2


def test_the_least_are_kept_while_something_is_left_to_come():
    machines = Machines()
    service = Service({None: 1})
    Controller(service, machines, [], 10, least=4).turn()
    assert len(machines.has) == 4
    service.claimable[None] = 0
    service.retry_after_s = None
    Controller(service, machines, [], 10, least=4).turn()
    assert machines.has == []


def test_workers_of_a_dead_machine_are_gone_and_their_trials_are_not_counted_as_running():
    machines = Machines(dead={"n1"})
    service = Service({None: 0}, {"f.n1.a": "vlm", "f.n2.b": "vlm", "other.n1.c": "vlm"})
    found = Controller(service, machines, [], 10).turn()
    assert service.told == ["f.n1.a"]
    assert found.pools[0].running == 1


def test_a_key_that_may_not_tell_of_dead_machines_stops_nothing():
    machines = Machines(dead={"n1"})
    service = Service({None: 2}, {"f.n1.a": "vlm"}, refuses=True)
    Controller(service, machines, [], 10).turn()
    assert len(machines.has) == 2


def test_a_dry_run_changes_nothing():
    machines = Machines(dead={"n1"})
    service = Service({None: 2}, {"f.n1.a": "vlm"})
    found = Controller(service, machines, [], 10).look()
    assert (found.pools[0].missing, found.gone) == (2, ["f.n1.a"])
    assert (machines.has, service.told) == ([], [])


def test_the_key_is_in_the_environment_of_workers_and_in_no_argument():
    here = {"MODOMODO_API_KEY": "admin", "MODOMODO_DATA": "/data", "HOME": "/home/me"}
    setup = Setup("http://head:8765", store="s3://b/p")
    assert setup.environment(here) == {"MODOMODO_API_KEY": "admin", "MODOMODO_DATA": "/data"}
    own = setup.environment(here | {"MODOMODO_WORKER_KEY": "worker"})
    assert own == {"MODOMODO_API_KEY": "worker", "MODOMODO_DATA": "/data"}
    assert "admin" not in " ".join(setup.arguments("f.n.x", "vlm"))


def test_workers_say_what_started_them_and_not_where_their_controller_is():
    here = {"MODOMODO_NODE": "the controller's", "MODOMODO_ENDS_AT": "7"}
    setup = Setup("http://head:8765", engine="slurm")
    assert setup.environment(here) == {}
    words = setup.arguments("f.n.x", None)
    assert words[words.index("--label") + 1] == "engine=slurm"


def test_work_is_asked_for_by_what_the_fleets_workers_have():
    setup = Setup("http://head:8765", 4, engine="ray", labels={"pool": "a"}, gpu_memory_gb=80)
    service = Service({None: 1})
    Controller(service, Machines(), [], 10, has=setup.has()).turn()
    labels = {"engine": "ray", "pool": "a"}
    assert service.asked == [{"gpus": 4, "gpu_memory_gb": 80, "labels": labels}]
    words = setup.arguments("f.n.x", None)
    assert [words[i + 1] for i, word in enumerate(words) if word == "--label"] == [
        "engine=ray",
        "pool=a",
    ], "and it is what workers say of themselves"


def test_a_worker_of_this_machine_has_all_of_its_gpus_however_many():
    assert Setup("http://head:8765").has() == {"labels": {"engine": "local"}}


def test_a_workers_name_says_on_which_node_of_which_fleet_it_is():
    name = worker_name("f", "n7")
    assert node_of("f", name) == "n7"
    assert node_of("g", name) is None
    assert name != worker_name("f", "n7")


@pytest.mark.parametrize("name", ["by-hand", "f", "f.n", "f.n.a.b", ""])
def test_a_worker_of_no_fleet_is_on_no_node(name):
    assert node_of("f", name) is None
