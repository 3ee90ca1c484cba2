"""How numbers are put into words: points of 100, 95% intervals, percent, durations."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from service.schemas import LimitSpec
from service.search.counts import counted
from service.search.intervals import Z95 as Z95
from service.study import headline
from service.study import points as plain
from service.study.points import margin as margin

MINUS = "\N{MINUS SIGN}"

count = counted
trials = headline.trials


def points(value: float) -> str:
    """A fraction as points of 100: `41.2`."""
    return plain.value(value).replace("-", MINUS)


def gain(value: float) -> str:
    """A difference of fractions in points, with its sign: `+4.1`."""
    return plain.gain(value).replace("-", MINUS)


def share(weight: float) -> str:
    """A weight as whole percent: `20%`, `<1%` for traces."""
    return "<1%" if 0 < weight < 0.005 else f"{100 * weight:.0f}%"


def mixture(weights: Mapping[str, float]) -> str:
    """`coco 20%, lisa 80%`: what a stacked bar says to those who do not see it."""
    return ", ".join(f"{domain} {share(w)}" for domain, w in weights.items() if w > 0)


def elided(text: str, most: int) -> str:
    """A name of at most so many letters, without its middle where it is longer: `a-doma…ame-07`."""
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def short_names(names: Sequence[str], most: int) -> dict[str, str]:
    """Each name in at most so many letters, no two alike: those that would be have their place in
    the list at the end, `a-domain…#17`."""
    shown = {name: elided(name, most) for name in names}
    alike = Counter(shown.values())
    for place, name in enumerate(names, 1):
        if alike[elided(name, most)] > 1:
            end = f"…#{place}"
            shown[name] = name[: most - len(end)] + end
    return shown


def number(value: float) -> str:
    """A plain figure to two decimals: `0.61`."""
    return f"{value:.2f}".replace("-", MINUS)


def quantity(value: float) -> str:
    """Any figure to three significant digits: `0.0312`, `1.2e-05`."""
    return f"{value:.3g}".replace("-", MINUS, 1) if value < 0 else f"{value:.3g}"


def duration(seconds: float) -> str:
    """`42 s`, `3 min 20 s`, `2 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min"


def rough(seconds: float) -> str:
    """An estimated time: `40 s`, `12 min`, `3.5 h`, `2.1 days`."""
    if seconds < 90:
        return f"{10 * math.ceil(seconds / 10)} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    if seconds < 36 * 3600:
        return f"{seconds / 3600:.1f} h"
    return f"{seconds / 86400:.1f} days"


def hours(value: float) -> str:
    """GPU-hours: `under 0.0001`, `0.0042`, `0.27`, `12.3`, `1,240`."""
    if 0 < value < 1e-4:
        return "under 0.0001"
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def chance(probability: float) -> str:
    """A probability in percent: `97%`, `more than 99.9%`."""
    if probability > 0.999:
        return "more than 99.9%"
    if probability < 0.001:
        return "less than 0.1%"
    return f"{100 * probability:.{1 if probability > 0.99 else 0}f}%"


def as_json(value: Any) -> str:
    """Data that the service only keeps; a text as it is, texts with commas between."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return json.dumps(value, indent=2, ensure_ascii=False)


LONGEST_CHANGE = 160
"""Characters of a value before or after a change."""


def changed_path(path: str) -> str:
    """What was changed, by its path in a specification: `coco upper`, `objective weights chart`."""
    return path.removeprefix("domains.").replace(".", " ").replace("_", " ")


def changed(value: Any) -> str:
    """What something was before a change, or is after it: `0.5`, `coco + 2*sat <= 0.6`, `none`."""
    said = _changed(value)
    return said if len(said) <= LONGEST_CHANGE else f"{said[:LONGEST_CHANGE]}…"


def _changed(value: Any) -> str:
    if isinstance(value, dict) and "weights" in value and len(value) == len(LimitSpec.model_fields):
        try:
            return LimitSpec.model_validate(value).describe()
        except ValueError:
            pass
    if isinstance(value, dict):
        pairs = (f"{key} {_changed(part)}" for key, part in value.items() if part)
        return ", ".join(pairs) or "none"
    if isinstance(value, list):
        return "; ".join(map(_changed, value)) or "none"
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value is None or value == "" else str(value)
