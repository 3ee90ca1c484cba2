"""What a whole text says: a quantity, a moment, a list, an equation, a formula, or only words.

A text can have several readings (`1,5` is a decimal number and a list). Two texts say the same if
they do so in a reading of each; a text that is no expression as a whole is only ever its words.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

from rewards.formulas import latex_of, one_spelling, without_set_braces
from rewards.moments import Moment, is_arithmetic, moments_of
from rewards.plain import folded
from rewards.quantities import Quantity, quantity_of
from rewards.units import Unit, unit_of

Ask = Callable[[str, str], bool]
"""Whether two formulas in LaTeX are equal, the right one first."""

MAX_ITEMS = 20
"""Of a list that is compared item by item."""
MAX_DEPTH = 4


@dataclass(frozen=True, slots=True)
class Formula:
    """What math-verify must judge."""

    latex: str
    unit: Unit | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """Several expressions, and the brackets around them (none: empty)."""

    brackets: str
    items: tuple[Text, ...]

    @property
    def is_ordered(self) -> bool:
        """Sets are not, nor are solutions such as `x = 1, x = 2`."""
        return self.brackets != "{}" and not all(item.equation for item in self.items)


@dataclass(frozen=True, slots=True)
class Equation:
    """A name and what it is equal to."""

    name: str
    value: Text


Reading = Quantity | Moment | Formula | Series


@dataclass(frozen=True, slots=True)
class Text:
    """A text with all its readings."""

    words: str
    readings: tuple[Reading, ...]
    equation: Equation | None = None

    @property
    def is_expression(self) -> bool:
        """Whether the whole of it is one, not just words."""
        return bool(self.readings) or self.equation is not None


_NAME = re.compile(
    r"((?:m\s*)?∠?\s*\\?[A-Za-zα-ωΑ-Ω]+(?:_\{?\w+\}?)?'?(?:\([A-Za-z](?:,\s?[A-Za-z])*\))?)\s?=([^=<>≤≥≠]+)"
)
_OPEN, _CLOSED = "([{", ")]}"
_AND = re.compile(r",?\s+(?:and|or)\s+")
_LOOSE, _TIGHT = re.compile(r",\s+"), re.compile(r",\s?")
_UNIT_BEHIND = re.compile(r"(?<=[\d\w)}!π°])\s+((?:[A-Za-z°$€£%/^·*{}μΩ-]|\d)+)")


def read(text: str, depth: int = 0) -> Text:
    """All readings of a text."""
    text, is_marked = one_spelling(text)
    found = _NAME.fullmatch(text)
    equation = None
    if found and depth < MAX_DEPTH:
        equation = Equation("".join(found[1].split()).casefold(), read(found[2], depth + 1))
        if not equation.value.is_expression:
            equation = None
    return Text(folded(text), tuple(_readings(text, depth, is_marked=is_marked)), equation)


def _readings(text: str, depth: int, *, is_marked: bool) -> list[Reading]:
    inside = _single(text)
    if inside is not None and depth < MAX_DEPTH:
        return list(read(inside, depth + 1).readings)
    found: list[Reading] = list(moments_of(text))
    if found:
        return [*found, *_formula(text, is_marked=is_marked)] if is_arithmetic(text) else found
    quantity = quantity_of(_fractions(text))
    if quantity is not None:
        found.append(quantity)
    if depth < MAX_DEPTH:
        found += _series(text, depth)
    is_plain = quantity is not None and quantity.unit is None
    if is_plain or any(isinstance(reading, Series) for reading in found):
        return found
    return [*found, *_formula(text, is_marked=is_marked)]


def _fractions(text: str) -> str:
    return re.sub(r"\\frac\s*\{(\d+)\}\s*\{(\d+)\}", r"(\1)/(\2)", text)


def _formula(text: str, *, is_marked: bool) -> list[Formula]:
    """A formula, also one with a unit behind it."""
    found = []
    latex = latex_of(text, is_marked)
    if latex is not None:
        found.append(Formula(latex))
    for behind in _UNIT_BEHIND.finditer(text):
        unit, head = unit_of(text[behind.start() :].strip()), text[: behind.start()]
        latex = latex_of(head, is_marked)
        if unit is not None and latex is not None:
            found.append(Formula(latex, unit))
            break
    return found


def _single(text: str) -> str | None:
    """What stands in brackets around one expression: `(5)`, `{x}`; None for all else."""
    text = without_set_braces(text)
    if len(text) < 3 or not _is_wrapped(text) or text[0] + text[-1] not in ("()", "[]", "{}"):
        return None
    inside = text[1:-1].strip()
    return None if not inside or len(_items(inside, _TIGHT)) > 1 else inside


def _is_wrapped(text: str) -> bool:
    """Whether the first sign opens a bracket that the last one closes."""
    if text[:1] not in tuple(_OPEN) or text[-1:] not in tuple(_CLOSED):
        return False
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign in _OPEN) - (sign in _CLOSED)
        if depth == 0 and place < len(text) - 1:
            return False
    return depth == 0


def _series(text: str, depth: int) -> list[Series]:
    """The lists that a text can be; without brackets only if all items are expressions."""
    text = without_set_braces(text)
    brackets = text[0] + text[-1] if len(text) > 1 and _is_wrapped(text) else ""
    inside = _AND.sub(", ", text[1:-1] if brackets else text)
    found: list[Series] = []
    ways = [_items(inside, _LOOSE), _items(inside, _TIGHT)]
    for parts in ways[ways[0] == ways[1] :]:
        if not 1 < len(parts) <= MAX_ITEMS or not all(parts):
            continue
        items = tuple(read(part, depth + 1) for part in parts)
        series = Series(brackets, items)
        if brackets or all(item.is_expression for item in items):
            found.append(series)
    return found


def _items(text: str, sign: re.Pattern[str]) -> list[str]:
    """The parts between separators outside of brackets; semicolons go before commas."""
    outer = []
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter in _OPEN) - (letter in _CLOSED)
        if depth == 0 and letter in ",;":
            outer.append(place)
    if any(text[place] == ";" for place in outer):
        cuts = [(place, place + 1) for place in outer if text[place] == ";"]
    else:
        matches = (sign.match(text, place) for place in outer)
        cuts = [found.span() for found in matches if found]
    edges = [(0, 0), *cuts, (len(text), len(text))]
    return [text[end:start].strip() for (_, end), (start, _) in pairwise(edges)]


def say_the_same(right: Text, given: Text, ask: Ask) -> bool:
    """Whether two texts do, in any reading of each."""
    if right.words == given.words and not (right.is_expression and given.is_expression):
        return True
    if right.equation and given.equation:
        if right.equation.name == given.equation.name:
            return say_the_same(right.equation.value, given.equation.value, ask)
    elif (right.equation and say_the_same(right.equation.value, given, ask)) or (
        given.equation and say_the_same(right, given.equation.value, ask)
    ):
        return True
    is_decided = False
    for kind in (Quantity, Moment, Series):
        pairs = [
            (mine, its)
            for mine in right.readings
            for its in given.readings
            if isinstance(mine, kind) and isinstance(its, kind)
        ]
        if pairs:
            is_decided = True
            if any(_is_same(mine, its, ask) for mine, its in pairs):
                return True
    return not is_decided and any(
        _is_of_one_kind(mine, its) and ask(mine.latex, its.latex)
        for mine in _formulas(right)
        for its in _formulas(given)
    )


def _is_same(a: Reading, b: Reading, ask: Ask) -> bool:
    if isinstance(a, Quantity) and isinstance(b, Quantity):
        return a.equals(b)
    if isinstance(a, Series) and isinstance(b, Series):
        return _have_same_items(a, b, ask)
    return a == b


def _have_same_items(right: Series, given: Series, ask: Ask) -> bool:
    if len(right.items) != len(given.items):
        return False
    if right.brackets and given.brackets and right.brackets != given.brackets:
        return False
    if right.is_ordered and given.is_ordered:
        return all(map(lambda a, b: say_the_same(a, b, ask), right.items, given.items))
    left = list(given.items)
    for item in right.items:
        same = next((other for other in left if say_the_same(item, other, ask)), None)
        if same is None:
            return False
        left.remove(same)
    return True


def _formulas(text: Text) -> list[Formula]:
    """What math-verify can judge of a text's readings."""
    found = []
    for reading in text.readings:
        if isinstance(reading, Formula):
            found.append(reading)
        elif isinstance(reading, Quantity) and (reading.unit is None or reading.unit.is_known):
            found.append(Formula(reading.latex, reading.unit))
    return found


def _is_of_one_kind(a: Formula, b: Formula) -> bool:
    """Whether both are equations or none is, and neither has another unit than the other."""
    same_unit = a.unit is None or b.unit is None or a.unit == b.unit
    return same_unit and ("=" in a.latex) == ("=" in b.latex)
