"""How much GPU memory a recipe takes: an estimate whose every term can be followed.

Per GPU, with P all parameters, T trained ones, b bytes of a weight (2 in bfloat16, else 4), a bytes
of an activation, S tokens of a sequence (prompt and completion), M completions in one
forward-backward, C completions that this GPU generates at once, n layers, h hidden size:

    weights      P b
    casts        2 L                   with `mixed`: the language model's weights in bfloat16, which
                                       autocast makes and the backward pass needs
    reference    P b                   where beta > 0 and there are no adapters
    gradients    T b                   4 bytes for adapters
    optimizer    8 T                   AdamW's two moments in float32, and
                 4 T                   the weights in float32 where they themselves are not;
                                       0 where they are kept in host memory
    activations  M S (n h r + layer)   with gradient checkpointing: inputs of all layers, one layer
                 M S n layer           without
    tower        M V a (m e + block)   the same of a vision tower that trains
                 M V a m block
    logits       a tile                TRL works them off in tiles of 4,096 tokens and 32,768 words
                 v h (4 + b)           the gradient of the words' weights, in float32 and as b,
                                       which is not there twice where b is 4; 0 with adapters
    cache        2 n k S C a           keys and values while completions are generated; they stay
                                       with compiled decoding
    evaluation   E a 2 n k S'          those of a batch of E answers, S' tokens with their prompts;
                                       a third more with compiled decoding, where smaller batches
                                       have their own
                 E a P (4 h + 3 f)     and one layer over the prompts, P tokens each
                                       0 where a colocated vLLM answers
    rest         1.5 GiB + 10%         CUDA, libraries' workspaces, fragmentation

L: parameters of the language model; r: bytes of what a layer hands on, 2 with `bfloat16`, else 4;
q, k: width of queries and of keys; f: width of the feed-forward layer; v: vocabulary; V: patches of
a picture, m, e: blocks and width of the tower. `layer` is what autograd keeps of a token in a block
with SDPA attention: norms, projections, attention's output, the gated feed-forward layer (after
Korthikanti et al. 2022, arXiv 2205.05198, section 4, without the attention matrix), in bytes

    a (8 h + 2 q + 4 k + 4 f)
    + 10 h                             with `mixed`: norms and what is handed on are in float32
    - 2 h r                            with adapters: frozen norms keep less
    - a (2 h + f) + 4 (i + rank)       with adapters on `bfloat16`: frozen layers keep no input, but
                                       adapters compute in float32, each on an input of its own

i: inputs and `rank`s of a block's adapted layers, summed up. `block`, numbers: 11 e + 3 f of
Qwen2-VL's tower, 14 e + 4 f of Qwen2.5-VL's. Activations with logits, a cache that does not stay,
and evaluation are there one after the other, so the largest counts. vLLM's share comes on top where
it is colocated.
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
TILE = 4096, 32768
"""Tokens and words whose logits TRL 1.16 has at once (`trl/kernels/chunked_logprob.py`)."""
UNCAPPED_PIXELS = 1280 * 28 * 28
"""Of an image where a recipe has no cap: Qwen2-VL's card advises this range's upper end."""


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes on one GPU, term by term."""

    weights: float
    casts: float
    reference: float
    gradients: float
    optimizer: float
    activations: float
    """Of the vision tower, too, where it trains."""
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
    def training(self) -> float:
        """While a step is trained on."""
        return self._with(self.activations + self.logits)

    @property
    def total(self) -> float:
        passing = 0 if self.cache_stays else self.cache
        return max(self.training, self._with(self.evaluation), self._with(passing))

    def _with(self, passing: float) -> float:
        """All that lasts, with what is there for a while."""
        lasting = self.weights + self.casts + self.reference + self.gradients + self.optimizer
        lasting += self.cache if self.cache_stays else 0
        return (lasting + passing) * (1 + SPARE) + self.rest


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
    keys = 2 * shape.layers * shape.kv_width
    layer = _layer_bytes(recipe, shape, a)
    kept = shape.layers * shape.hidden * b + layer if checkpointing else shape.layers * layer
    tile = min(at_once * recipe.max_completion_tokens, TILE[0]) * min(shape.vocabulary, TILE[1])
    words = shape.vocabulary * shape.hidden * (4 + (b if b < 4 else 0))
    return Memory(
        weights=shape.parameters * b,
        casts=shape.language * 2 if recipe.dtype == "mixed" else 0,
        reference=shape.parameters * b if recipe.beta > 0 and recipe.lora is None else 0,
        gradients=trained * (4 if recipe.lora is not None else b),
        optimizer=0 if recipe.adamw.offload else state,
        activations=at_once * (sequence * kept + _tower_bytes(recipe, shape, a, checkpointing)),
        logits=tile * a + (words if recipe.lora is None else 0),
        cache=keys * sequence * here * a,
        evaluation=0 if _vllm_answers(recipe) else _evaluation_bytes(recipe, shape, a),
        rest=REST,
        host=(state if recipe.adamw.offload else 0)
        + (below * b if recipe.vllm.mode != "off" else 0)
        + (recipe.speed.kept_gib * GIB if recipe.speed.pictures_once else 0),
        cache_stays=recipe.speed.compiled is not False,
    )


def _layer_bytes(recipe: Recipe, shape: Shape, a: int) -> int:
    """Bytes that autograd keeps of a token in one block of the language model."""
    h, f = shape.hidden, shape.intermediate
    kept = a * (8 * h + 2 * shape.heads_width + 4 * shape.kv_width + 4 * f)
    if recipe.dtype == "mixed":
        kept += 10 * h
    if recipe.lora is not None:
        kept -= 2 * h * (2 if recipe.dtype == "bfloat16" else 4)
        if recipe.dtype == "bfloat16":
            inputs = sum(inputs + recipe.lora.rank for inputs, _ in _adapted(recipe, shape))
            kept += 4 * inputs - a * (2 * h + f)
    return kept


def _tower_bytes(recipe: Recipe, shape: Shape, a: int, checkpointing: bool) -> int:
    """Bytes that autograd keeps of a picture in a vision tower that trains."""
    if recipe.freeze_vision:
        return 0
    tower = shape.tower
    patches = (prompt_tokens(recipe, shape) - QUESTION_TOKENS) * tower.patches_per_token
    if checkpointing:
        return patches * a * (tower.blocks * tower.hidden + tower.kept)
    return patches * a * tower.blocks * tower.kept


def _vllm_answers(recipe: Recipe) -> bool:
    """Whether evaluations are vLLM's for sure; with `auto` it may not be there."""
    vllm = recipe.vllm
    is_whole = vllm.mode == "colocate" and vllm.tensor_parallel_size == 1
    return is_whole and recipe.speed.evaluation_by_vllm


def _evaluation_bytes(recipe: Recipe, shape: Shape, a: int) -> float:
    prompt = prompt_tokens(recipe, shape)
    keys = 2 * shape.layers * shape.kv_width * (prompt + recipe.answer_tokens)
    caches = 1 if recipe.speed.compiled is False else 4 / 3
    layer = prompt * (4 * shape.hidden + 3 * shape.intermediate)
    return recipe.evaluation.batch_size * a * (keys * caches + layer)
