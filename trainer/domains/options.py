"""The options of a question, in whatever form the data gives them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from trainer.domains import fields
from trainer.domains.errors import Dropped

_TEXTS = ("text", "texts", "option", "options", "choice", "choices", "value", "content")
_LABELS = ("label", "labels", "key", "keys", "letter", "letters", "id")


@dataclass(frozen=True, slots=True)
class Options:
    """Texts of the options in order, and the data's own names of them, where it has any."""

    texts: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()
    """As many as there are texts, or none."""

    def letter_of(self, answer: str) -> str:
        """The letter of the option that an answer names: by its label, its text or its letter.

        What names no option is given back as it is.

        Raises:
            Dropped: the answer is the text of two options.
        """
        if not answer:
            return ""
        if answer not in self.labels and self.texts.count(answer) > 1:
            raise Dropped("malformed row", f"two options are {answer!r:.60}, the answer")
        bare = [_bare(label) for label in self.labels]
        for names, name in ((self.labels, answer), (self.texts, answer), (bare, _bare(answer))):
            if name in names:
                return fields.lettered(names.index(name), len(names))
        if any(map(fields.letter, self.labels)):
            raise Dropped("missing option", f"{answer!r:.60} of {', '.join(self.labels):.60}")
        return fields.letter(answer) or answer


def read(value: Any) -> Options:
    """Options that stand in one column.

    A list of texts, a list of `{label, text}`, `{text: […], label: […]}`, a mapping of labels to
    texts, or one of these as JSON text. A mapping's labels that have no text (as in a Parquet file,
    where every row has every row's labels) are no options; letters and numbers go in their order.

    Raises:
        Dropped: it is something else.
    """
    if isinstance(value, str):
        value = _parsed(value)
    if fields.is_missing(value):
        return Options()
    if isinstance(value, Mapping):
        return _of_mapping(value)
    if isinstance(value, list | tuple):
        while value and fields.is_missing(value[-1]):  # lists of one length are filled up so
            value = value[:-1]
        if any(isinstance(item, Mapping) for item in value):
            return _labelled(map(_pair, value))
        return Options(fields.texts({"choices": value}, "choices"))
    raise Dropped("malformed row", f"choices is {type(value).__name__}, not a list or a mapping")


def of_columns(texts: Sequence[str], names: Sequence[str]) -> Options:
    """Options that stand in a column each; the last may be empty. Names of columns, if any."""
    n = max((place for place, text in enumerate(texts, 1) if text), default=0)
    return Options(tuple(texts[:n]), tuple(names[:n]))


def _parsed(text: str) -> Any:
    if not text.strip():
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Dropped("malformed row", f"choices is text, no JSON list: {text!r:.60}") from error
    if value is not None and not isinstance(value, list | dict):
        raise Dropped("malformed row", f"choices is text, no JSON list: {text!r:.60}")
    return value


def _of_mapping(mapping: Mapping[str, Any]) -> Options:
    filled = {str(key): value for key, value in mapping.items() if not fields.is_missing(value)}
    if not filled:
        return Options()
    lists = {key: value for key, value in filled.items() if isinstance(value, list | tuple)}
    texts, labels = _under(lists, _TEXTS), _under(lists, _LABELS)
    if texts is not None and labels is not None:
        if len(texts) != len(labels):
            raise Dropped("malformed row", f"{len(texts)} options, but {len(labels)} labels")
        return _labelled(zip(labels, texts, strict=True))
    if texts is not None:
        return read(texts)
    if lists or _are_parts(filled):
        shown = ", ".join(filled)
        raise Dropped(
            "malformed row", f"choices has {shown:.60}; a mapping has labels and their texts"
        )
    order = list(filled)
    if all(len(label) == 1 and label.isalpha() for label in map(_bare, order)):
        order.sort(key=_bare)
    elif all(label.isdecimal() for label in map(_bare, order)):
        order.sort(key=lambda label: int(_bare(label)))
    return _labelled((label, filled[label]) for label in order)


def _pair(item: Any) -> tuple[Any, Any]:
    """Label and text of one option that is a mapping."""
    if not isinstance(item, Mapping):
        raise Dropped("malformed row", f"an option is {type(item).__name__}, others are mappings")
    filled = {str(key): value for key, value in item.items() if not fields.is_missing(value)}
    text, label = _under(filled, _TEXTS), _under(filled, _LABELS)
    if text is not None and label is not None:
        return label, text
    if len(filled) == 1 and not _are_parts(filled):
        return next(iter(filled.items()))
    if text is not None and len(filled) == 1:
        return None, text
    raise Dropped("malformed row", f"an option has {', '.join(filled):.60}, not label and text")


def _are_parts(mapping: Mapping[str, Any]) -> bool:
    return all(key.lower() in _TEXTS + _LABELS for key in mapping)


def _under(mapping: Mapping[str, Any], names: Iterable[str]) -> Any:
    """The value under the one of the names that is there; None where none or several are."""
    found = [value for key, value in mapping.items() if key.lower() in names]
    return found[0] if len(found) == 1 else None


def _labelled(pairs: Iterable[tuple[Any, Any]]) -> Options:
    found = [
        (fields.text({"label": label}, "label"), fields.text({"choices": text}, "choices"))
        for label, text in pairs
        if not fields.is_missing(text)
    ]
    labels = tuple(label for label, _ in found)
    texts = tuple(text for _, text in found)
    if not any(labels):
        return Options(texts)
    if len(set(map(_bare, labels))) < len(labels):
        raise Dropped("malformed row", f"two options have one label: {', '.join(labels):.60}")
    return Options(texts, labels)


def _bare(label: str) -> str:
    """A label without its brackets and stops, in upper case: `(b)` is `B`."""
    return label.strip(" ().:").upper()
