"""Text and pictures into what Qwen-VL models read."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL.Image import Image, Resampling
from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin
from transformers.image_utils import make_flat_list_of_images
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor

from trainer.run.pictures import Pictures

IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
UNCAPPED = 2**62
_CONTROL = re.compile(r"<\|.*\|>")


class PictureProcessor(Qwen2VLProcessor):
    """Qwen-VL's processor without its video part, which cannot be built without torchvision.

    The same for Qwen2-VL and Qwen2.5-VL: they differ in how they read videos.

    Attributes:
        pictures: those it has processed; None keeps none.
    """

    pictures: Pictures | None = None

    def __init__(
        self,
        image_processor: Any = None,
        tokenizer: PreTrainedTokenizerBase | None = None,
        chat_template: str | None = None,
    ) -> None:
        assert tokenizer is not None  # noqa: S101 - the base class gives it a default
        for name, token in (("image", IMAGE), ("video", VIDEO)):
            setattr(self, f"{name}_token", token)
            setattr(self, f"{name}_token_id", tokenizer.convert_tokens_to_ids(token))
        ProcessorMixin.__init__(self, image_processor, tokenizer, chat_template=chat_template)

    def apply_chat_template(self, conversation: Any, *arguments: Any, **options: Any) -> Any:
        """The template's words, in which a row's own never stand for a picture or end a turn."""
        plain = _plain(conversation, self._control_tokens)
        return super().apply_chat_template(plain, *arguments, **options)

    @property
    def _control_tokens(self) -> re.Pattern[str]:
        """What the tokenizer takes for more than its letters, longest first."""
        # Not kept: a processor saves all that it holds as JSON.
        added = self.tokenizer.added_tokens_decoder.values()
        found = {
            str(token.content) for token in added if token.special or _CONTROL.fullmatch(str(token))
        }
        found |= {IMAGE, VIDEO, *self.tokenizer.all_special_tokens}
        return re.compile("|".join(map(re.escape, sorted(found, key=len, reverse=True))))

    def __call__(self, images: Any = None, *arguments: Any, **options: Any) -> BatchFeature:
        # TRL 1.16 passes None for a row without images beside lists for the others.
        if isinstance(images, list) and any(of_row is None for of_row in images):
            images = [image for of_row in images for image in of_row or ()]
        inputs: BatchFeature = super().__call__(images, *arguments, **options)
        return inputs

    def keep_pictures(self, limit: float) -> Pictures:
        """Processes each picture once from now on; so many bytes of them stay."""
        self.pictures = Pictures(self._patches, limit)
        return self.pictures

    def prepare(self, images: Sequence[Image]) -> None:
        """Processes pictures that will be asked for, where they are kept."""
        if self.pictures is not None:
            for image in images:
                self.pictures.prepare(image)

    def _patches(self, image: Image) -> tuple[np.ndarray, np.ndarray]:
        made = self.image_processor([image], return_tensors="pt")
        return made["pixel_values"].numpy(), made["image_grid_thw"][0].numpy()

    def _process_images(self, images: Any, **options: Any) -> tuple[Any, list[str]]:
        made: Any
        if self.pictures is None:
            made, words = super()._process_images(images, **options)
            return made, words
        flat: Any = make_flat_list_of_images(images)
        found = self.pictures.get(flat)
        grids = np.stack([picture.grid for picture in found])
        if self.pictures.stands_for_patches:
            numbers = np.array([[picture.number] for picture in found])
            rows = np.repeat(numbers, grids.prod(axis=1), axis=0)
        else:
            rows = np.concatenate([picture.patches for picture in found])
        made = BatchFeature({"pixel_values": rows, "image_grid_thw": grids})
        return made, [self.replace_image_token(made, i) for i in range(len(found))]


def _plain(part: Any, control: re.Pattern[str]) -> Any:
    """Messages with a space after the first character of each control token in their texts."""
    if isinstance(part, str):
        return control.sub(lambda found: f"{found[0][:1]} {found[0][1:]}", part)
    if isinstance(part, Mapping):
        return {
            name: _plain(value, control) if name in ("content", "text") else value
            for name, value in part.items()
        }
    return [_plain(item, control) for item in part] if isinstance(part, list | tuple) else part


def cap_pixels(processor: PictureProcessor, max_pixels: int) -> None:
    """Has larger images scaled down to at most so many pixels."""
    size = processor.image_processor.size
    least = min(int(size["shortest_edge"]), max_pixels)
    processor.image_processor.size = type(size)(shortest_edge=least, longest_edge=max_pixels)


def scaled(image: Image, processor: PictureProcessor) -> Image:
    """The image as the processor would scale it, where it is larger than the processor's cap.

    vLLM processes images itself, by the published model's cap; of a scaled one both make the same.
    """
    images = processor.image_processor
    least, most = (int(images.size[edge]) for edge in ("shortest_edge", "longest_edge"))
    side = images.patch_size * images.merge_size
    height, width = smart_resize(image.height, image.width, side, least, most)
    uncapped = smart_resize(image.height, image.width, side, least, UNCAPPED)
    if (height, width) == uncapped:
        return image
    if smart_resize(height, width, side, least, most) != (height, width):
        return image  # it would be scaled once more
    image = image if image.mode == "RGB" else image.convert("RGB")
    return image.resize((width, height), Resampling.BICUBIC)
