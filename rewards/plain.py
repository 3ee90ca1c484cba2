"""One spelling for text that Unicode can write in several ways, before texts are compared.

Unicode Standard Annex 15 (normalisation forms) and 44 (general categories).
"""

from __future__ import annotations

import re
import unicodedata

MINUS = "-"
_DASHES = "\u2010\u2011\u2012\u2013\u2212\u2796\u02d7\ufe58\ufe63\uff0d"
_SINGLE_QUOTES = "\u2018\u2019\u201a\u201b\u02bc\u00b4`"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f"
_MEANINGFUL = frozenset(["<super>", "<sub>", "<fraction>"])
"""Compatibility forms that mean something else than their plain letters: 5² is not 52."""
_JOINERS = "\u200c\u200d"
"""Invisible, but they change how letters read in Persian and in Indic scripts."""
_VARIANTS = "\ufe0e\ufe0f"
"""Whether a sign is drawn as text or as a picture."""

_MEANT = frozenset("#%&@/\\§¶†‡‰‱′″‴‵_-")
"""Punctuation that is part of what it stands beside: 50%, C#, A-."""
_LEADING_DASH = re.compile(r"\s*[\u2014\u2015](?=\s*[\d.$€£¥])")
"""A long dash is punctuation, but not before a number."""
_POINT = re.compile(r"\.\d")


def plain(text: str) -> str:
    """In one spelling: composed (NFC), full-width and other compatibility forms as plain signs,
    one minus, digits 0 to 9, straight quotes, without invisible signs, white space single.

    Superscripts, subscripts and fractions keep their form. Linear in the length of the text.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", text).translate(_SIGNS)
        text = unicodedata.normalize("NFC", _leading_minus(text))
    return " ".join(text.split())


def folded(text: str) -> str:
    """A text's words as they are compared: plain, in lower case, without punctuation at the ends.

    Signs that say something of the word beside them stay: the minus of -5, the per cent of 50%.
    A text of nothing but punctuation stays as it is.
    """
    text = plain(text)
    start, end = 0, len(text)
    while start < end and is_edge(text[start]) and not _POINT.match(text, start):
        start += 1
    while end > start and is_edge(text[end - 1]):
        end -= 1
    return plain((text[start:end] or text).casefold())


def is_edge(sign: str) -> bool:
    """Whether a sign at the end of a text is only punctuation or white space."""
    return sign.isspace() or (
        sign not in _MEANT and (sign == "`" or unicodedata.category(sign).startswith("P"))
    )


def _leading_minus(text: str) -> str:
    dash = _LEADING_DASH.match(text)
    return MINUS + text[dash.end() :] if dash else text


class _Signs(dict[int, str]):
    """What each sign is written as; looked up once, when a text first has it."""

    def __missing__(self, code: int) -> str:
        self[code] = written = _written(chr(code))
        return written


def _written(sign: str) -> str:
    if sign in _DASHES:
        return MINUS
    if sign in _SINGLE_QUOTES:
        return "'"
    if sign in _DOUBLE_QUOTES:
        return '"'
    if unicodedata.category(sign) == "Nd":
        return str(unicodedata.decimal(sign))
    kind, _, _ = unicodedata.decomposition(sign).partition(" ")
    if kind.startswith("<") and kind not in _MEANINGFUL:
        return unicodedata.normalize("NFKC", sign)
    is_unseen = unicodedata.category(sign) == "Cf" and sign not in _JOINERS
    return "" if is_unseen or sign in _VARIANTS else sign


_SIGNS = _Signs()
