"""How much work there is, and who is at it: what starts workers goes by."""

from __future__ import annotations

import pytest

from tests.integration.test_api_calls import finish, lease, queue_is_filled
from tests.support.bodies import study_body

pytestmark = pytest.mark.backends("sqlite", "postgresql")


@pytest.fixture
def study(api):
    assert api.post("/studies", json=study_body(budget=3)).status_code == 201
    queue_is_filled(api, 2)
    return "vlm"


def demand(api, path="/studies/vlm/demand"):
    answer = api.get(path)
    assert answer.status_code == 200, answer.text
    return answer.json()


def figures(answer):
    return [answer[name] for name in ("claimable", "running", "paused", "left")]


def test_demand_is_what_can_begin_now_not_what_the_budget_has_left(api, study):
    found = demand(api)
    assert figures(found) == [2, 0, 0, 3]
    assert (found["retry_after_s"], found["reason"]) == (0, None)
    assert demand(api, "/demand") == found


def test_demand_shrinks_as_trials_run_and_is_nothing_at_the_end(api, study):
    held = [lease(api, f"w{i}") for i in range(3)]
    waiting = demand(api)
    assert figures(waiting) == [0, 3, 0, 3]
    assert waiting["retry_after_s"] > 0
    for trial, token in held:
        assert finish(api, trial, token).status_code == 200
    over = demand(api)
    assert figures(over) == [0, 0, 0, 0]
    assert over["retry_after_s"] is None
    assert "finished" in over["reason"]


def test_a_paused_study_has_work_left_and_none_to_begin(api, study):
    api.patch("/studies/vlm", json={"state": "paused"})
    assert figures(demand(api)) == [0, 0, 0, 3]


def test_demand_of_all_is_the_sum_and_of_none_is_nothing(api):
    assert figures(demand(api, "/demand")) == [0, 0, 0, 0]
    for name in ("vlm", "other"):
        api.post("/studies", json=study_body(name))
        api.post(f"/studies/{name}/trials", json={"mixture": {"coco": 1.0}})
    one = demand(api, "/studies/other/demand")
    assert demand(api, "/demand")["claimable"] >= one["claimable"] + 1
    assert api.get("/studies/missing/demand").json()["code"] == "study-not-found"


def test_a_worker_that_is_gone_frees_its_trial_for_the_next(api, study):
    name = "ray/node 7"
    trial, token = lease(api, name)
    [seen] = api.get("/workers").json()["workers"]
    assert (seen["name"], seen["study"], seen["trial"]) == (name, "vlm", trial["number"])
    answer = api.post("/workers/ray%2Fnode%207/gone")
    assert answer.json() == {"trials": [trial["id"]]}
    assert api.post("/workers/ray%2Fnode%207/gone").json() == {"trials": []}
    beat = api.post(f"/trials/{trial['id']}/heartbeat", json={"token": token})
    assert beat.json()["code"] == "lease-lost"
    assert lease(api, "w2")[0]["id"] == trial["id"]


def test_demand_leaves_out_what_workers_that_have_so_much_are_not_fit_for(api, study):
    needs = {"gpus": 4, "gpu_memory_gb": 80, "labels": {"pool": "a100"}}
    assert api.patch("/studies/vlm", json={"requires": needs}).status_code == 200
    for path in ("/demand", "/studies/vlm/demand"):
        assert figures(demand(api, path)) == [2, 0, 0, 3], "nothing was said of the workers"
        for fit in ("gpus=4", "gpu_memory_gb=80&gpus=8", "label=rack=7&label=pool=a100"):
            assert figures(demand(api, f"{path}?{fit}")) == [2, 0, 0, 3], fit
        for unfit in (
            "gpus=2",
            "gpu_memory_gb=42&gpus=4",
            "label=engine=ray",
            "label=pool=b&gpus=4",
        ):
            found = demand(api, f"{path}?{unfit}")
            assert figures(found) == [0, 0, 0, 0], unfit
            assert found["retry_after_s"] is None
            assert "requires" in found["reason"]


def test_demand_of_all_counts_the_studies_that_workers_are_fit_for(api, study):
    needs = {"gpus": 4}
    api.post("/studies", json=study_body("big", requires=needs))
    api.post("/studies/big/trials", json={"mixture": {"coco": 1.0}})
    queue_is_filled(api, 2)
    small = demand(api, "/demand?gpus=2")
    assert small == demand(api, "/studies/vlm/demand")
    assert demand(api, "/demand?gpus=4")["claimable"] > small["claimable"]


@pytest.mark.backends("sqlite", pytest.param("postgresql", marks=pytest.mark.slow))
@pytest.mark.parametrize(
    "said",
    ["gpus=0", "gpus=many", "gpu_memory_gb=-1", "gpu_memory_gb=nan", "label=pool", "label==a"],
)
def test_what_no_worker_can_have_is_refused(api, said):
    answer = api.get(f"/demand?{said}")
    assert answer.status_code == 422, answer.text
    assert answer.json()["code"] == "invalid-request"
