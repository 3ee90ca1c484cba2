"""The learning curve: what is measured at each step."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from functools import wraps
from typing import Any

from accelerate.utils import gather_object
from transformers import TrainerCallback

from rewards.training import REWARDS, RewardFunction
from trainer.adaptive import AdaptiveOrder, AnyOrder
from trainer.job import TRAIN, Progress, Report
from trainer.storage.run_folder import RunFolder

KEPT = {
    "reward": "reward",
    "reward_std": "reward_std",
    "loss": "loss",
    "kl": "kl",
    "entropy": "entropy",
    "grad_norm": "grad_norm",
    "learning_rate": "learning_rate",
    "step_time": "step_s",
    "completions/mean_length": "completions/mean_length",
    "completions/max_length": "completions/max_length",
    "completions/clipped_ratio": "completions/clipped_ratio",
}
"""TRL's name of a metric: ours. Lengths are in tokens; the clipped ratio is the share of
completions that reached the limit."""


class RewardLog:
    """Rewards of each domain and of each rule since they were last read, over all processes."""

    def __init__(self, weights: Mapping[str, float]) -> None:
        self._weights = dict(weights)
        self._sums: dict[str, float] = defaultdict(float)
        self._counts: dict[str, int] = defaultdict(int)

    def watch(self, name: str) -> RewardFunction:
        """The reward function of that name, its rewards noted on the way."""
        judge = REWARDS[name]
        counts_rows = name == next(iter(self._weights))

        @wraps(judge)
        def watched(completions: Any, *, domain: Any, **columns: Any) -> list[float | None]:
            rewards = judge(completions, **columns)
            for one, reward in zip(domain, rewards, strict=True):
                self._sums[f"reward/{one}"] += self._weights[name] * (reward or 0.0)
                self._counts[f"reward/{one}"] += counts_rows
                if reward is not None:
                    self._sums[f"rule/{name}"] += reward
                    self._counts[f"rule/{name}"] += 1
            return rewards

        return watched

    def read(self, processes: int = 1) -> dict[str, float]:
        """Empties the log; with several processes, all of them call it.

        Returns:
            `reward/<domain>`, the mean total reward of its completions, and `rule/<name>`, the mean
            unweighted reward of the completions that the rule judged.
        """
        parts = [(dict(self._sums), dict(self._counts))]
        if processes > 1:
            parts = gather_object(parts)
        self._sums.clear()
        self._counts.clear()
        sums: dict[str, float] = defaultdict(float)
        counts: dict[str, int] = defaultdict(int)
        for some_sums, some_counts in parts:
            for name, value in some_sums.items():
                sums[name] += value
                counts[name] += some_counts.get(name, 0)
        return {name: sums[name] / count for name, count in sorted(counts.items()) if count}


class Reporter(TrainerCallback):
    """Turns the trainer's log of each step into a progress report, and ends the run in time."""

    def __init__(
        self,
        rewards: RewardLog,
        order: AnyOrder,
        prompts_per_step: int,
        report: Report,
        folder: RunFolder | None,
    ) -> None:
        self._rewards, self._order, self._per_step = rewards, order, prompts_per_step
        self._steps = len(order) // prompts_per_step
        self._report, self._folder = report, folder

    def on_step_end(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if state.global_step >= self._steps:  # no unseen sample for another step
            control.should_training_stop = True

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **rest: Any) -> None:
        logs = logs or {}
        if "train_runtime" in logs:  # the summary at the end
            return
        rewards = self._rewards.read(args.world_size)
        if not state.is_world_process_zero:
            return
        step = state.global_step
        metrics: dict[str, float] = {}
        if isinstance(self._order, AdaptiveOrder):  # first: of too many, a heartbeat has the last
            weights = self._order.weights(step)
            metrics |= {f"weight/{domain}": weight for domain, weight in weights.items()}
        metrics |= {
            ours: float(logs[theirs])
            for theirs, ours in KEPT.items()
            if logs.get(theirs) is not None
        }
        seen = self._order.counts(step * self._per_step)
        metrics |= rewards | {f"samples/{domain}": float(n) for domain, n in seen.items()}
        if self._folder is not None:
            self._folder.add_metrics(step, metrics)
        self._report(Progress(TRAIN, step, self._steps, metrics))
