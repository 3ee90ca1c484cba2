"""Whether a recipe and its study speak of the same domains and benchmarks, before anything trains.

The service asks this when a study is created, the worker before each run: what a run would find out
at its end costs hours. Light: who only runs the service has neither torch nor pictures.
"""

from __future__ import annotations

from collections.abc import Collection

from trainer.recipe import Recipe
from trainer.tiny.sizes import DOMAIN_SIZES, ITEMS


def disagreements(recipe: Recipe, domains: Collection[str], weighed: Collection[str]) -> list[str]:
    """What does not fit, in words; nothing where all does.

    Args:
        domains: those that the study mixes.
        weighed: benchmarks that its objective weighs.
    """
    if recipe.backend == "command":
        return []  # its trainer alone knows
    if recipe.data is None:
        known, scored = tuple(DOMAIN_SIZES), tuple(ITEMS)
        where, remedy = "the built-in world", "other data is named in the recipe's section `data`"
    else:
        known, scored = tuple(recipe.data.domains), tuple(recipe.data.benchmarks)
        where, remedy = "the recipe's section `data`", "name a folder for each"
    found = []
    unknown = sorted(set(domains) - set(known))
    if unknown:
        found.append(
            f"{where} has no domain {', '.join(map(repr, unknown))}; it has {', '.join(known)}; "
            f"{remedy}"
        )
    unscored = sorted(set(weighed) - set(scored))
    if unscored:
        found.append(
            f"{where} scores no benchmark {', '.join(map(repr, unscored))}, which the study's "
            f"objective weighs; it scores {', '.join(scored)}; {remedy}"
        )
    return found
