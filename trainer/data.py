"""What a recipe trains on and is scored on: the built-in world's rows, or prepared folders'."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from trainer.domains import manifest
from trainer.domains.errors import DataError
from trainer.domains.prepared import PreparedRows
from trainer.recipe import Data, Recipe
from trainer.rows import Row
from trainer.tiny import world as tiny_world


@dataclass(frozen=True, slots=True)
class ItemSet:
    """A benchmark's items and the rules that score them."""

    rows: Sequence[Row]
    rule: str | None = None
    """The paper's; None takes the one of each row's answer type."""
    official: tuple[str, ...] = ()


def training_rows(
    recipe: Recipe, root: Path, domains: Collection[str]
) -> Mapping[str, Sequence[Row]]:
    """The rows of each of the domains, decoded when asked for.

    Raises:
        DataError: the recipe names no folder for a domain, or the folder is not prepared.
    """
    if recipe.data is None:
        return {domain: tiny_world.domain_rows(domain) for domain in domains}
    missing = sorted(set(domains) - set(recipe.data.domains))
    if missing:
        raise DataError(
            f"the recipe's data names no folder for domain {missing[0]!r}; "
            f"it has {', '.join(recipe.data.domains)}"
        )
    _check_coordinates(recipe.data, root)
    return {name: PreparedRows(root / recipe.data.domains[name], name) for name in domains}


def benchmark_sets(recipe: Recipe, root: Path) -> dict[str, ItemSet]:
    """The recipe's benchmarks, cut to its evaluation limit.

    Raises:
        DataError: a folder is not prepared.
    """
    settings = recipe.evaluation
    if recipe.data is None:
        return {
            name: ItemSet(tiny_world.benchmark_rows(name, split=settings.split, n=settings.limit))
            for name in tiny_world.BENCHMARKS
        }
    _check_coordinates(recipe.data, root)
    sets = {}
    for name, folder in recipe.data.benchmarks.items():
        prepared = PreparedRows(root / folder, name)
        made = prepared.manifest
        sets[name] = ItemSet(prepared.subset(settings.limit), made.rule, made.official)
    return sets


def _check_coordinates(data: Data, root: Path) -> None:
    """One model counts in one way."""
    counted: dict[str, str] = {}
    for folder in (*data.domains.values(), *data.benchmarks.values()):
        made = manifest.load(root / folder)
        if "boxes" in made.answer_types:
            counted.setdefault(made.coordinates, folder)
    if len(counted) > 1:
        ways = ", ".join(f"{folder!r} in {way}" for way, folder in counted.items())
        raise DataError(f"boxes are prepared in two ways ({ways}); prepare them in one")
