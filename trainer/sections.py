"""The sections of a recipe."""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from service.schemas import Name

PositiveInt = Annotated[int, Field(ge=1)]


class Section(BaseModel):
    """A part of a recipe; an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False, frozen=True)


def _below_root(folder: str) -> str:
    path = PurePosixPath(folder)
    if not folder or "\0" in folder or path.is_absolute() or ".." in path.parts:
        raise ValueError("is a folder below the worker's data folder, such as 'coco-train'")
    return folder


Folder = Annotated[str, AfterValidator(_below_root)]
"""A folder's name below the one that a worker was given with --data."""


def _rising(steps: tuple[int, ...]) -> tuple[int, ...]:
    if list(steps) != sorted(set(steps)):
        raise ValueError("evaluation points rise, each named once, as [500, 1500, 2000]")
    return steps


class Data(Section):
    """Prepared datasets (`modomodo data prepare`), each by the folder it lies in."""

    domains: Annotated[dict[Name, Folder], Field(min_length=1, max_length=64)]
    """What mixtures weigh: the study's domains, by name."""
    benchmarks: Annotated[dict[Name, Folder], Field(min_length=1, max_length=256)]
    """What is scored: the study's benchmarks, by name."""


class Evaluation(Section):
    """When and how a model is scored."""

    at: Annotated[tuple[PositiveInt, ...], AfterValidator(_rising)] = ()
    """Steps to score at on the way; the last step of a run is always scored."""

    temperature: Annotated[float, Field(ge=0.0, le=5.0)] = 1.0
    """0 decodes greedily, as the paper does; above 0 one answer is drawn per item."""
    batch_size: PositiveInt = 100
    max_tokens: PositiveInt | None = None
    """Tokens of an answer at most; None: as many as a training completion may have."""
    limit: PositiveInt | None = None
    """Items per benchmark, a fixed stratified subset; None takes all."""
    limit_on_the_way: PositiveInt | None = None
    """The same at the points before the last one; None: as at the last one."""
    split: Literal["test", "tune"] = "test"
    """Of the built-in world: `tune` items are for choosing settings, `test` items for reporting."""


class Lora(Section):
    """Low-rank adapters instead of full fine-tuning (needs the extra `lora`)."""

    rank: PositiveInt = 64
    alpha: PositiveInt = 128
    """The adapters' share is scaled by alpha / rank."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    target_modules: Annotated[tuple[str, ...], Field(min_length=1)] = (
        *("q_proj", "k_proj", "v_proj", "o_proj"),
        *("gate_proj", "up_proj", "down_proj"),
    )
    """Linear layers of the language model that get adapters, by the end of their name."""


class AdamW(Section):
    """The optimizer, decoupled weight decay."""

    beta1: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.9
    beta2: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.999
    epsilon: Annotated[float, Field(gt=0.0)] = 1e-8
    weight_decay: Annotated[float, Field(ge=0.0)] = 0.0
    offload: bool = False
    """Keeps moments, and weights in float32, in host memory, and steps there (`threads`)."""


class Checkpoints(Section):
    """What a run leaves on disk to go on from."""

    every: PositiveInt | None = None
    """Steps between two; None writes none, and a killed run starts over. With a number the last
    step gets one too."""
    keep: PositiveInt = 2
    """Newest ones that stay."""


class Adaptive(Section):
    """Weights that follow the spread of rewards within groups (`trainer/adaptive.py`)."""

    floor: Annotated[float, Field(gt=0.0, le=1.0)] = 0.25
    """Share of its weight in the mixture that a domain keeps; 1 is the mixture's own draw."""
    memory: Annotated[float, Field(ge=1.0)] = 8.0
    """Prompts of a domain that its mean spread goes back, exponentially."""


class Vllm(Section):
    """Generation of training completions by vLLM instead of transformers."""

    mode: Literal["off", "auto", "colocate", "server"] = "off"
    """`colocate` shares the training GPUs, `server` asks one started with `trl vllm-serve`, `auto`
    is `colocate` where vLLM is installed and a GPU is there, else `off`."""
    gpu_memory_utilization: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.3
    """Share of a GPU that `colocate` takes."""
    tensor_parallel_size: PositiveInt = 1
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    correction: Literal[
        "token_truncate", "token_mask", "sequence_truncate", "sequence_mask", "none"
    ] = "token_truncate"
    """What is done about probabilities that differ between vLLM and training: each token's or whole
    completion's ratio weighs it, cut off at `correction_max` (`truncate`) or not counted above it
    (`mask`)."""
    correction_max: Annotated[float, Field(gt=0.0)] = 3.0


class Command(Section):
    """A trainer of the user's, for `backend: command`."""

    script: Annotated[str, AfterValidator(_below_root)]
    """An executable below the folder that the worker was given for commands: a study names it, the
    worker's owner provides it."""
    arguments: tuple[str, ...] = ()
    time_limit_s: Annotated[float, Field(gt=0.0)] | None = None
    """Seconds until it is stopped; None waits for ever."""
    schedules: bool = False
    """Whether the script trains the mixtures of a schedule one after the other; where it does not,
    runs that have one are refused."""


class Speed(Section):
    """How a run is computed, not what: losses, gradients, completions and scores stay what they
    are, but for rounding. Turning one off is for looking for a fault."""

    pictures_once: bool = True
    """Processes a picture once for all that see it, and keeps it for the next time."""
    features: bool = True
    """Computes a picture's features once where the vision tower is frozen and whole on each GPU;
    needs `pictures_once`."""
    kept_gib: Annotated[float, Field(ge=0.0)] = 4.0
    """Host memory for both, of each process; what is in use stays beyond it. As much again for the
    experts of merged models."""
    prefetch: bool = True
    """Reads and processes the next pictures in a thread meanwhile."""
    plain_bfloat16: bool = True
    """With `dtype: bfloat16` nothing is cast on the way (autocast)."""
    compiled: bool | Literal["auto"] = "auto"
    """Decodes with a cache of fixed size by a compiled model (CUDA graphs); `auto` does where it
    can, and goes on without when compiling fails."""
    evaluation_by_vllm: bool = True
    """Has vLLM answer evaluations too where it is colocated, whole in each process: with the
    model's weights, and other draws."""
    evaluation_stages: bool = True
    """Asks for few tokens first, then goes on with the answers that need more, together."""
    evaluation_sorted: bool = True
    """Answers prompts of one length together."""
