"""What a recipe trains on and is scored on: the built-in world's rows, or prepared folders'."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rewards.math_judge import MathVerifyMissing
from rewards.rules import UnknownRuleError, rule_named
from trainer.benchmarks import table
from trainer.domains import manifest
from trainer.domains.errors import DataError
from trainer.domains.prepared import PreparedRows
from trainer.recipe import Recipe
from trainer.rows import Row
from trainer.sections import Data
from trainer.tiny import world as tiny_world


@dataclass(frozen=True, slots=True)
class ItemSet:
    """Rows of a domain or a benchmark, and the rules that score them."""

    rows: Sequence[Row]
    rule: str | None = None
    """Of training and of the paper; None takes the one of each row's answer type."""
    official: tuple[str, ...] = ()


def training_rows(recipe: Recipe, root: Path, domains: Collection[str]) -> Mapping[str, ItemSet]:
    """The rows of each of the domains, decoded when asked for.

    Raises:
        DataError: the recipe names no folder for a domain, the folder is not prepared, or its rule
            is unknown or not installed.
    """
    if recipe.data is None:
        unknown = sorted(set(domains) - set(tiny_world.DOMAIN_SIZES))
        if unknown:
            raise DataError(
                f"the built-in world has no domain {unknown[0]!r}; it has "
                f"{', '.join(tiny_world.DOMAIN_SIZES)}; other data is named in the recipe's data"
            )
        return {domain: ItemSet(tiny_world.domain_rows(domain)) for domain in domains}
    missing = sorted(set(domains) - set(recipe.data.domains))
    if missing:
        raise DataError(
            f"the recipe's data names no folder for domain {missing[0]!r}; "
            f"it has {', '.join(recipe.data.domains)}"
        )
    _check_coordinates(recipe.data, root)
    sets = {}
    for name in domains:
        prepared = PreparedRows(root / recipe.data.domains[name], name)
        sets[name] = ItemSet(prepared, _usable(prepared.manifest.rule, prepared.manifest))
    return sets


def benchmark_sets(recipe: Recipe, root: Path, *, on_the_way: bool = False) -> dict[str, ItemSet]:
    """The recipe's benchmarks, cut to its evaluation limit.

    Args:
        on_the_way: for a point before the last one.

    Raises:
        DataError: a folder is not prepared, or a rule of it is unknown or not installed.
    """
    limit = recipe.evaluation.limit
    if on_the_way:
        limit = recipe.evaluation.limit_on_the_way or limit
    if recipe.data is None:
        return {
            name: ItemSet(
                tiny_world.benchmark_rows(name, split=recipe.evaluation.split, n=limit),
                official=table.BENCHMARKS[name].source.official,
            )
            for name in tiny_world.BENCHMARKS
        }
    _check_coordinates(recipe.data, root)
    sets = {}
    for name, folder in recipe.data.benchmarks.items():
        prepared = PreparedRows(root / folder, name)
        made = prepared.manifest
        official = tuple(_usable(rule, made) for rule in made.official)
        sets[name] = ItemSet(prepared.subset(limit), _usable(made.rule, made), official)
    return sets


def _usable(name: str, made: manifest.Manifest) -> str:
    """The name of a rule, once it is sure that it can be used."""
    try:
        rule_named(name).check_installed()
    except (UnknownRuleError, MathVerifyMissing) as error:
        raise DataError(f"dataset {made.name!r}, rule {name!r}: {error}") from error
    return name


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
