"""What the engine found, as what JSON holds: numbers that are defined, and domains by name."""

from __future__ import annotations

import math
from typing import Any

from service.search.diagnostics import Best, Diagnosis, Estimate
from service.search.space import MixtureSpace
from service.search.surrogates.carried import Carried


def finite(value: float | None) -> float | None:
    """The figure, where it is defined: JSON has no NaN."""
    return None if value is None or not math.isfinite(value) else float(value)


def diagnosis(space: MixtureSpace, found: Diagnosis) -> dict[str, Any]:
    """A diagnosis without what stands for single runs."""
    loo = found.loo
    return {
        "kind": f"{found.name}: {found.kind}",
        "n": found.n,
        "noise_sd": finite(found.noise_sd),
        "loo": {
            "r2": finite(loo.r2),
            "spearman": finite(loo.spearman),
            "rmse": finite(loo.rmse),
            "nlpd": finite(loo.nlpd),
            "coverage_90": finite(loo.coverage_90),
        },
        "best": best(space, found.best),
        "effects": {
            "alone": {
                name: estimate(value)
                for name, value in zip(space.domains, found.effects.alone, strict=True)
            },
            "synergy": {
                f"{space.domains[i]}*{space.domains[j]}": estimate(value)
                for (i, j), value in found.effects.synergy.items()
            },
        },
        "lessons": [
            {"weights": space.named(x.weights), "gain": x.gain, "mean": x.mean, "sd": x.sd}
            for x in found.lessons
        ],
        "margin": found.margin,
        "chance_of_better": found.chance_of_better,
        "confirmations": [
            {
                "weights": space.named(x.weights),
                "n": x.n,
                "predicted": x.predicted,
                "mean": x.mean,
                "se": x.se,
                "optimism": x.optimism,
            }
            for x in found.confirmations
        ],
        "messages": found.messages,
    }


def channel(n: int, found: Carried | None) -> dict[str, float | None]:
    """`n` scores of a channel, and how far they carry over; None where nothing is known of that."""
    return {"n": n, **(dict.fromkeys(Carried._fields) if found is None else found._asdict())}


def best(space: MixtureSpace, found: Best) -> dict[str, Any]:
    """The best predicted mixture."""
    return {"weights": space.named(found.weights), "mean": found.mean, "sd": found.sd}


def estimate(found: Estimate) -> dict[str, float]:
    return {"mean": found.mean, "sd": found.sd}
