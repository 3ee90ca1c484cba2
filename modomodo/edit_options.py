"""Options of `study edit` and `study clone` as fields of the call that changes a study."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from modomodo import similarity_option
from modomodo.errors import WrongUse
from modomodo.goal_options import floor_of
from service.notation import requirements
from service.schemas import Study
from service.search.limits import LinearLimit

WITHOUT = {"gpu-hours": "gpu_hours", "max-active": "max_active", "reach": "reach"}
"""What may be taken away, and the field that it is."""


EMPTIED: dict[str, tuple[str, Any]] = {
    "limits": ("limits", []),
    "floors": ("constraints", []),
    "objectives": ("objectives", []),
    "requires": ("requires", {}),
    "similarity": ("similarity", {}),
}
"""The same of what is there but empty, and what that is then."""


@dataclass(frozen=True, slots=True)
class EditOptions:
    """The options as they were given.

    Attributes:
        fields: those that are fields as they are; None was not given.
    """

    fields: Mapping[str, Any] = field(default_factory=dict)
    channels: str | None = None
    early_stopping: bool | None = None
    add: Sequence[str] = ()
    drop: Sequence[str] = ()
    split: Sequence[str] = ()
    merge: Sequence[str] = ()
    bounds: Sequence[str] = ()
    least: Sequence[str] = ()
    samples: Sequence[str] = ()
    data: Sequence[str] = ()
    limits: Sequence[str] = ()
    similarity: Path | None = None
    floors: Sequence[str] = ()
    floor_probability: float | None = None
    objectives: str | None = None
    objective: str | None = None
    weigh: Sequence[str] = ()
    requires: Sequence[str] = ()
    without: Sequence[str] = ()

    @property
    def is_any(self) -> bool:
        """Whether anything was given."""
        if any(value is not None for value in (*self.fields.values(), self.early_stopping)):
            return True
        return any(getattr(self, one.name) for one in fields(self) if one.name != "fields")

    def body(self, study: Study) -> dict[str, Any]:
        """The fields to send for a study as it is now.

        Raises:
            WrongUse: an option that cannot be read, or an unknown domain.
            CommandFailed: the file of `similarity` cannot be used.
        """
        found = {key: value for key, value in self.fields.items() if value is not None}
        search: dict[str, Any] = {}
        if self.channels is not None:
            search["channels"] = [name.strip() for name in self.channels.split(",")]
        if self.early_stopping is not None:
            search["early_stopping"] = self.early_stopping
        if search:
            found["search"] = study.search.model_dump(mode="json") | search
        spread = self._spread()
        if spread:
            found["spread"] = spread
        domains = self._domains(study, spread)
        if domains is not None:
            found["domains"] = list(domains.values())
        if self.limits:
            known = tuple(domains or (domain.name for domain in study.domains))
            found["limits"] = [_limit(text, known) for text in self.limits]
        if self.similarity is not None:
            found["similarity"] = similarity_option.read(self.similarity)
        if self.floors:
            found["constraints"] = [self._floor(text) for text in self.floors]
        elif self.floor_probability is not None:
            raise WrongUse("--floor-probability says how likely each --floor has to hold; give one")
        if self.objectives is not None:
            found["objectives"] = [name.strip() for name in self.objectives.split(",")]
        if self.objective is not None or self.weigh:
            found["objective"] = self._objective(study)
        if self.requires:
            try:
                found["requires"] = requirements.read(self.requires)
            except ValueError as error:
                raise WrongUse(f"--requires {error}") from error
        if self.data:
            found["recipe"] = self._recipe(study)
        for what in self.without:
            if what in EMPTIED:
                name, empty = EMPTIED[what]
                found[name] = empty
            elif what in WITHOUT:
                found.setdefault("remove", []).append(WITHOUT[what])
            else:
                can = ", ".join((*EMPTIED, *WITHOUT))
                raise WrongUse(f"--without {what!r} is not one of {can}")
        return found

    def _domains(
        self, study: Study, spread: Mapping[str, Mapping[str, float]]
    ) -> dict[str, dict[str, Any]] | None:
        """All domains as they are to be; None where they stay."""
        if not (self.add or self.drop or self.bounds or self.least or self.samples):
            return None
        found = {domain.name: domain.model_dump(mode="json") for domain in study.domains}
        for source in spread:
            found.pop(source, None)
        for name in (*self.add, *(name for shares in spread.values() for name in shares)):
            found.setdefault(name, {"name": name})
        for option, texts in (
            ("--bounds", self.bounds),
            ("--zero-or-at-least", self.least),
            ("--samples", self.samples),
        ):
            for text in texts:
                name, value = _assignment(option, text)
                if name not in found:
                    raise WrongUse(f"{option} {text!r}: unknown domain (it has {', '.join(found)})")
                found[name] |= _of_domain(option, text, value)
        for name in self.drop:
            if name not in found:
                raise WrongUse(f"--drop {name!r}: unknown domain (it has {', '.join(found)})")
            del found[name]
        return found

    def _spread(self) -> dict[str, dict[str, float]]:
        found: dict[str, dict[str, float]] = {}
        for text in self.split:
            source, shares = _assignment("--split", text)
            found[source] = {}
            for part in shares.split(","):
                name, _, share = part.partition(":")
                found[source][name.strip()] = _number("--split", text, share)
        for text in self.merge:
            name, sources = _assignment("--merge", text)
            for source in sources.split(","):
                found[source.strip()] = {name: 1.0}
        return found

    def _floor(self, text: str) -> dict[str, Any]:
        benchmark, level = floor_of(text)
        floor = {"benchmark": benchmark, "at_least": level.as_given}
        if self.floor_probability is None:
            return floor
        return floor | {"probability": self.floor_probability}

    def _objective(self, study: Study) -> dict[str, Any]:
        objective = study.objective.model_dump(mode="json")
        if self.objective is not None:
            objective |= {"name": self.objective, "weights": None, "worst": False}
        if self.weigh:
            pairs = [_assignment("--weigh", text) for text in self.weigh]
            objective["weights"] = {
                name: _number("--weigh", f"{name}={value}", value) for name, value in pairs
            }
        return objective

    def _recipe(self, study: Study) -> dict[str, Any]:
        data = study.recipe.get("data")
        known = data.get("domains") if isinstance(data, dict) else None
        if not (isinstance(data, dict) and isinstance(known, dict)):
            raise WrongUse("--data: the study's recipe names no prepared data")
        folders = dict(_assignment("--data", text) for text in self.data)
        return study.recipe | {"data": data | {"domains": known | folders}}


def _of_domain(option: str, text: str, value: str) -> dict[str, Any]:
    if option == "--samples":
        return {"samples": int(_number(option, text, value))}
    if option == "--zero-or-at-least":
        return {"zero_or_at_least": _number(option, text, value)}
    low, colon, high = value.partition(":")
    if not colon:
        raise WrongUse(f"--bounds {text!r} is not of the form coco=0.1:0.5")
    return {
        "lower": _number(option, text, low or "0"),
        "upper": _number(option, text, high or "1"),
    }


def _assignment(option: str, text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not (equals and name.strip() and value.strip()):
        raise WrongUse(f"{option} {text!r} is not of the form name=value")
    return name.strip(), value.strip()


def _number(option: str, text: str, value: str) -> float:
    try:
        return float(value)
    except ValueError:
        raise WrongUse(f"{option} {text!r}: {value!r} is not a number") from None


def _limit(text: str, domains: tuple[str, ...]) -> dict[str, Any]:
    try:
        return LinearLimit.parse(text, domains).as_given()
    except ValueError as error:
        raise WrongUse(str(error)) from error
