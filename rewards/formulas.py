r"""Mathematical texts brought into one spelling, and from there into LaTeX for math-verify.

In the one spelling signs stand for commands (`×` for `\times`), what only sets type is gone, and
the text is without the marks that say it is a formula.
"""

from __future__ import annotations

import re
import unicodedata

from rewards.plain import is_edge, plain

_SCRIPTS = re.compile(
    "[\u2070\u00b9\u00b2\u00b3\u2074-\u207c\u207f]+|[\u2080-\u208c]+|[\u00bc-\u00be\u2150-\u215e]"
)
_LAYOUT = re.compile(
    r"\\(?:left|right|displaystyle|textstyle|bigl?|bigr|Bigl?|Bigr|quad|qquad|limits)(?![A-Za-z])"
    r"|\\[,;:! ]"
)
_STYLE = re.compile(
    r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|operatorname|boldsymbol)"
    r"\s*\{([^{}]*)\}"
)
_FRACTION = re.compile(r"\\[dtc]frac(?![A-Za-z])")
_SHORT_FRACTION = re.compile(r"\\frac\s*(?:(\d)\s*(\d)|\{([^{}]*)\}\s*(\d)|(\d)\s*\{([^{}]*)\})")
_DEGREES = re.compile(r"\^\s*\{?\s*(?:\\circ|∘|°)\s*\}?|\\degree(?![A-Za-z])|º")
_SIGNS = {
    r"\times": "×",
    r"\cdot": "·",
    r"\div": "÷",
    r"\leq": "≤",
    r"\le": "≤",
    r"\geq": "≥",
    r"\ge": "≥",
    r"\neq": "≠",
    r"\ne": "≠",
    r"\pm": "±",
    r"\cup": "∪",
    r"\cap": "∩",
    r"\infty": "∞",
    r"\pi": "π",
    r"\theta": "θ",
    r"\alpha": "α",
    r"\beta": "β",
    r"\mu": "μ",
    r"\Omega": "Ω",
    r"\angle": "∠",
}
_COMMAND = re.compile(r"\\([A-Za-z]+)")
_SPELLED = {
    "⁄": "/",
    "∕": "/",
    "∗": "*",
    "⋅": "·",
    "•": "·",
    "、": ", ",
    "µ": "μ",
    "<=": "≤",
    ">=": "≥",
    "!=": "≠",
}
_MARKS = ("$$", "$$"), ("$", "$"), (r"\(", r"\)"), (r"\[", r"\]")
_LEAD = re.compile(
    r"(?:(?:so|thus|therefore|hence),?\s+)?(?:the\s+)?(?:final\s+|correct\s+)?answer\s*(?:is\s*:?|[:=])"
    r"\s*",
    re.IGNORECASE,
)
_SET_BRACES = re.compile(r"\\([{}])")
_ENDS = "\"'.,;:*` "
"""What may end a text without being part of its formula; `!` is a factorial."""

_FUNCTIONS = frozenset(
    [
        "sin",
        "cos",
        "tan",
        "cot",
        "sec",
        "csc",
        "arcsin",
        "arccos",
        "arctan",
        "sinh",
        "cosh",
        "tanh",
        "log",
        "ln",
        "lg",
        "exp",
        "min",
        "max",
        "gcd",
        "lcm",
        "det",
    ]
)
_WORD = re.compile(r"(?<!\\)(?<![A-Za-z])[A-Za-z]{2,}")
_ALLOWED = re.compile(
    r"(?:\\[A-Za-z]+|\\[{}|\\]|[\dA-Za-zα-ωΑ-Ω+\-*/^_=<>≤≥≠±×·÷!|(){}\[\].,;'√∞∪∩°%∠& ])+"
)
_SIDE_BY_SIDE = re.compile(r"[\w})\]]\s+\d|\}\s+\\frac|\d'")
_ENVIRONMENT = re.compile(r"\\(?:begin|end)\{[a-z]+\*?\}")
_ARGUMENT = re.compile(r"\\([A-Za-z]+)(?:_\{?\w+\}?)?\s+")
_ROOT = re.compile(r"√\s*(\d+(?:\.\d+)?|[A-Za-z])")
_EXPONENT = re.compile(r"(?<![A-Za-z\d])(\d+(?:\.\d+)?|\.\d+)[eE]([+-]?\d+)(?![\d.])")
_RELATION = re.compile(r"[<>≤≥]")
_ASCENDING = {">": "<", "≥": "≤"}
MAX_WORD = 3
"""Letters in a row that may be a product where the text says that it is a formula."""


def one_spelling(text: str) -> tuple[str, bool]:
    r"""A text in the one spelling, and whether it was marked as a formula (`$…$`, `\boxed{…}`)."""
    text = plain(_SCRIPTS.sub(_script, text))
    for sign, written in _SPELLED.items():
        text = text.replace(sign, written)
    text = text.replace(r"\$", "\0")  # money, not a mark
    is_marked = False
    while (inner := _unwrapped(text)) is not None:
        text, is_marked = inner[0], is_marked or inner[1]
    text = text.replace("\0", "$").replace(r"\%", "%").replace("{,}", ",").replace("~", " ")
    text = _FRACTION.sub(r"\\frac", text)
    text = _DEGREES.sub("°", text)
    text = _LAYOUT.sub(lambda found: "" if found[0] in (r"\!", r"\left", r"\right") else " ", text)
    while (inside := _STYLE.sub(r"\1", text)) != text:
        text = inside
    text = _SHORT_FRACTION.sub(_fraction, text)
    text = _COMMAND.sub(lambda found: _SIGNS.get(found[0], found[0]), text)
    return _trimmed(" ".join(text.split())), is_marked


def latex_of(text: str, is_marked: bool = False) -> str | None:
    """LaTeX of a text in the one spelling that is one whole formula; None where it is none.

    Words are no formula ("pairs" is no product of its letters), nor are numbers side by side.
    """
    if not _ALLOWED.fullmatch(text) or not any(map(str.isalnum, text)):
        return None
    if text.count("=") > 1:  # a chain, whose last part math-verify would take for all of it
        return None
    if sum(map(text.count, "([{")) != sum(map(text.count, ")]}")):
        return None
    bare = _ENVIRONMENT.sub(" ", text)
    for word in _WORD.findall(bare):
        if word in _FUNCTIONS or word in ("sqrt", "pi"):
            continue
        if not is_marked or len(word) > MAX_WORD:
            return None
    if _SIDE_BY_SIDE.search(_ARGUMENT.sub(r"\\\1", bare)):
        return None
    text = _ascending(text).replace("√(", "sqrt(")
    text = _ROOT.sub(r"\\sqrt{\1}", _called_root(text))
    text = text.replace("√{", r"\sqrt{")
    text = _EXPONENT.sub(r"\1\\cdot 10^{\2}", text)
    text = re.sub(
        r"(?<![\\A-Za-z])(" + "|".join(sorted(_FUNCTIONS)) + r")(?![A-Za-z])", r"\\\1 ", text
    )
    text = re.sub(r"(?<![\\A-Za-z])pi(?![A-Za-z])", "π", text)
    text = text.replace("**", "^").replace("%", r"\%").replace("°", r"^\circ")
    for command, sign in reversed(_SIGNS.items()):
        text = text.replace(sign, command + " ")
    return text


def _ascending(text: str) -> str:
    """Inequalities from the lesser to the greater side: `-1 < x < 1` for `1 > x > -1`."""
    signs = _RELATION.findall(text)
    if not signs or not _ASCENDING.keys() >= set(signs) or any(sign in text for sign in "=≠,;∪∩"):
        return text
    parts = [part.strip() for part in _RELATION.split(text)]
    if not all(part and part.count("(") == part.count(")") for part in parts):
        return text
    turned = (_ASCENDING[sign] for sign in reversed(signs))
    return " ".join([parts[-1], *(f"{s} {p}" for s, p in zip(turned, parts[-2::-1], strict=True))])


def without_set_braces(text: str) -> str:
    r"""With `{` for `\{`, where brackets only say what belongs together."""
    return _SET_BRACES.sub(r"\1", text)


def _script(found: re.Match[str]) -> str:
    signs = unicodedata.normalize("NFKC", found[0]).replace("\u2212", "-").replace("⁄", "/")
    if "/" in signs:
        glued = found.start() > 0 and found.string[found.start() - 1].isdecimal()
        return f" {signs}" if glued else signs
    return ("_" if "\u2080" <= found[0][0] <= "\u208c" else "^") + "{" + signs + "}"


def _unwrapped(text: str) -> tuple[str, bool] | None:
    """What is inside marks, quotes, or behind words that announce an answer; None if there is
    nothing around the text any more."""
    bare = _trimmed(text)
    for opened, closed in _MARKS:
        inside = bare[len(opened) : -len(closed)]
        if (
            bare.startswith(opened)
            and bare.endswith(closed)
            and inside.strip()
            and opened not in inside
        ):
            return inside, True
    if bare.startswith("$") and bare.count("$") == 2:
        formula, _, behind = bare[1:].partition("$")
        if formula.strip() and not any(map(str.isdecimal, behind)):
            return formula + behind, True
    if bare.count(r"\boxed{") == 1:
        boxed = _balanced(bare, bare.index(r"\boxed{") + len(r"\boxed"))
        if boxed is not None:
            return boxed, True
    lead = _LEAD.match(bare)
    if lead and bare[lead.end() :].strip():
        return bare[lead.end() :], False
    if bare.startswith("=") and len(bare) > 1:
        return bare[1:], False
    return (bare, False) if bare != text else None


def _balanced(text: str, place: int) -> str | None:
    """What is inside the braces that open at a place."""
    depth = 0
    for end in range(place, len(text)):
        depth += {"{": 1, "}": -1}.get(text[end], 0)
        if depth == 0:
            return text[place + 1 : end]
    return None


def _trimmed(text: str) -> str:
    """Without punctuation and quotes around it, where they are not part of a formula."""
    start, end = 0, len(text)
    while (
        start < end and _is_end(text[start]) and not text[start : start + 2].strip(".").isdecimal()
    ):
        start += 1
    while end > start and _is_end(text[end - 1]):
        end -= 1
    return text[start:end] or text


def _is_end(sign: str) -> bool:
    return sign in _ENDS or (not sign.isascii() and is_edge(sign))


def _fraction(found: re.Match[str]) -> str:
    above = found[1] or found[3] or found[5] or ""
    below = found[2] or found[4] or found[6] or ""
    return rf"\frac{{{above}}}{{{below}}}"


def _called_root(text: str) -> str:
    """With `sqrt(…)` as a command."""
    place = text.find("sqrt(")
    while place >= 0:
        if place and text[place - 1] == "\\":
            return text
        depth, end = 0, place + 4
        for end in range(place + 4, len(text)):
            depth += {"(": 1, ")": -1}.get(text[end], 0)
            if depth == 0:
                break
        text = text[:place] + r"\sqrt{" + text[place + 5 : end] + "}" + text[end + 1 :]
        place = text.find("sqrt(", place + 6)
    return text
