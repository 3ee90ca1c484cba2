"""What a surrogate makes of a study's floors and objectives, as the wire and people have it."""

from __future__ import annotations

from service.fitting.fits import Fits
from service.schemas import GoalAnswer, GoalPoint
from service.search import goal_documents
from service.search.goal_decision import Decision, Point
from service.study import points
from service.study.evidence import Evidence


def answer(fits: Fits, known: Evidence, surrogate: str) -> GoalAnswer:
    """Recommended mixture, front and verdict.

    Raises:
        Refused: the study has neither constraints nor several objectives; no such surrogate, or one
            that is of one number alone; or too few completed trials to fit it.
    """
    found = fits.decision(known, surrogate)
    train = found.compared[0] if found.compared else None
    return GoalAnswer.model_validate(
        {
            "surrogate": surrogate,
            **goal_documents.decision(known.space, found),
            "train": None if train is None else view(known, found, train),
            "message": message(found, found.recommended),
        }
    )


def view(known: Evidence, found: Decision, of: Point) -> GoalPoint:
    """A mixture with the study's names of domains."""
    return GoalPoint.model_validate(goal_documents.point(known.space, found.goal, of))


def message(found: Decision, of: Point) -> str:
    """What is to be said of a mixture: its objectives, how likely its floors hold, and whether
    they can be kept at all. Scores in points of 100."""
    said = []
    if found.goal.is_worst:
        said.append(f"Worst benchmark: {points.signed(of.mean[0], of.sd[0])}% of equal weights.")
    elif found.choice is not None:
        names = goal_documents.objectives(found.goal)
        values = [
            f"{name} {points.score(mean, sd)}"
            for name, mean, sd in zip(names, of.mean, of.sd, strict=True)
        ]
        said.append(f"On the front: {', '.join(values)}.")
    if found.goal.floors:
        floors = goal_documents.floors_in_words(found, of, points.value)
        said.append(f"Floors hold with: {floors}.")
        said.append(goal_documents.verdict_in_words(found))
    return " ".join(filter(None, said))
