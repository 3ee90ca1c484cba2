"""Low-rank adapters (LoRA) by peft."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from trainer.recipe import RecipeError
from trainer.sections import Lora


def is_peft_model(model: Any) -> bool:
    """Whether the model has adapters; false without peft."""
    return hasattr(model, "peft_config")


def _need_peft() -> None:
    if find_spec("peft") is None:
        raise RecipeError(
            "recipe: lora needs peft, which is not installed; pip install 'modomodo[lora]'"
        )


def peft_config(lora: Lora | None) -> Any:
    """peft's settings for adapters on the language model; None without.

    Raises:
        RecipeError: peft is not installed.
    """
    if lora is None:
        return None
    _need_peft()
    from peft import LoraConfig

    return LoraConfig(
        r=lora.rank,
        lora_alpha=lora.alpha,
        lora_dropout=lora.dropout,
        target_modules=rf".*language_model.*\.({'|'.join(lora.target_modules)})",
        task_type="CAUSAL_LM",
    )


@dataclass(frozen=True, slots=True)
class Factors:
    """What an adapter changes of one weight: `scaling * up @ down`; both in float32, on the CPU."""

    up: Tensor
    down: Tensor
    scaling: float


def read(model: Any, folder: Path) -> dict[str, Factors]:
    """Saved adapters, by the name of the weight that each is of. The model is left as it was.

    Raises:
        RecipeError: peft is not installed.
    """
    _need_peft()
    from peft import PeftModel
    from peft.tuners.lora import LoraLayer

    adapted = PeftModel.from_pretrained(model, str(folder))
    inner: Any = adapted.base_model.model
    found = {}
    for name, layer in inner.named_modules():
        if isinstance(layer, LoraLayer):
            parts: tuple[Any, Any] = layer.lora_B, layer.lora_A
            up, down = (part["default"].weight.detach().float().cpu() for part in parts)
            found[f"{name}.weight"] = Factors(up, down, layer.scaling["default"])
    adapted.unload()
    return found


def change(adapters: Iterable[Mapping[str, Factors]], shares: Sequence[float]) -> dict[str, Tensor]:
    """What adapters change of a model's weights together: the sum of their deltas, each times its
    share, in float32, by the weight's name."""
    total: dict[str, Tensor] = {}
    for adapter, share in zip(adapters, shares, strict=True):
        for name, factors in adapter.items():
            # Not by the layer's own sum, which is in the adapter's precision.
            delta = (factors.up @ factors.down) * (factors.scaling * share)
            total[name] = total[name] + delta if name in total else delta
    return total


class BaseWeights:
    """The weights below a model's adapters as they are now, in host memory.

    Merging adds an adapter's delta to them and unmerging takes it away again. In bfloat16 both
    round, so the weights are others afterwards, and drift when it is done at every step.
    """

    def __init__(self, model: Any) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer

        self._weights = [
            weight
            for layer in model.modules()
            if isinstance(layer, BaseTunerLayer)
            for weight in layer.get_base_layer().parameters(recurse=False)
        ]
        self._kept = [_copy(_here(weight)) for weight in self._weights]

    def restore(self) -> None:
        """Puts them back, bit by bit; for a model whose adapters are not merged."""
        for weight, kept in zip(self._weights, self._kept, strict=True):
            _here(weight).copy_(kept)


def restore_base_after_handing_over(generation: Any, model: Any) -> None:
    """Makes TRL's hand-over of weights to vLLM leave the base as it was.

    Args:
        generation: TRL's `VLLMGeneration`, whose `sync_weights` merges, hands over and unmerges.
        model: with adapters.
    """
    hand_over = generation.sync_weights
    base: BaseWeights | None = None

    def sync_weights() -> None:
        nonlocal base
        if base is None:  # the model is where it trains by now
            base = BaseWeights(model)
        hand_over()
        base.restore()

    generation.sync_weights = sync_weights


def _here(weight: torch.Tensor) -> torch.Tensor:
    """What this process holds of a weight: a shard of it, where the model is sharded."""
    data = weight.detach()
    return data.to_local() if hasattr(data, "to_local") else data


def _copy(data: torch.Tensor) -> torch.Tensor:
    kept = data.to("cpu", copy=True)
    return kept.pin_memory() if data.is_cuda else kept
