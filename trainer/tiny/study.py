"""The built-in world as a study: its domains, benchmarks and recipe in the service's words."""

from __future__ import annotations

from collections.abc import Sequence

from service.schemas import BenchmarkSpec, DomainSpec, Measurement, StudySpec
from service.schemas.spec import FULL, SearchSpec
from trainer.recipe import Recipe
from trainer.tiny.world import BENCHMARKS, DOMAIN_SIZES


def study_spec(
    name: str,
    *,
    domains: Sequence[str] = tuple(DOMAIN_SIZES),
    recipe: Recipe,
    budget: int,
    baseline: Sequence[Measurement] = (),
    strategy: str = "auto",
    seed: int = 0,
    channels: Sequence[str] = (FULL,),
) -> StudySpec:
    """A study over (some of) the five domains with all seven benchmarks.

    Raises:
        ValueError: a domain that the world does not have.
    """
    unknown = [domain for domain in domains if domain not in DOMAIN_SIZES]
    if unknown:
        raise ValueError(f"unknown domain {unknown[0]!r}; there are {', '.join(DOMAIN_SIZES)}")
    return StudySpec(
        name=name,
        domains=[DomainSpec(name=domain, samples=DOMAIN_SIZES[domain]) for domain in domains],
        benchmarks=[
            BenchmarkSpec(name=benchmark, group=group, samples=samples)
            for benchmark, (group, samples) in BENCHMARKS.items()
        ],
        strategy=strategy,
        recipe=recipe.model_dump(mode="json"),
        budget=budget,
        baseline=list(baseline),
        seed=seed,
        search=SearchSpec(channels=list(channels)),
    )
