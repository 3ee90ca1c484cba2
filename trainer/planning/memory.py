"""How much GPU memory a recipe takes: an estimate whose every term can be followed.

Per GPU, with P all parameters, T trained ones, b bytes of a weight (2 in bfloat16, else 4), a bytes
of an activation, S tokens of a sequence (prompt and completion), M completions in one
forward-backward, C completions that this GPU generates at once, n layers, h hidden size:

    weights      P b
    reference    P b                   where beta > 0 and there are no adapters
    gradients    T b                   4 bytes for adapters
    optimizer    8 T                   AdamW's two moments in float32, and
                 4 T                   the weights in float32 where they themselves are not;
                                       0 where they are kept in host memory
    activations  M S a (n h + layer)   with gradient checkpointing: inputs of all layers, one layer
                 M S a n layer         without;  layer = 8 h + 2 q + 4 k + 4 f numbers a token
    logits       2 S_c 4 v             one completion's, in float32: TRL works them off in chunks
    cache        2 n k S C a           keys and values while completions are generated; they stay
                                       with compiled decoding
    evaluation   E a 2 n k S'          those of a batch of E answers, S' tokens with their prompts,
                 E a P (4 h + 3 f)     and one layer over the prompts, P tokens each
    rest         1.5 GiB + 10%         CUDA, libraries' workspaces, fragmentation

q, k: width of queries and of keys; f: width of the feed-forward layer; v: vocabulary. `layer`
counts what autograd keeps of a block with SDPA attention: norms, projections, attention's output,
the gated feed-forward layer (after Korthikanti et al. 2022, arXiv 2205.05198, section 4, without
the attention matrix). Activations with logits, a cache that does not stay, and evaluation are there
one after the other, so the largest counts. vLLM's share comes on top where it is colocated.
"""

from __future__ import annotations

from dataclasses import dataclass

from trainer.planning.shapes import Shape
from trainer.recipe import Recipe

GIB = 2**30
REST = 1.5 * GIB
SPARE = 0.10
QUESTION_TOKENS = 300
"""Tokens of a question and its directions, apart from images."""
UNCAPPED_PIXELS = 1280 * 28 * 28
"""Of an image where a recipe has no cap: Qwen2-VL's card advises this range's upper end."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one GPU, term by term."""

    weights: float
    reference: float
    gradients: float
    optimizer: float
    activations: float
    logits: float
    cache: float
    evaluation: float
    rest: float
    host: float
    """Of the machine, not of the GPU: the optimizer's state where it is kept there, the weights
    below adapters where these are handed to vLLM, and pictures and features that are kept."""
    cache_stays: bool
    """Whether the cache is there at the same time as activations."""

    @property
    def total(self) -> float:
        lasting = self.weights + self.reference + self.gradients + self.optimizer
        passing = [self.activations + self.logits, self.evaluation]
        if self.cache_stays:
            lasting += self.cache
        else:
            passing.append(self.cache)
        return (lasting + max(passing)) * (1 + SPARE) + self.rest


def trained_parameters(recipe: Recipe, shape: Shape) -> int:
    """Parameters that a recipe trains."""
    if recipe.lora is None:
        return shape.language + (0 if recipe.freeze_vision else shape.vision)
    return recipe.lora.rank * shape.layers * sum(map(sum, _adapted(recipe, shape)))


def _adapted(recipe: Recipe, shape: Shape) -> list[tuple[int, int]]:
    """Inputs and outputs of the linear layers of one block that get adapters."""
    h, f = shape.hidden, shape.intermediate
    sizes = {
        "q_proj": (h, shape.heads_width),
        "k_proj": (h, shape.kv_width),
        "v_proj": (h, shape.kv_width),
        "o_proj": (shape.heads_width, h),
        "gate_proj": (h, f),
        "up_proj": (h, f),
        "down_proj": (f, h),
    }
    targets = () if recipe.lora is None else recipe.lora.target_modules
    return [sizes[name] for name in targets if name in sizes]


def has_masters(recipe: Recipe) -> bool:
    """Whether the optimizer has a copy of the trained weights in float32 (adapters are in it)."""
    return recipe.adamw.offload or (recipe.dtype == "bfloat16" and recipe.lora is None)


def optimizer_bytes(recipe: Recipe, trained: int) -> int:
    """Bytes of AdamW's state, wherever it is kept, for so many trained parameters."""
    return (12 if has_masters(recipe) else 8) * trained


def prompt_tokens(recipe: Recipe, shape: Shape) -> int:
    """Tokens of a prompt with one image of the largest size."""
    pixels = recipe.max_pixels or (64 * 64 if recipe.model == "tiny" else UNCAPPED_PIXELS)
    return QUESTION_TOKENS + -(-pixels // shape.pixels_per_token)


def estimate(
    recipe: Recipe, shape: Shape, gpus: int = 1, *, checkpointing: bool | None = None
) -> Memory:
    """Memory of one of `gpus` GPUs that share a step's completions (data parallel).

    Args:
        checkpointing: of gradients; None for the recipe's, which is without for `auto`.
    """
    if checkpointing is None:
        checkpointing = recipe.gradient_checkpointing is True
    b = 2 if recipe.dtype == "bfloat16" else 4
    a = 4 if recipe.dtype == "float32" else 2
    trained = trained_parameters(recipe, shape)
    state = optimizer_bytes(recipe, trained)
    below = shape.layers * sum(inputs * outputs for inputs, outputs in _adapted(recipe, shape))
    here = -(-recipe.completions_per_step // gpus)
    at_once = -(-here // recipe.gradient_accumulation)
    prompt = prompt_tokens(recipe, shape)
    sequence = prompt + recipe.max_completion_tokens
    answer = prompt + recipe.answer_tokens
    keys = 2 * shape.layers * shape.kv_width
    layer = 8 * shape.hidden + 2 * shape.heads_width + 4 * shape.kv_width + 4 * shape.intermediate
    kept = shape.layers * shape.hidden + layer if checkpointing else shape.layers * layer
    return Memory(
        weights=shape.parameters * b,
        reference=shape.parameters * b if recipe.beta > 0 and recipe.lora is None else 0,
        gradients=trained * (4 if recipe.lora is not None else b),
        optimizer=0 if recipe.adamw.offload else state,
        activations=at_once * sequence * a * kept,
        logits=2 * recipe.max_completion_tokens * 4 * shape.vocabulary,
        cache=keys * sequence * here * a,
        evaluation=recipe.evaluation.batch_size
        * a
        * (keys * answer + prompt * (4 * shape.hidden + 3 * shape.intermediate)),
        rest=REST,
        host=(state if recipe.adamw.offload else 0)
        + (below * b if recipe.vllm.mode != "off" else 0)
        + (recipe.speed.kept_gib * GIB if recipe.speed.pictures_once else 0),
        cache_stays=recipe.speed.compiled is not False,
    )
