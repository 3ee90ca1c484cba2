"""What people see of a fleet: `modomodo fleet status`, also with `--watch`, and its controller."""

from __future__ import annotations

import io
import json
from types import SimpleNamespace

import pytest
from rich.console import Console

from modomodo.fleet import view
from modomodo.fleet.controller import Pool, Turn
from modomodo.fleet.engines import Started
from service.client import ServiceUnreachable
from service.schemas import Demand, WorkerSeen

NOW = "2030-01-01T00:00:00Z"
DEMAND = Demand(claimable=3, running=2, paused=1, left=9, retry_after_s=0.0)
HELD = {"study": "vlm", "trial": 7, "gpus": 4, "held_s": 1800.0, "step": 5}


class Service:
    """A service that knows one worker with a trial and one that only asked for one."""

    def workers(self, starts_with):
        more = {"capabilities": {}, "asked_at": NOW}
        seen = [{"name": "f.n1.a", **HELD}, {"name": "f.n1.b"}, {"name": "f.n9.z", **HELD}]
        return [WorkerSeen.model_validate(one | more, strict=False) for one in seen]

    def demand(self):
        return DEMAND


class Engine:
    """An engine that ends whoever looks a second time."""

    fleet = "f"

    def __init__(self):
        self._looks = 0

    def workers(self):
        self._looks += 1
        if self._looks > 1:
            raise KeyboardInterrupt
        return [
            Started("1", "vlm", "running", "f.n1.a", "n1"),
            Started("2", None, "running", "f.n1.b", "n1"),
            Started("3", None, "pending"),
        ]


def drawn(what):
    console = Console(file=io.StringIO(), width=200)
    console.print(what)
    return console.file.getvalue()


def test_a_row_says_what_the_engine_and_the_service_know_of_a_worker():
    rows = view.rows(Service(), Engine())
    assert [row["state"] for row in rows] == ["running", "idle", "pending", "not there"]
    assert (rows[0]["trial"], rows[0]["gpu_hours"]) == (7, 2.0)
    shown = drawn(view.table("f", rows))
    assert "f.n1.a" in shown
    assert "gpu-hours" in shown
    said = view.summary(rows, DEMAND)
    assert said.startswith(
        "4 workers (1 running, 1 idle, 1 pending, 1 not there); trials: 2 running"
    )


@pytest.mark.parametrize("is_drawn", [True, False])
def test_watching_draws_on_a_terminal_and_writes_json_lines_elsewhere(capsys, is_drawn):
    view.watch(Service(), Engine(), 0.0, is_drawn=is_drawn)
    said = capsys.readouterr().out
    if is_drawn:
        assert "9 left" in said
    else:
        (line,) = said.splitlines()
        assert json.loads(line)["workers"][0]["worker"] == "f.n1.a"


def test_watching_goes_on_while_the_service_is_away(capsys):
    class Away(Service):
        def demand(self):
            raise ServiceUnreachable("http://service does not answer")

    view.watch(Away(), Engine(), 0.0, is_drawn=False)
    assert "does not answer" in json.loads(capsys.readouterr().out)["error"]


def test_a_controller_draws_its_last_look():
    assert "no look" in view.progress("f", None)
    pools = [Pool("vlm", DEMAND, 2, [SimpleNamespace(state="running")], 5)]
    shown = drawn(view.progress("f", Turn(pools, [])))
    assert [cell.strip() for cell in shown.splitlines()[4].split("│")[1:-1]] == [
        "vlm",
        "1",
        "5",
        "2",
        "3",
        "9",
    ]
