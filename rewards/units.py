"""Units of measurement as people write them behind a number, and how they convert.

Factors are exact by definition: International System of Units (9th brochure, 2019) and the
international yard and pound agreement (1959).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction

_DERIVED = {"%": dict[str, int](), "m³": {"m": 3}, "m/s": {"m": 1, "s": -1}}
"""What bases are made of that are none themselves."""


@dataclass(frozen=True, slots=True)
class Unit:
    """So many of a product of base units."""

    factor: Fraction
    powers: tuple[tuple[str, int], ...]
    """Base unit and its power, sorted; bases that cannot be converted are units of their own."""
    is_known: bool = True
    """Whether it is one of the units below, and not just the words behind a number."""


def _table(rows: Mapping[str, tuple[str, str]]) -> dict[str, tuple[Fraction, str]]:
    return {
        name: (Fraction(factor), base)
        for names, (factor, base) in rows.items()
        for name in names.split()
    }


_SYMBOLS = _table(
    {
        "nm": ("1e-9", "m"),
        "μm um": ("1e-6", "m"),
        "mm": ("0.001", "m"),
        "cm": ("0.01", "m"),
        "dm": ("0.1", "m"),
        "m": ("1", "m"),
        "km": ("1000", "m"),
        "in": ("0.0254", "m"),
        "ft": ("0.3048", "m"),
        "yd": ("0.9144", "m"),
        "mi": ("1609.344", "m"),
        "mg": ("1e-6", "kg"),
        "g": ("0.001", "kg"),
        "kg": ("1", "kg"),
        "t": ("1000", "kg"),
        "lb lbs": ("0.45359237", "kg"),
        "oz": ("0.028349523125", "kg"),
        "ms": ("0.001", "s"),
        "s sec secs": ("1", "s"),
        "min mins": ("60", "s"),
        "h hr hrs": ("3600", "s"),
        "ml mL": ("1e-6", "m³"),
        "l L": ("0.001", "m³"),
        "Hz": ("1", "Hz"),
        "kHz": ("1000", "Hz"),
        "MHz": ("1e6", "Hz"),
        "GHz": ("1e9", "Hz"),
        "N": ("1", "N"),
        "kN": ("1000", "N"),
        "J": ("1", "J"),
        "kJ": ("1000", "J"),
        "MJ": ("1e6", "J"),
        "eV": ("1", "eV"),
        "cal": ("1", "cal"),
        "kcal": ("1000", "cal"),
        "W": ("1", "W"),
        "mW": ("0.001", "W"),
        "kW": ("1000", "W"),
        "MW": ("1e6", "W"),
        "Wh": ("1", "Wh"),
        "kWh": ("1000", "Wh"),
        "V": ("1", "V"),
        "mV": ("0.001", "V"),
        "kV": ("1000", "V"),
        "A": ("1", "A"),
        "mA": ("0.001", "A"),
        "μA": ("1e-6", "A"),
        "Ω": ("1", "Ω"),
        "kΩ": ("1000", "Ω"),
        "C": ("1", "C"),
        "μC": ("1e-6", "C"),
        "F": ("1", "F"),
        "μF": ("1e-6", "F"),
        "T": ("1", "T"),
        "Pa": ("1", "Pa"),
        "kPa": ("1000", "Pa"),
        "MPa": ("1e6", "Pa"),
        "atm": ("1", "atm"),
        "mol": ("1", "mol"),
        "K": ("1", "K"),
        "°C": ("1", "°C"),
        "°F": ("1", "°F"),
        "°": ("1", "°"),
        "rad": ("1", "rad"),
        "dB": ("1", "dB"),
        "rpm": ("1", "rpm"),
        "mph": ("1397/3125", "m/s"),
        "kph kmph": ("5/18", "m/s"),
        "$ USD US$": ("1", "$"),
        "€ EUR": ("1", "€"),
        "£ GBP": ("1", "£"),
        "¥ JPY": ("1", "¥"),
        "CNY RMB": ("1", "CNY"),
        "₹ INR Rs Rs.": ("1", "₹"),
        "₩ KRW": ("1", "₩"),
        "₽ RUB": ("1", "₽"),
        "A$ AUD": ("1", "AUD"),
        "C$ CAD": ("1", "CAD"),
        "CHF": ("1", "CHF"),
        "¢": ("0.01", "$"),
        "%": ("0.01", "%"),
    }
)
"""By their case: mW is not MW."""

_WORDS = _table(
    {
        "millimeter millimetre": ("0.001", "m"),
        "centimeter centimetre": ("0.01", "m"),
        "meter metre": ("1", "m"),
        "kilometer kilometre": ("1000", "m"),
        "inch inche": ("0.0254", "m"),
        "foot feet": ("0.3048", "m"),
        "yard": ("0.9144", "m"),
        "mile": ("1609.344", "m"),
        "gram gramme": ("0.001", "kg"),
        "kilogram kilo": ("1", "kg"),
        "tonne": ("1000", "kg"),
        "pound": ("0.45359237", "kg"),
        "ounce": ("0.028349523125", "kg"),
        "millisecond": ("0.001", "s"),
        "second": ("1", "s"),
        "minute": ("60", "s"),
        "hour": ("3600", "s"),
        "day": ("86400", "s"),
        "week": ("604800", "s"),
        "month": ("1", "month"),
        "year yr": ("12", "month"),
        "milliliter millilitre": ("1e-6", "m³"),
        "liter litre": ("0.001", "m³"),
        "hertz": ("1", "Hz"),
        "newton": ("1", "N"),
        "joule": ("1", "J"),
        "calorie": ("1", "cal"),
        "watt": ("1", "W"),
        "volt": ("1", "V"),
        "amp ampere": ("1", "A"),
        "ohm": ("1", "Ω"),
        "pascal": ("1", "Pa"),
        "mole": ("1", "mol"),
        "kelvin": ("1", "K"),
        "degree deg": ("1", "°"),
        "radian": ("1", "rad"),
        "dollar buck": ("1", "$"),
        "cent": ("0.01", "$"),
        "euro": ("1", "€"),
        "yuan": ("1", "CNY"),
        "yen": ("1", "¥"),
        "rupee": ("1", "₹"),
        "percent pct": ("0.01", "%"),
        "unit": ("1", "unit"),
    }
)
"""In lower case and singular."""

CURRENCIES = frozenset(
    [
        "$",
        "€",
        "£",
        "¥",
        "₹",
        "₩",
        "₽",
        "US$",
        "A$",
        "C$",
        "USD",
        "EUR",
        "GBP",
        "JPY",
        "CNY",
        "RMB",
        "INR",
        "Rs",
        "Rs.",
        "CHF",
    ]
)
"""What may stand before the number."""

_PHRASES = (
    (re.compile(r"\bper\s+cent\b"), "percent"),
    (re.compile(r"\bdegrees?\s+celsius\b|\bcelsius\b", re.IGNORECASE), "°C"),
    (re.compile(r"\bdegrees?\s+fahrenheit\b|\bfahrenheit\b", re.IGNORECASE), "°F"),
    (re.compile(r"°\s+(?=[CF]\b)"), "°"),
    (re.compile(r"\b(?:square|sq\.?)\s+([A-Za-z]+)"), r"\1^2"),
    (re.compile(r"\b(?:cubic|cu\.?)\s+([A-Za-z]+)"), r"\1^3"),
    (re.compile(r"\s+squared\b"), "^2"),
    (re.compile(r"\s+cubed\b"), "^3"),
    (re.compile(r"\s+per\s+"), "/"),
)
_FACTOR = re.compile(r"([^\W\d_]+\.?|°[CF]?|[A-Z]{0,2}[$€£¥₹₩₽¢]|%)(?:\^?\{?(-?\d)\}?)?")
_JOINT = re.compile(r"\s*([*·⋅/])\s*|\s+")
_COUNTED = re.compile(r"[^\W\d_]{2,}(?: [^\W\d_]{2,})*")
MAX_LENGTH = 40


def unit_of(text: str) -> Unit | None:
    """The unit that a text is (`km/h`, `square metres`, `m s^{-2}`), or None.

    After a stroke all is divided by, up to the next sign.
    """
    if not text or len(text) > MAX_LENGTH:
        return None
    for phrase, short in _PHRASES:
        text = phrase.sub(short, text)
    factor, powers, place, sign = Fraction(1), dict[str, int](), 0, 1
    while part := _FACTOR.match(text, place):
        known = _base(part[1])
        if known is None:
            return None
        power = sign * int(part[2] or 1)
        factor *= known[0] ** power
        for base, times in _DERIVED.get(known[1], {known[1]: 1}).items():
            powers[base] = powers.get(base, 0) + power * times
        if part.end() == len(text):
            return Unit(factor, tuple(sorted((base, n) for base, n in powers.items() if n)))
        joint = _JOINT.match(text, part.end())
        if joint is None:
            return None
        sign = {"/": -1, None: sign}.get(joint[1], 1)
        place = joint.end()
    return None


def counted(words: str) -> Unit | None:
    """What a number counts (`5 red apples`), where that is in a few words and no unit."""
    if len(words) > MAX_LENGTH or not _COUNTED.fullmatch(words):
        return None
    return Unit(Fraction(1), ((words.casefold(), 1),), is_known=False)


def _base(name: str) -> tuple[Fraction, str] | None:
    known = _SYMBOLS.get(name) or _SYMBOLS.get(name.rstrip("."))
    if known is None:
        word = name.rstrip(".").lower()
        known = _WORDS.get(word) or _WORDS.get(word.removesuffix("s"))
    return known
