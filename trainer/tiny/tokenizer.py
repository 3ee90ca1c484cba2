"""The miniature's tokenizer: byte-level BPE trained on its own texts, with Qwen's vision tokens."""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

END_OF_TURN = "<|im_end|>"
PAD = "<|endoftext|>"
SPECIAL = {
    "image_token": "<|image_pad|>",
    "video_token": "<|video_pad|>",
    "vision_bos_token": "<|vision_start|>",
    "vision_eos_token": "<|vision_end|>",
}
TURN = "<|im_start|>"

# One turn is "<|im_start|>…", so a prompt has three tokens more than its picture and its text.
CHAT_TEMPLATE = (
    "{%- for message in messages -%}{{ '<|im_start|>' }}"
    "{%- if message['content'] is string -%}{{ message['content'] }}{%- else -%}"
    "{%- for part in message['content'] -%}{%- if part['type'] == 'image' -%}"
    "{{ '<|vision_start|><|image_pad|><|vision_end|>' }}"
    "{%- elif part['type'] == 'text' -%}{{ part['text'] }}{%- endif -%}{%- endfor -%}{%- endif -%}"
    "{%- if message['role'] == 'assistant' -%}{{ '<|im_end|>' }}{%- endif -%}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{ '<|im_start|>' }}{%- endif -%}"
)

# What may become one token: a tag, a stretch of a box, a lettered option, a coordinate, the
# reasoning prompt, a word.
_PIECES = Regex(
    r"</?think>|</?answer>"
    r"|\[\{'Position': \[|\], 'Confidence': 1\.0\}, \{'Position': \[|\], 'Confidence': 1\.0\}\]"
    r"| [A-D] \p{L}+|\d(?:, )?| ?Think, then answer\.| ?\p{L}+|\s+| ?[^\s\p{L}\d]"
)
_MOST_TOKENS = 1024


def train(texts: Iterable[str]) -> PreTrainedTokenizerFast:
    """A tokenizer of these texts; any other text falls back to bytes. Deterministic."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(_PIECES, "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=_MOST_TOKENS,
            min_frequency=2,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            special_tokens=[PAD, TURN, END_OF_TURN, *SPECIAL.values()],
            show_progress=False,
        ),
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        pad_token=PAD,
        eos_token=END_OF_TURN,
        additional_special_tokens=[TURN],
        extra_special_tokens=SPECIAL,
        padding_side="left",
        clean_up_tokenization_spaces=False,
        chat_template=CHAT_TEMPLATE,
    )
