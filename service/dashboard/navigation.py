"""Which pages of a study lead to each other."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StudyLink:
    """A page of every study, as its navigation shows it.

    Attributes:
        part: what its address has behind the study's; also its `here` in templates.
        title: what is clicked.
    """

    part: str
    title: str


STUDY_LINKS: list[StudyLink] = []
"""In the order of the navigation; `router.py` fills it from the pages' own `LINK`."""
