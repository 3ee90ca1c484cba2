"""Text and pictures into what Qwen-VL models read."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from transformers import BatchFeature, PreTrainedTokenizerBase, ProcessorMixin
from transformers.models.qwen2_vl.processing_qwen2_vl import Qwen2VLProcessor

IMAGE, VIDEO = "<|image_pad|>", "<|video_pad|>"
_CONTROL = re.compile(r"<\|.*\|>")


class PictureProcessor(Qwen2VLProcessor):
    """Qwen-VL's processor without its video part, which cannot be built without torchvision.

    The same for Qwen2-VL and Qwen2.5-VL: they differ in how they read videos.
    """

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
