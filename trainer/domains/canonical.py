"""From a draft to the row that is stored, or a named reason for leaving it out."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from trainer.domains import boxes, images
from trainer.domains.errors import Dropped
from trainer.domains.source import Draft, Source
from trainer.prompts import LETTERS
from trainer.rows import Coordinates

MAX_TEXT = 100_000
"""Characters of a question or an answer; a longer one is not a question."""


@dataclass(frozen=True, slots=True)
class StoredRow:
    """A canonical row as Parquet holds it: images encoded, `extra` as JSON."""

    id: str
    domain: str
    images: tuple[bytes, ...]
    question: str
    answer: str
    answer_type: str
    choices: tuple[str, ...]
    stratum: str
    extra: str

    def columns(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "domain": self.domain,
            "images": [{"bytes": data, "path": None} for data in self.images],
            "question": self.question,
            "answer": self.answer,
            "answer_type": self.answer_type,
            "choices": list(self.choices),
            "stratum": self.stratum,
            "extra": self.extra,
        }

    def digest(self) -> bytes:
        """SHA-256 of all that the row says, whatever file format it stands in."""
        words = self.columns() | {
            "images": [hashlib.sha256(data).hexdigest() for data in self.images]
        }
        text = json.dumps(words, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode()).digest()


def stored(draft: Draft, source: Source, name: str, coordinates: Coordinates) -> StoredRow:
    """Checks a draft and brings its images and boxes into their final form.

    Args:
        name: id of the row where the draft has none.

    Raises:
        Dropped: the row is wrong.
    """
    texts = [("question", draft.question), ("answer", draft.answer), ("id", draft.id)]
    texts += [("stratum", draft.stratum), *(("option", choice) for choice in draft.choices)]
    for what, text in texts:
        _check_text(what, text)
    if not draft.question.strip():
        raise Dropped("empty question")
    choices = tuple(choice.strip() for choice in draft.choices)
    prepared = [images.prepare(picture, source.longer_side) for picture in draft.images]
    extra = dict(draft.extra)
    if draft.answer_type == "boxes":
        answer = _boxes(draft, prepared, coordinates)
        extra["size"] = list(prepared[0].source_size)  # rules that add up areas need pixels
    else:
        answer = _answer(draft, choices)
    return StoredRow(
        id=draft.id or name,
        domain=source.domain,
        images=tuple(image.data for image in prepared),
        question=draft.question.strip(),
        answer=answer,
        answer_type=draft.answer_type,
        choices=choices,
        stratum=draft.stratum,
        extra=_json(extra),
    )


def _check_text(what: str, text: str) -> None:
    if len(text) > MAX_TEXT:
        raise Dropped("malformed row", f"the {what} has {len(text)} characters")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise Dropped("malformed row", f"the {what} holds half of a surrogate pair")


def _boxes(draft: Draft, prepared: list[images.Prepared], coordinates: Coordinates) -> str:
    if len(prepared) != 1:
        raise Dropped("malformed row", f"boxes need one image, not {len(prepared)}")
    image = prepared[0]
    return json.dumps(
        boxes.convert(
            draft.boxes,
            draft.box_unit,
            source_size=image.source_size,
            size=image.size,
            to=coordinates,
            clip=draft.clip,
        )
    )


def _answer(draft: Draft, choices: tuple[str, ...]) -> str:
    answer = draft.answer.strip()
    if not answer:
        raise Dropped("empty answer")
    if draft.answer_type == "number":
        try:
            is_number = math.isfinite(float(answer.replace(",", ""))) and "_" not in answer
        except ValueError:
            is_number = False
        if not is_number:
            raise Dropped("answer is not a number", f"{answer!r:.60}")
    if draft.answer_type == "choice":
        if len(choices) > len(LETTERS):
            raise Dropped("malformed row", f"{len(choices)} options; at most {len(LETTERS)}")
        if any(not choice for choice in choices):
            raise Dropped("missing option", "an option is empty")
        # A question may have its options in its text; then any letter may be right.
        if len(answer) != 1 or answer not in LETTERS[: len(choices) or None]:
            raise Dropped("missing option", f"{answer!r:.60} of {len(choices)} options")
    return answer


def _json(extra: Mapping[str, Any]) -> str:
    try:
        return json.dumps(extra, sort_keys=True, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise Dropped("malformed row", f"extra is not JSON: {error}") from error
