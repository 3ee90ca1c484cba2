"""A frozen vision tower computes the features of each picture once.

What stands for the patches of a picture on its way through TRL is its number, once a patch: TRL
shares rows of `pixel_values` out by the pictures' grids, and copies no patches then.
"""

from __future__ import annotations

from functools import wraps
from typing import Any

import torch
from transformers.modeling_outputs import BaseModelOutputWithPooling

from trainer.run.adapters import is_peft_model
from trainer.run.pictures import Pictures


def keep_features(model: Any, pictures: Pictures) -> None:
    """Has a model take pictures' features from those kept; from now on numbers stand for patches.

    Each picture's are computed alone, in the weights' own type and never under autocast, so they
    depend on nothing but the picture. Several models may share `pictures` where their towers are
    one: a policy and its reference.

    Args:
        model: whose vision tower is frozen and whole in this process.
    """
    inner = (model.get_base_model() if is_peft_model(model) else model).model
    own = inner.get_image_features

    def compute(patches: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        with torch.no_grad(), torch.autocast(patches.device.type, enabled=False):
            found: torch.Tensor = own(patches, grid, return_dict=True).pooler_output[0]
        return found

    @wraps(own)
    def get_image_features(pixel_values: Any, image_grid_thw: Any = None, **options: Any) -> Any:
        if pixel_values.is_floating_point():
            return own(pixel_values, image_grid_thw, **options)
        lengths = image_grid_thw.prod(-1)
        numbers = pixel_values[lengths.cumsum(0) - 1, 0].tolist()
        device = pixel_values.device
        # A group's completions have one picture, which crosses to the GPU once.
        each = {n: pictures.features(n, compute, device) for n in dict.fromkeys(numbers)}
        found: Any = tuple(each[number] for number in numbers)
        return BaseModelOutputWithPooling(pooler_output=found)

    inner.get_image_features = get_image_features
    pictures.stands_for_patches = True
