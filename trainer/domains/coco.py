"""COCO detection as Visual-RFT prepared it: all boxes of one category.

Columns: `image`, `problem`, `solution`. A problem names the category and goes on with its own
directions for the answer; a solution is `<answer>[{'Position': […], 'Confidence': 1}, …]</answer>`
in thousandths of the image's sides, or says that there are no objects.
"""

from __future__ import annotations

import re

from rewards.box_text import parse_boxes
from trainer.domains import fields
from trainer.domains.errors import Dropped
from trainer.domains.source import Draft, Record, Source

_CATEGORY = re.compile(r"category '([^'\n]{1,100})'")
_ANSWER = re.compile(r"<answer>(.*?)</answer>", re.DOTALL)
_NOTHING = re.compile(r"no objects\.?", re.IGNORECASE)


def convert(record: Record) -> Draft:
    """The category as the question; its directions are left to the prompt."""
    problem = fields.text(record, "problem")
    if not problem:
        raise Dropped("empty question")
    category = _CATEGORY.search(problem)
    if category is None:
        raise Dropped("malformed row", f"the problem names no category: {problem!r:.80}")
    solution = fields.text(record, "solution")
    answer = _ANSWER.search(solution)
    inside = (answer.group(1) if answer else solution).strip()
    if _NOTHING.fullmatch(inside):
        raise Dropped("no boxes", "the solution says so", filtered=True)
    boxes = parse_boxes(inside)
    if boxes is None:
        raise Dropped("malformed row", f"the solution is no list of boxes: {inside!r:.80}")
    images = fields.pictures(record, "image")
    if not images:
        raise Dropped("no image", filtered=True)
    return Draft(
        question=f"Find all objects of the category '{category.group(1)}' in the image.",
        answer="",
        answer_type="boxes",
        images=images,
        boxes=tuple((box.x1, box.y1, box.x2, box.y2) for box in boxes),
        box_unit="thousandths",
    )


TRAIN = Source(
    name="coco",
    domain="coco",
    convert=convert,
    rule="box-iou",
    hub="laolao77/ViRFT_COCO",
    files=("**/train-*.parquet",),
    paper_rows=5997,
)
