"""A trial that one worker paused and another goes on with: only the store is theirs in common."""

from __future__ import annotations

from pathlib import Path

import pytest

from service.schemas import Lease, NextAnswer, Result
from tests.integration.test_attempt import FOREVER, Service, Signals, signals
from tests.unit.cli.test_summary import trial
from trainer.storage.remote import Store
from trainer.storage.work_folder import TrialFolder
from trainer.worker.attempt import Attempt, Setting

__all__ = ["signals"]

SCRIPT = """#!/bin/sh
# Training is a number that each step makes another of; the checkpoint is a file with it.
step=0 state=$MODOMODO_SEED
if [ -n "$MODOMODO_RESUME_FROM" ]; then
  step=${MODOMODO_RESUME_FROM##*-} state=$(cat "$MODOMODO_RESUME_FROM/state")
fi
echo "from $step" >> "${0%/*}/../legs"
while [ "$step" -lt "${MODOMODO_STOP_AT:-9}" ]; do
  step=$((step + 1)) state=$(((state * 31 + step) % 99991))
  echo "{\\"step\\": $step}" >> "$MODOMODO_PROGRESS"
done
mkdir -p "checkpoints/checkpoint-$step"
echo "$state" > "checkpoints/checkpoint-$step/state"
paused=; [ "$step" -lt 9 ] && paused=", \\"paused_at\\": $step"
score=$(printf '{"benchmark": "b", "score": 0.%05d, "samples": 9, "step": %d}' "$state" "$step")
echo "{\\"measurements\\": [$score]$paused}" > "$MODOMODO_RESULT"
"""


@pytest.fixture
def script(tmp_path: Path) -> Path:
    """The script, which notes beside itself from which step each run of it began."""
    file = tmp_path / "commands/train"
    file.parent.mkdir()
    file.write_text(SCRIPT)
    file.chmod(0o755)
    return file


def leg(
    script: Path,
    signals: Signals,
    worker: str,
    stop_at: int | None = None,
    **mixture: float,
) -> tuple[Service, Path]:
    """What a worker with a folder of its own tells of its part of the trial."""
    service = Service()
    answer = NextAnswer(
        trial=trial(7, mixture or {"coco": 1.0}, 0.5).model_copy(update={"stop_at": stop_at}),
        lease=Lease(token="t" * 32, until=FOREVER, duration_s=0.6),
        recipe={"backend": "command", "steps": 9, "command": {"script": script.name}},
    )
    home = script.parents[1]
    store = None if worker == "alone" else Store(str(home / "store"))
    place = TrialFolder(home / worker)
    Attempt(service, answer, signals, place, Setting(commands=script.parent, store=store)).run()
    return service, place.run


def final(result: Result) -> list[tuple[int, float]]:
    return [(item.step, item.score) for item in result.measurements]


def test_a_trial_paused_by_one_worker_ends_with_another_as_if_it_had_not_been(script, signals):
    whole, _ = leg(script, signals, "alone")
    first, there = leg(script, signals, "first", stop_at=4)
    second, here = leg(script, signals, "second", stop_at=7)
    third, _ = leg(script, signals, "third")
    assert [partial.step for partial in first.partials + second.partials] == [4, 7]
    assert not first.results + second.results
    assert there != here
    begun = (script.parents[1] / "legs").read_text().splitlines()
    assert begun == ["from 0", "from 0", "from 4", "from 7"], "each went on where the last stood"
    [undisturbed], [ended] = whole.results, third.results
    assert final(ended) == final(undisturbed)


def test_a_trial_whose_domain_was_split_while_it_was_paused_begins_again(script, signals):
    leg(script, signals, "alone", stop_at=4)
    service, _ = leg(script, signals, "alone", indoor=0.5, outdoor=0.5)
    assert not service.failures
    assert [item.step for item in service.results[0].measurements] == [9]
    assert (script.parents[1] / "legs").read_text().splitlines() == ["from 0", "from 0"]


def test_a_trial_goes_on_where_a_domain_came_while_it_was_paused(script, signals):
    leg(script, signals, "alone", stop_at=4)
    leg(script, signals, "alone", coco=1.0, geo=0.0)
    assert (script.parents[1] / "legs").read_text().splitlines() == ["from 0", "from 4"]
