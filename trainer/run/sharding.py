"""Whether a run's models are cut into shards, as `accelerate launch` tells its processes."""

from __future__ import annotations

from accelerate.utils import parse_flag_from_env


def is_sharded() -> bool:
    """Whether FSDP or DeepSpeed is to have the models; known before either has them."""
    return any(
        parse_flag_from_env(name) for name in ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    )
