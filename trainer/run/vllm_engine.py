"""vLLM in the training processes (mode `colocate`): how it is asked, in training and evaluation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import groupby
from typing import Any

import numpy as np
from PIL.Image import Image
from trl.trainer import grpo_trainer

from trainer.run.processors import IMAGE


def one_token_an_image(prompt: Sequence[int], image_token: int) -> list[int]:
    """A prompt in which each image has one token, as vLLM takes it.

    TRL 1.16 hands over prompts whose images already have a token for each of their features, and
    vLLM, given the images too, makes as many once more of the first one (TRL's issue 6294). A
    server is given features that are in their places, and wants prompts as they are.
    """
    return [
        token
        for value, run in groupby(prompt)
        for token in ([value] if value == image_token else run)
    ]


@contextmanager
def room_for(requests: int) -> Iterator[None]:
    """Within, the engine that TRL starts works on at least so many requests at once.

    TRL makes room for a step's completions alone.
    """
    trl: Any = grpo_trainer
    own = trl.VLLMGeneration

    def roomy(*arguments: Any, max_num_seqs: int = 0, **options: Any) -> Any:
        return own(*arguments, max_num_seqs=max(max_num_seqs, requests), **options)

    trl.VLLMGeneration = roomy
    try:
        yield
    finally:
        trl.VLLMGeneration = own


class Engine:
    """The engine of a trainer, with the trainer's weights.

    Args:
        trainer: TRL's, whose engine is in its own process and not shared out over several.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer

    def answers(
        self,
        prompts: Sequence[Sequence[int]],
        images: Sequence[Sequence[Image]],
        streams: Sequence[Sequence[int]],
        *,
        tokens: int,
        temperature: float,
        ends: Sequence[int],
    ) -> list[list[int]]:
        """Tokens that follow each prompt.

        Args:
            prompts: with one token an image.
            streams: what each answer's draws follow from.
            tokens: of an answer at most.
            temperature: 0 decodes greedily.
        """
        from vllm import SamplingParams

        self._take_up_weights()
        sampling = partial(
            SamplingParams,
            n=1,
            temperature=temperature,
            top_p=1.0,
            top_k=0,
            min_p=0.0,
            repetition_penalty=1.0,
            max_tokens=tokens,
            stop_token_ids=list(ends),
            bad_words=[IMAGE],  # as in training
        )
        asked = [
            {"prompt_token_ids": list(prompt)}
            | ({"multi_modal_data": {"image": list(pictures)}} if pictures else {})
            for prompt, pictures in zip(prompts, images, strict=True)
        ]
        found = self._trainer.vllm_generation.llm.generate(
            asked,
            sampling_params=[sampling(seed=_seed(stream)) for stream in streams],
            use_tqdm=False,
        )
        return [list(one.outputs[0].token_ids) for one in found]

    def _take_up_weights(self) -> None:
        trainer = self._trainer
        if trainer.state.global_step != trainer._last_loaded_step:
            trainer.vllm_generation.sync_weights()
            trainer._last_loaded_step = trainer.state.global_step


def _seed(stream: Sequence[int]) -> int:
    return int(np.random.default_rng(list(stream)).integers(2**31))
