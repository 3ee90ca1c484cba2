"""The person of a chaos run: has trials pause, continues them, stops some for good."""

from __future__ import annotations

import random
import sys
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from bench.chaos_worker import STEPS, STUDY
from service.client import Client, ServiceError
from service.schemas import Trial

LOOK_EVERY_S = 0.05


class Hand(threading.Thread):
    """Acts on trials at random, through the same bad weather as workers.

    As many trials are to have paused, or been stopped, as there should be by the share of the work
    that is done: where a run ends before it hears, another one is asked.

    Args:
        url: of the proxy.
        due: how many of each action there should be by now.
        ledger: gets a line for each paused trial that it stopped.
    """

    def __init__(self, url: str, due: Callable[[str], float], ledger: Path, seed: int) -> None:
        super().__init__(daemon=True)
        self._client = Client(url, patience_s=5.0, timeout_s=5.0)
        self._due, self._ledger = due, ledger
        self._chance = random.Random(seed)
        self._known: dict[int, Trial] = {}
        self._after = 0
        self._counts: Counter[str] = Counter()
        self._ended = threading.Event()

    def end(self) -> None:
        """Lets go, when all trials have ended."""
        self._ended.set()
        self.join()
        self._client.close()

    def run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            try:
                self._act()
            except ServiceError as error:
                if error.status != 409:  # its state is another by now
                    print(f"hand: {error}", file=sys.stderr)
            except Exception as error:  # the service is away: again at the next look
                print(f"hand: {error}", file=sys.stderr)

    def _act(self) -> None:
        for trial in self._client.trials(STUDY, self._after):
            self._known[trial.id] = trial
            self._after = max(self._after, trial.revision)
        for trial in self._in("paused"):
            with suppress(ServiceError):
                self._decide(trial)
        running = [trial for trial in self._in("running") if trial.asked is None]
        if self._wants("pause"):
            for trial in running:
                with suppress(ServiceError):
                    if self._chance.random() < 0.1:
                        self._client.stop(trial.id)
                    else:
                        self._client.pause(trial.id)

    def _decide(self, trial: Trial) -> None:
        """Stops a paused trial where that is due, else continues it, perhaps to the next pause."""
        if self._wants("stop") and self._counts["pause"] > 2 * self._counts["stop"]:
            if self._client.stop(trial.id).state == "early_stopped":
                self._counts["stop"] += 1
                with self._ledger.open("a") as ledger:
                    ledger.write(f"stopped {trial.id} {trial.step} -\n")
            return
        self._counts["pause"] += 1
        later = range((trial.step or 0) + 1, STEPS)
        again = self._chance.random() < 0.3 and len(later)
        self._client.continue_(trial.id, self._chance.choice(later) if again else None)

    def _wants(self, what: str) -> bool:
        return self._counts[what] < self._due(what)

    def _in(self, state: str) -> list[Trial]:
        return [trial for trial in self._known.values() if trial.state == state]
