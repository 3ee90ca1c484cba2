"""The options of `modomodo worker`, and what it shows on a terminal."""

import io
import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

from modomodo.errors import WrongUse
from modomodo.worker import _shares, read_labels, seconds
from modomodo.worker_view import duration, table
from trainer.job import Progress
from trainer.troubles import cause_first
from trainer.worker.gpus import GpuUse

DEPLOY = Path(__file__).parents[3] / "deploy"


@pytest.mark.parametrize(
    ("gpus", "per_trial", "shares"),
    [
        ("0", 1, ["0"]),
        ("0,1,2,3", 2, ["0,1", "2,3"]),
        ("0, 2", 1, ["0", "2"]),
        ("MIG-1,MIG-2", 2, ["MIG-1,MIG-2"]),
    ],
)
def test_gpus_are_shared_out_among_trials(gpus, per_trial, shares):
    assert _shares(gpus, per_trial) == shares


@pytest.mark.parametrize("visible", [None, "0,1,2"])
def test_without_a_choice_one_trial_has_all_gpus_there_are(monkeypatch, visible):
    monkeypatch.setattr("modomodo.worker.visible_devices", lambda: visible)
    assert _shares(None, 1) == [visible]


@pytest.mark.parametrize(
    ("gpus", "per_trial", "said"),
    [
        ("0,1,2", 2, "3 GPUs cannot be shared out 2 a trial"),
        ("0,,1", 1, "not a list of different devices"),
        ("0,0", 1, "not a list of different devices"),
        (None, 2, "--per-trial shares out what --gpus names"),
    ],
)
def test_gpus_that_cannot_be_shared_out_are_refused(gpus, per_trial, said):
    with pytest.raises(WrongUse, match=said):
        _shares(gpus, per_trial)


@pytest.mark.parametrize(
    ("text", "value"), [("90", 90), ("1.5m", 90), ("20h", 72_000), ("2 d", 172_800)]
)
def test_times_are_read_with_their_unit(text, value):
    assert seconds("--drain-after", text) == value


@pytest.mark.parametrize(
    ("file", "until_killed"),
    [
        ("modomodo-worker.service", r"TimeoutStopSec=(\d+)"),
        ("modomodo-worker.sbatch", r"--signal=B:TERM@(\d+)"),
    ],
)
def test_a_deployed_worker_has_time_to_hand_its_trial_back_after_its_runs_grace(file, until_killed):
    text = (DEPLOY / file).read_text()
    grace, killed = (re.search(p, text) for p in (r"--grace (\d+)s", until_killed))
    assert grace
    assert killed
    assert int(grace[1]) + 20 <= int(killed[1])


def test_labels_are_names_with_values():
    assert read_labels(["rack=7", "pool = a=b"]) == [("rack", "7"), ("pool", "a=b")]


@pytest.mark.parametrize("text", ["rack", "=7", "rack=", "", "rack=" + "7" * 100])
def test_what_is_no_label_is_refused(text):
    with pytest.raises(WrongUse, match="is not a name and a value like rack=7"):
        read_labels([text])


def test_more_labels_than_a_service_keeps_are_refused():
    with pytest.raises(WrongUse, match="at most 32"):
        read_labels([f"a{i}=b" for i in range(33)])


@pytest.mark.parametrize("text", ["", "soon", "-1h", "0s", "1 week"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(WrongUse, match="is not a time like 90s"):
        seconds("--drain-after", text)


def test_the_view_shows_what_is_trained_how_fast_and_how_long_it_takes():
    attempt = SimpleNamespace(
        trial=SimpleNamespace(study="vlm", number=7),
        progress=Progress("train", 50, 200),
        metrics={"reward/coco": 0.52, "loss": 1.0},
        started=100.0,
        gpus=[],
    )
    workers = [
        SimpleNamespace(name="[red]node[/]-1", attempt=attempt),
        SimpleNamespace(name="node-2", attempt=None),
    ]
    console = Console(width=120, record=True, file=io.StringIO())
    console.print(table(workers, now=200.0))
    text = console.export_text()
    assert "[red]node[/]-1" in text
    assert "vlm 7" in text
    assert "50/200" in text
    assert "5 min" in text
    assert "coco 0.52" in text
    assert "waiting" in text
    assert "GPU" not in text
    attempt.gpus = [GpuUse("0", 61 * 10**9, 80 * 10**9, 0.87), GpuUse("MIG-1", 10**9, 10**10, None)]
    console.print(table(workers, now=200.0))
    text = console.export_text()
    assert "0: 87%, 61/80 GB" in text
    assert "MIG-1: 1/10 GB" in text


@pytest.mark.parametrize(
    ("seconds", "text"), [(45, "45 s"), (720, "12 min"), (12_000, "3 h 20 min")]
)
def test_durations_are_said_as_people_do(seconds, text):
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("error", "first"),
    [
        ("torch.OutOfMemoryError: CUDA out of memory. Tried …", "out of memory: a smaller"),
        ("OSError: [Errno 28] No space left on device", "no room left on the disk"),
        ("ValueError: boom", "ValueError: boom"),
    ],
)
def test_an_error_begins_with_what_people_can_do_about_it(error, first):
    assert cause_first(error).startswith(first)
    assert error in cause_first(error)
