"""Times the parts of a training step apart."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from transformers import TrainerCallback

from trainer.run.adapters import is_peft_model
from trainer.run.processors import PictureProcessor

PARTS = ("preprocess", "prefill", "decode", "scores", "forward", "backward", "optimizer", "rest")
"""`scores`: log-probabilities without gradients (the reference's); `forward`: those with."""


def now() -> float:
    """The clock, once the GPU has done what it was told."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()


class Parts(TrainerCallback):
    """Seconds of each part, step by step; the GPU is waited for at each part's ends.

    Args:
        trainer: whose methods are watched from now on.
    """

    def __init__(self, trainer: Any) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self.steps: list[dict[str, float]] = []
        self._last, self._cpu = now(), time.process_time()
        self._optimizer_from = 0.0
        model = trainer.accelerator.unwrap_model(trainer.model)
        model = model.get_base_model() if is_peft_model(model) else model
        self._watch(trainer, "_generate_single_turn", lambda: "generation")
        if hasattr(model, "_prefill"):  # else it counts as decoding
            self._watch(model, "_prefill", lambda: "prefill")
        self._watch(
            trainer,
            "_get_per_token_logps_and_entropies",
            lambda: "forward" if torch.is_grad_enabled() else "scores",
        )
        self._watch(trainer.accelerator, "backward", lambda: "backward")

    def _watch(self, thing: Any, name: str, part: Callable[[], str]) -> None:
        own = getattr(thing, name)

        def timed(*arguments: Any, **options: Any) -> Any:
            which, started = part(), now()
            try:
                return own(*arguments, **options)
            finally:
                self._seconds[which] += now() - started

        setattr(thing, name, timed)

    @contextmanager
    def watching_pictures(self) -> Iterator[None]:
        """Within, pictures' processing counts as a part of its own."""
        own = PictureProcessor._process_images

        def timed(processor: Any, *arguments: Any, **options: Any) -> Any:
            started = time.perf_counter()
            try:
                return own(processor, *arguments, **options)
            finally:
                self._seconds["preprocess"] += time.perf_counter() - started

        PictureProcessor._process_images = timed
        try:
            yield
        finally:
            PictureProcessor._process_images = own

    def on_pre_optimizer_step(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self._optimizer_from = now()

    def on_optimizer_step(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        self._seconds["optimizer"] += now() - self._optimizer_from

    def on_log(self, args: Any, state: Any, control: Any, **rest: Any) -> None:
        if len(self.steps) >= state.global_step:
            return
        ended = now()
        found = dict(self._seconds)
        found["decode"] = found.pop("generation", 0.0) - found.get("prefill", 0.0)
        step = ended - self._last
        found["rest"] = step - sum(found.values())
        cpu = time.process_time()
        self.steps.append(
            {part: found.get(part, 0.0) for part in PARTS} | {"step": step, "cpu": cpu - self._cpu}
        )
        self._seconds.clear()
        self._last, self._cpu = ended, cpu

    def means(self, skipped: int) -> dict[str, float]:
        """Of the steps after the first ones; `step` all of it, `cpu` what the processor did."""
        counted = self.steps[skipped:]
        return {
            part: sum(step[part] for step in counted) / len(counted)
            for part in (*PARTS, "step", "cpu")
        }
