"""Numbers with their units, where that is all a text says: exact values, not floats."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from rewards.number_words import MAGNITUDES, leading, share_behind
from rewards.units import CURRENCIES, Unit, counted, unit_of

MAX_EXPONENT = 400
"""Powers of ten beyond it are no answer to anything, and long to write out."""
ROUNDED_DIGITS = 6
"""Significant digits from which on a decimal number stands for a fraction that does not end."""

_GROUPED = (
    r"[1-9]\d{0,2}(?:,\d{3})++(?:\.\d*+)?(?![\d,])"  # 1,234.5
    r"|[1-9]\d?(?:,\d{2}(?=,))++,\d{3}(?:\.\d*+)?(?![\d,])"  # 12,34,567
    r"|[1-9]\d{0,2}(?:\.\d{3})++,\d++(?![\d.,])"  # 1.234,5
    r"|[1-9]\d{0,2}(?:\.\d{3}){2,}+(?![\d.,])"  # 1.234.567
    r"|[1-9]\d{0,2}(?:[ ']\d{3})++(?:[.,]\d++)?(?![\d.,])"  # 1 234,5
)
DECIMAL = rf"(?:{_GROUPED}|\d++(?:[.,]\d++|\.)?+|\.\d++)"
"""A decimal number without its sign; groups and decimals by point or by comma."""
_POWER = r"(?:\^|\*\*)\s*[{(]?\s*(?P<power>[+-]?\d{1,9})\s*[)}]?"
_NUMBER = re.compile(
    rf"(?P<decimal>{DECIMAL})(?:[eE](?P<e>[+-]?\d{{1,9}})(?![\d.])|\s*[×x*·⋅]\s*10\s*{_POWER})?"
)
_TEN = re.compile(rf"10\s*{_POWER}")
_FRACTION = re.compile(
    r"(?:(?P<whole>\d{1,9})(?:\s+|(?=\())(?:and\s+)?)?"
    r"(?:(?P<a>\d{1,99})\s*/\s*(?P<b>\d{1,99})"
    r"|\((?P<c>\d{1,99})\)/\((?P<d>\d{1,99})\))(?![\d.,])"
)
_AND_FRACTION = re.compile(r"\s+and\s+(\d{1,9})\s*/\s*(\d{1,9})(?![\d.,/])")
_SIGN = re.compile(r"([+-])\s*")
_CURRENCY = re.compile("|".join(sorted(map(re.escape, CURRENCIES), key=len, reverse=True)))
_MAGNITUDE = re.compile(r"[\s-]*([A-Za-z]+)\b")
_SHORT = {"k": 10**3, "K": 10**3, "M": 10**6, "B": 10**9, "T": 10**12}
_SHORT_MONEY = _SHORT | {"m": 10**6, "b": 10**9, "t": 10**12, "mm": 10**6}
_LABEL_LETTERS = frozenset("ACF")
"""Behind a number without space, more likely a label (`3A`) than amperes."""


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number and its unit."""

    value: Fraction
    unit: Unit | None = None
    step: Fraction | None = None
    """What its last decimal is worth; None where it is written without any."""

    def equals(self, other: Quantity) -> bool:
        """Whether both are as much, units converted. One side may leave a known unit out; for
        a per cent sign that leaves the number before it or the share that it means."""
        units = [unit for unit in (self.unit, other.unit) if unit is not None]
        if len(units) == 1 and not units[0].is_known:
            return False
        if self.unit is not None and other.unit is not None:
            return self.unit.powers == other.unit.powers and _is_same(
                self._times(self.unit.factor), other._times(other.unit.factor)
            )
        return any(_is_same(mine, its) for mine in self._bare() for its in other._bare())

    @property
    def latex(self) -> str:
        """The number alone: decimal where it is written so, else a fraction."""
        above, below = self.value.numerator, self.value.denominator
        if below == 1 or (self.step is not None and self.step >= 1):
            return str(round(self.value))
        if self.step is None:
            return rf"\frac{{{above}}}{{{below}}}"
        places = len(str(self.step.denominator)) - 1
        digits = str(abs(round(self.value * 10**places))).zfill(places + 1)
        return "-" * (above < 0) + f"{digits[:-places]}.{digits[-places:]}"

    def _bare(self) -> list[Quantity]:
        """Without its unit: the number, and of so many per cent also the share."""
        is_share = self.unit is not None and not self.unit.powers
        return [self, self._times(self.unit.factor)] if self.unit and is_share else [self]

    def _times(self, factor: Fraction) -> Quantity:
        return Quantity(self.value * factor, None, self.step and self.step * factor)


def _is_same(a: Quantity, b: Quantity) -> bool:
    return a.value == b.value or _is_rounded(a, b) or _is_rounded(b, a)


def _is_rounded(decimal: Quantity, exact: Quantity) -> bool:
    """Whether a decimal number of at least six digits is a fraction without an end, rounded."""
    step, true = decimal.step, exact.value
    if step is None or exact.step is not None or step * 10 ** (ROUNDED_DIGITS - 1) > abs(true):
        return False
    return abs(decimal.value - true) <= step / 2 and not _ends(true)


def _ends(number: Fraction) -> bool:
    """Whether it has a last decimal: its denominator divides a power of ten."""
    below = number.denominator
    return bool(pow(10, below.bit_length(), below) == 0)


def quantity_of(text: str) -> Quantity | None:
    """The number, with or without a unit, that the whole of a plain text is; else None."""
    sign, place = _sign(text, 0)
    currency = _CURRENCY.match(text, place)
    if currency:
        place = currency.end()
        while text[place : place + 1] == " ":
            place += 1
        inner, place = _sign(text, place)
        sign *= inner
    found = _number(text, place)
    if found is None:
        return _in_words(text)
    value, step, place = found
    rest = text[place:]
    if step is None and value.denominator == 1 and (share := share_behind(rest)):
        value, rest = value + share[0], share[1]
    size, rest = _magnitude(rest, _SHORT_MONEY if currency else _SHORT)
    unit = _unit(rest, currency[0] if currency else None, is_digits=size == 1)
    if isinstance(unit, bool):
        return None
    return Quantity(sign * value * size, unit, step and step * size)


def _in_words(text: str) -> Quantity | None:
    found = leading(text)
    if found is None:
        return None
    value, rest = found
    if (share := _AND_FRACTION.match(rest)) and value.denominator == 1:  # two and 3/4
        above, below = int(share[1]), int(share[2])
        if not 0 < above < below:
            return None
        value += Fraction(-above if value < 0 else above, below)
        rest = rest[share.end() :]
    size, rest = _magnitude(rest, {})
    unit = _unit(rest, None, is_digits=False)
    return None if isinstance(unit, bool) else Quantity(value * size, unit)


def _sign(text: str, place: int) -> tuple[int, int]:
    sign = _SIGN.match(text, place)
    return (-1 if sign[1] == "-" else 1, sign.end()) if sign else (1, place)


def _number(text: str, place: int) -> tuple[Fraction, Fraction | None, int] | None:
    """The number at a place of a text: its value, the worth of its last decimal, where it ends."""
    if found := _FRACTION.match(text, place):
        whole = int(found["whole"] or 0)
        above, below = int(found["a"] or found["c"]), int(found["b"] or found["d"])
        if below == 0 or (found["whole"] and above >= below):
            return None
        return whole + Fraction(above, below), None, found.end()
    if found := _TEN.match(text, place):
        power = int(found["power"])
        return None if abs(power) > MAX_EXPONENT else (Fraction(10) ** power, None, found.end())
    found = _NUMBER.match(text, place)
    if found is None:
        return None
    power = int(found["e"] or found["power"] or 0)
    if abs(power) > MAX_EXPONENT:
        return None
    written = decimal_point(found["decimal"])
    scale = Fraction(10) ** power
    step = scale / 10 ** len(written.partition(".")[2]) if "." in written else None
    return Fraction(written) * scale, step, found.end()


def decimal_point(number: str) -> str:
    """A number that `DECIMAL` matches, as Python reads it: without groups, decimals by a point.

    A single comma or point before three digits is read as English writes it: 1,234 is a thousand,
    1.234 a little more than one.
    """
    number = number.replace(" ", "").replace("'", "")
    comma, point = number.rfind(","), number.rfind(".")
    if comma >= 0 and point >= 0:
        other = "." if comma > point else ","
        return number.replace(other, "").replace(",", ".")
    if comma >= 0:
        is_grouped = re.fullmatch(r"[1-9]\d{0,2}(?:,\d{2,3})*,\d{3}", number)
        return number.replace(",", "" if is_grouped else ".")
    return number.replace(".", "") if number.count(".") > 1 else number


def _magnitude(rest: str, short: dict[str, int]) -> tuple[int, str]:
    """What multiplies the number before, and what is left."""
    word = _MAGNITUDE.match(rest)
    if word is None:
        return 1, rest
    size = MAGNITUDES.get(word[1].lower()) or (short.get(word[1]) if rest[0].isalpha() else None)
    if size is None:
        return 1, rest
    more, left = _magnitude(rest[word.end() :], {})
    return size * more, left


def _unit(rest: str, currency: str | None, *, is_digits: bool) -> Unit | bool | None:
    """The unit behind a number; None where there is none, False where there is something else."""
    text = rest.strip()
    if not text:
        return unit_of(currency) if currency else None
    unit = unit_of(text) or (counted(text) if rest[0].isspace() else None)
    if unit is None or (is_digits and rest in _LABEL_LETTERS):
        return False
    if currency:
        return unit if unit_of(currency) == unit else False
    return unit
