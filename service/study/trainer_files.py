"""A mixture in the words of other trainers: each one's own options for mixing datasets.

Each domain is a dataset in a folder of its name, `data/coco`. What the options mean, and where they
are documented, is in `docs/how-to/own-trainer.md`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import yaml  # type: ignore[import-untyped]

from service.schemas import TrainerName
from service.study.evidence import Run

TITLES: dict[TrainerName, str] = {
    "trl": "TRL",
    "verl": "verl",
    "easyr1": "EasyR1",
    "ms-swift": "ms-swift",
}
FOLDER = "data"
TRACE = 1e-6
"""Weights up to this are none: samplers stumble over them."""


def text(study: str, run: Run, trainer: TrainerName) -> str:
    """The run's mixture as a YAML file for a trainer."""
    kept = {domain: weight for domain, weight in run.mixture.items() if weight > TRACE}
    total = sum(kept.values())
    weights = {domain: round(weight / total, 9) for domain, weight in kept.items()}
    about, options = _OPTIONS[trainer](weights, f"{FOLDER}/{study}-trial-{run.number}.parquet")
    head = [f"Mixture of study {study}, trial {run.number}, for {TITLES[trainer]}."]
    head += [f"  {domain}: {weight:.4g}" for domain, weight in weights.items()]
    dumped: str = yaml.safe_dump(options, sort_keys=False)
    return "".join(f"# {line}\n" for line in [*head, *about]) + dumped


Options = tuple[list[str], dict[str, Any]]


def _trl(weights: dict[str, float], file: str) -> Options:
    about = ["Options of TRL's DatasetMixtureConfig: trl grpo --config FILE …"]
    datasets = [
        {"path": f"{FOLDER}/{domain}", "split": "train", "fraction": weight}
        for domain, weight in weights.items()
    ]
    return about, {"datasets": datasets}


def _verl(weights: dict[str, float], file: str) -> Options:
    about = [
        "python3 -m verl.trainer.main_ppo --config-path FOLDER --config-name NAME …",
        "verl has no weights of its own: verl_sampler.py (docs/how-to) draws by them, and knows a",
        "row's domain by its column data_source.",
    ]
    data = {
        "train_files": [f"{FOLDER}/{domain}/train.parquet" for domain in weights],
        "dataloader_num_workers": 0,
        "sampler": {
            "class_path": "verl_sampler.py",
            "class_name": "MixtureSampler",
            "weights": weights,
        },
    }
    found = {
        "hydra": {"searchpath": ["pkg://verl.trainer.config"]},
        "defaults": ["ppo_trainer", "_self_"],
        "data": data,
    }
    return about, found


def _easyr1(weights: dict[str, float], file: str) -> Options:
    about = [
        "python3 -m verl.trainer.main config=FILE …",
        "EasyR1 takes one file and no weights: write the samples into it in the order of the",
        "mixture (docs/how-to/own-trainer.md), and do not shuffle it.",
    ]
    return about, {"data": {"train_files": file, "shuffle": False}}


def _ms_swift(weights: dict[str, float], file: str) -> Options:
    about = ["swift rlhf --rlhf_type grpo --config FILE …; or each key as an option of its own"]
    options = {
        "dataset": [f"{FOLDER}/{domain}" for domain in weights],
        "interleave_prob": list(weights.values()),
        "stopping_strategy": "first_exhausted",
    }
    return about, options


_OPTIONS: dict[TrainerName, Callable[[dict[str, float], str], Options]] = {
    "trl": _trl,
    "verl": _verl,
    "easyr1": _easyr1,
    "ms-swift": _ms_swift,
}
