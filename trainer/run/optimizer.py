"""AdamW whose steps are not rounded away where the weights are in bfloat16.

A bfloat16 number has 8 bits of mantissa: a step of 1e-6 is lost on any weight above 3e-4. So the
optimizer keeps each weight in float32, the master, with its moments, steps that one by the gradient
in float32, and rounds it to the weight (mixed-precision training: Micikevicius et al. 2018, arXiv
1710.03740, section 3.1). Rounding by chance instead would need no masters, but draws from torch's
generator: the numbers of a resumed run, or of one on other devices, would be others.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch.optim.adamw import adamw

HOST = torch.device("cpu")


class MasterAdamW(torch.optim.AdamW):
    """AdamW in float32 whatever the weights are in.

    State of a parameter: `step`, `exp_avg`, `exp_avg_sq` and, where it is not in float32 or the
    state is kept in host memory, `master`: its value in float32. A gradient counts as it is, so
    pieces of a step that were summed in bfloat16 stay so.

    Args:
        offload: keeps the state in host memory and steps there; only gradients and weights cross.
    """

    def __init__(self, params: Any, *, offload: bool = False, **options: Any) -> None:
        super().__init__(params, **options)
        self._offload = offload

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """One step of every parameter that has a gradient."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for weight in group["params"]:
                if weight.grad is None:
                    continue
                state = self._state_of(weight)
                master = state.get("master", weight)
                # One parameter at a time: only one gradient is there in float32.
                adamw(
                    [master],
                    [weight.grad.to(master.device).to(master.dtype)],
                    [state["exp_avg"]],
                    [state["exp_avg_sq"]],
                    [],
                    [state["step"]],
                    fused=True,
                    amsgrad=False,
                    beta1=beta1,
                    beta2=beta2,
                    lr=group["lr"],
                    weight_decay=group["weight_decay"],
                    eps=group["eps"],
                    maximize=False,
                )
                if master is not weight:
                    weight.copy_(master.to(weight.dtype))
        return loss

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Takes up a state bit by bit: torch's own would round it to the weights' type."""
        super().load_state_dict({**state_dict, "state": {}})
        saved = [i for group in state_dict["param_groups"] for i in group["params"]]
        weights = [weight for group in self.param_groups for weight in group["params"]]
        for i, weight in zip(saved, weights, strict=True):
            if i in state_dict["state"]:
                self.state[weight] = {
                    name: value.to(device=self._home(weight), dtype=torch.float32)
                    for name, value in state_dict["state"][i].items()
                }

    def _home(self, weight: torch.Tensor) -> torch.device:
        return HOST if self._offload else weight.device

    def _state_of(self, weight: torch.Tensor) -> dict[str, torch.Tensor]:
        state: dict[str, torch.Tensor] = self.state[weight]
        home = self._home(weight)
        if not state:
            state["step"] = torch.zeros((), device=home)
            for moment in ("exp_avg", "exp_avg_sq"):
                state[moment] = torch.zeros_like(weight, dtype=torch.float32, device=home)
        # Also a state that plain AdamW has left behind has none.
        if "master" not in state and (self._offload or weight.dtype != torch.float32):
            state["master"] = weight.detach().to(device=home, dtype=torch.float32, copy=True)
        return state
