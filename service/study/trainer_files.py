"""A mixture in the words of other trainers: each one's own options for mixing datasets.

Each domain is a dataset in a folder of its name, `data/coco`. What the options mean, and where they
are documented, is in `docs/how-to/own-trainer.md`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml  # type: ignore[import-untyped]

from service.errors import invalid
from service.schemas import Phase, StudySpec, TrainerName, phase_ends
from service.study import engine_terms

TITLES: dict[TrainerName, str] = {
    "trl": "TRL",
    "verl": "verl",
    "easyr1": "EasyR1",
    "ms-swift": "ms-swift",
}
FOLDER = "data"
TRACE = 1e-6
"""Weights up to this are none: samplers stumble over them."""


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What a file is to say.

    Attributes:
        weights: of the domains that have any, in all.
        phases: weights by phase with the prompts that are drawn by them; none of one mixture.
        file: that the samples would lie in, in their order.
    """

    weights: dict[str, float]
    phases: list[tuple[int, dict[str, float]]]
    file: str


def text(
    spec: StudySpec,
    number: int,
    mixture: Mapping[str, float],
    trainer: TrainerName,
    schedule: Sequence[Phase] = (),
) -> str:
    """A trial's mixture, or its schedule, as a YAML file for a trainer.

    Raises:
        Refused: the trainer has one mixture for the whole run, or it is not known how long a phase
            is; or the study's runs are drawn by weights that follow the rewards.
    """
    if spec.recipe.get("adaptive") is not None:
        raise invalid(
            f"runs of study {spec.name!r} are drawn by weights that follow the rewards "
            f"(recipe.adaptive), and {TITLES[trainer]} would train on the mixture alone, which was "
            "not measured; `format=yaml` without a trainer has the mixture"
        )
    file = f"{FOLDER}/{spec.name}-trial-{number}.parquet"
    if schedule and trainer in _WITHOUT_PHASES:
        raise invalid(
            f"trial {number} has a schedule, and {TITLES[trainer]} has one mixture for the whole "
            f"run (study {spec.name!r}); there are files of it for "
            f"{' and '.join(TITLES[t] for t in TITLES if t not in _WITHOUT_PHASES)}"
        )
    wanted = _Wanted(_kept(mixture), _phases(spec, schedule), file)
    about, options = _OPTIONS[trainer](wanted)
    head = [f"Mixture of study {spec.name}, trial {number}, for {TITLES[trainer]}."]
    parts = wanted.phases or [(0, wanted.weights)]
    for place, (prompts, weights) in enumerate(parts, 1):
        head += [f"Phase {place}, {prompts} prompts:"] if wanted.phases else []
        head += [f"  {domain}: {weight:.4g}" for domain, weight in weights.items()]
    dumped: str = yaml.safe_dump(options, sort_keys=False)
    return "".join(f"# {line}\n" for line in [*head, *about]) + dumped


def _kept(mixture: Mapping[str, float]) -> dict[str, float]:
    kept = {domain: weight for domain, weight in mixture.items() if weight > TRACE}
    total = sum(kept.values())
    return {domain: round(weight / total, 9) for domain, weight in kept.items()}


def _phases(spec: StudySpec, schedule: Sequence[Phase]) -> list[tuple[int, dict[str, float]]]:
    if not schedule:
        return []
    steps, _ = engine_terms.steps_of(spec)
    prompts = spec.recipe.get("prompts_per_step")
    if spec.reach is not None:
        steps, prompts = steps or spec.reach.steps, prompts or spec.reach.prompts_per_step
    if steps is None or not isinstance(prompts, int):
        raise invalid(
            "how many prompts a phase has is not known: set recipe.steps and "
            f"recipe.prompts_per_step (study {spec.name!r})"
        )
    ends = phase_ends((phase.share for phase in schedule), steps)
    return [
        ((end - start) * prompts, _kept(phase.mixture))
        for phase, start, end in zip(schedule, [0, *ends], ends, strict=False)
    ]


Options = tuple[list[str], dict[str, Any]]


def _trl(wanted: _Wanted) -> Options:
    about = ["Options of TRL's DatasetMixtureConfig: trl grpo --config FILE …"]
    datasets = [
        {"path": f"{FOLDER}/{domain}", "split": "train", "fraction": weight}
        for domain, weight in wanted.weights.items()
    ]
    return about, {"datasets": datasets}


def _verl(wanted: _Wanted) -> Options:
    drawn_by: dict[str, Any] = {"weights": wanted.weights}
    if wanted.phases:
        phases = [{"prompts": n, "weights": weights} for n, weights in wanted.phases]
        drawn_by = {"phases": phases}
    about = [
        "python3 -m verl.trainer.main_ppo --config-path FOLDER --config-name NAME …",
        "verl has no weights of its own: verl_sampler.py (docs/how-to) draws by them, and knows a",
        "row's domain by its column data_source.",
    ]
    data = {
        "train_files": [f"{FOLDER}/{domain}/train.parquet" for domain in wanted.weights],
        "dataloader_num_workers": 0,
        "sampler": {
            "class_path": "verl_sampler.py",
            "class_name": "MixtureSampler",
            **drawn_by,
        },
    }
    found = {
        "hydra": {"searchpath": ["pkg://verl.trainer.config"]},
        "defaults": ["ppo_trainer", "_self_"],
        "data": data,
    }
    return about, found


def _easyr1(wanted: _Wanted) -> Options:
    about = [
        "python3 -m verl.trainer.main config=FILE …",
        "EasyR1 takes one file and no weights: write the samples into it in the order of the",
        "mixture (docs/how-to/own-trainer.md), and do not shuffle it.",
    ]
    return about, {"data": {"train_files": wanted.file, "shuffle": False}}


def _ms_swift(wanted: _Wanted) -> Options:
    about = ["swift rlhf --rlhf_type grpo --config FILE …; or each key as an option of its own"]
    options = {
        "dataset": [f"{FOLDER}/{domain}" for domain in wanted.weights],
        "interleave_prob": list(wanted.weights.values()),
        "stopping_strategy": "first_exhausted",
    }
    return about, options


_WITHOUT_PHASES: frozenset[TrainerName] = frozenset({"trl", "ms-swift"})
_OPTIONS: dict[TrainerName, Callable[[_Wanted], Options]] = {
    "trl": _trl,
    "verl": _verl,
    "easyr1": _easyr1,
    "ms-swift": _ms_swift,
}
