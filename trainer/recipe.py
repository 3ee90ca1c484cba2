"""The recipe: everything of a training run but its mixture."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    ValidationError,
    ValidationInfo,
    model_validator,
)

from rewards.math_judge import MathVerifyMissing, is_available
from rewards.training import PAPER_WEIGHTS, REWARDS
from service.plain_errors import located, path_of
from trainer.prompts import StyleName
from trainer.sections import (
    AdamW,
    Adaptive,
    Checkpoints,
    Command,
    Data,
    Evaluation,
    Lora,
    PositiveInt,
    Section,
    Speed,
    Vllm,
)

RewardWeight = Annotated[float, Field(ge=0.0, le=1e6)]
"""Penalties are below zero themselves."""


TINY = "tiny"
"""The built-in miniature, as a model's name."""


class RecipeError(ValueError):
    """The recipe cannot be run."""


ELSEWHERE = {"elsewhere": True}
"""Context of a validation where the recipe is not to be run: what must be installed need not be."""


def _known_rewards(weights: dict[str, float], info: ValidationInfo) -> dict[str, float]:
    unknown = sorted(set(weights) - set(REWARDS))
    if unknown or not weights:
        raise ValueError(f"unknown reward {unknown}; known: {', '.join(REWARDS)}")
    if "math" in weights and info.context != ELSEWHERE and not is_available():
        raise ValueError(str(MathVerifyMissing()))
    return weights


class Recipe(Section):
    """One GRPO run. The defaults are the built-in offline world's; scores are its own too."""

    backend: Literal["trl", "command"] = "trl"
    """Who trains: this package with TRL, or the user's own trainer."""
    command: Command | None = None
    model: Annotated[str, Field(min_length=1, max_length=1000)] = TINY
    """`tiny`, the built-in miniature; or a hub id or a folder of a model of Qwen2-VL's or
    Qwen2.5-VL's architecture."""
    dtype: Literal["mixed", "bfloat16", "float32"] = "mixed"
    """`bfloat16`: weights, gradients and arithmetic; the optimizer steps a copy of the weights in
    float32. `mixed`: weights and optimizer in float32, arithmetic in bfloat16 on a GPU and float32
    on a CPU. `float32`: all."""
    attention: Literal["eager", "sdpa", "flash_attention_2"] | None = None
    """How attention is computed; None leaves it to transformers."""
    world: Literal["tiny"] = "tiny"
    """Which drawn domains and benchmarks, where there is no `data`."""
    data: Data | None = None
    """Prepared domains and benchmarks instead of the drawn ones."""
    max_pixels: PositiveInt | None = None
    """Larger images are scaled down to so many pixels before the model sees them (Qwen-VL: one
    token for 28 x 28); None leaves it to the model's processor."""
    prompt: StyleName = "tiny"
    """How rows are put into words (`trainer/prompts.py`): `tiny` is what the miniature has read,
    `reasoning` asks for the paper's response form, `plain` for the bare answer, to be scored."""
    steps: Annotated[int, Field(ge=0)] = 24
    """Optimizer steps at most; a run ends early when a domain has no unseen sample left."""
    prompts_per_step: PositiveInt = 8
    generations: Annotated[int, Field(ge=2)] = 8
    """Completions of each prompt: the group of GRPO."""
    adaptive: Adaptive | None = None
    """Weights that follow what is still learnable; None draws by the mixture throughout, as the
    paper does."""
    max_completion_tokens: PositiveInt = 32
    temperature: Annotated[float, Field(gt=0.0, le=5.0)] = 1.0
    learning_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 1.6e-4
    schedule: Literal["constant", "linear", "cosine"] = "linear"
    warmup_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the steps with a rising learning rate."""
    beta: Annotated[float, Field(ge=0.0)] = 0.0
    """KL coefficient (the paper: 0.04)."""
    kl_correction: bool = False
    """Whether the KL term is weighed by the ratio of policies (DeepSeek-V3.2, arXiv 2512.02556);
    GRPO's own is not (arXiv 2402.03300, equation 4)."""
    loss: Literal["grpo", "bnpo", "dr_grpo", "dapo"] = "dapo"
    """How token losses are averaged: TRL's `loss_type`."""
    scale_rewards: Literal["group", "batch", "none"] = "group"
    """What advantages are divided by the standard deviation of."""
    importance_level: Literal["token", "sequence"] = "token"
    """What has a ratio of policies: each token (GRPO), or a completion (GSPO, arXiv 2507.18071)."""
    mask_truncated: bool = False
    """Leaves completions that reach `max_completion_tokens` out of the loss (DAPO)."""
    entropy_quantile: Annotated[float, Field(gt=0.0, le=1.0)] = 1.0
    """Share of tokens that the loss counts, those of highest entropy (arXiv 2506.01939)."""
    entropy_bonus: Annotated[float, Field(ge=0.0)] = 0.0
    """Weight of the tokens' mean entropy, which is taken off the loss."""
    adamw: AdamW = AdamW()
    max_grad_norm: Annotated[float, Field(ge=0.0)] = 1.0
    """Gradients are clipped to this norm; 0 leaves them."""
    gradient_accumulation: PositiveInt = 1
    """Pieces that a step's completions are cut into for forward and backward, on each GPU."""
    gradient_checkpointing: bool | Literal["auto"] = False
    """Computes activations twice instead of keeping them; `auto` does where the GPU's memory is too
    small to keep them (`trainer/planning/memory.py`)."""
    freeze_vision: bool = True
    lora: Lora | None = None
    """Adapters on the language model; None trains all of it."""
    vllm: Vllm = Vllm()
    checkpoints: Checkpoints = Checkpoints()
    speed: Speed = Speed()
    seed: Annotated[int, Field(ge=0, lt=2**31)] | None = None
    """Of order and completions, the same for every trial; None takes each trial's own."""
    reward_weights: Annotated[dict[str, RewardWeight], AfterValidator(_known_rewards)] = Field(
        default_factory=lambda: dict(PAPER_WEIGHTS)
    )
    threads: PositiveInt = 1
    """Torch threads on a CPU."""
    evaluation: Evaluation = Evaluation()

    @model_validator(mode="after")
    def _trainable(self) -> Self:
        if self.steps and self.prompt == "plain":
            raise ValueError(
                "prompt 'plain' asks for no reasoning, so its answers earn no reward; "
                "it is for scoring (steps: 0)"
            )
        if (self.completions_per_step) % self.gradient_accumulation:
            raise ValueError(
                f"{self.completions_per_step} completions a step (prompts_per_step * generations) "
                f"cannot be cut into {self.gradient_accumulation} pieces (gradient_accumulation)"
            )
        if self.backend == "command" and self.command is None:
            raise ValueError("backend 'command' needs the section 'command' with its script")
        if self.backend == "command" and self.adaptive is not None:
            raise ValueError(
                "a script of backend 'command' draws its samples itself, so `adaptive` would do "
                "nothing; leave it out"
            )
        if self.lora is not None and not self.freeze_vision:
            raise ValueError("adapters leave the vision tower as it is; set freeze_vision: true")
        return self

    @property
    def completions_per_step(self) -> int:
        """Completions of one optimizer step, over all processes."""
        return self.prompts_per_step * self.generations

    @property
    def answer_tokens(self) -> int:
        """Tokens that an answer of an evaluation has at most."""
        return self.evaluation.max_tokens or self.max_completion_tokens

    def evaluation_points(self, steps: int) -> tuple[int, ...]:
        """Steps that a run of so many steps is scored at: those of `evaluation.at` and the last."""
        return (*(at for at in self.evaluation.at if at < steps), steps)

    @classmethod
    def parse(cls, raw: Mapping[str, Any], *, is_here: bool = True) -> Recipe:
        """A recipe from a study's JSON.

        Args:
            is_here: it is to be run here, so what it needs must be installed.

        Raises:
            RecipeError: says which key is wrong, and the nearest known key for an unknown one.
        """
        try:
            return cls.model_validate(dict(raw), context=None if is_here else ELSEWHERE)
        except ValidationError as error:
            raise RecipeError("; ".join(map(_in_words, error.errors()))) from error


def _in_words(problem: Any) -> str:
    path = path_of(problem)
    if not path or problem["type"] != "extra_forbidden":
        said = f"recipe: {located(problem)}"
        # Our own words do not repeat what was given.
        is_own = path and problem["type"] == "value_error"
        return f"{said} (got {problem['input']!r:.60})" if is_own else said
    known = list(_keys(Recipe))
    near = difflib.get_close_matches(path, known, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
    return f"recipe: unknown key {path!r}; {hint}"


def _keys(part: type[BaseModel], prefix: str = "") -> Iterator[str]:
    """All keys of a recipe, those of sections with a dot."""
    for name, field in part.model_fields.items():
        yield prefix + name
        for kind in (field.annotation, *get_args(field.annotation)):
            if isinstance(kind, type) and issubclass(kind, Section):
                yield from _keys(kind, f"{prefix}{name}.")
