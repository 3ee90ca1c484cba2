"""What a surrogate makes of a study's floors and objectives, as the wire and people have it."""

from __future__ import annotations

from service.fitting.records import GoalRecord
from service.schemas import GoalAnswer, GoalPoint
from service.search import goal_documents
from service.search.goal_decision import Decision, Point
from service.study import points
from service.study.evidence import Evidence


def record(known: Evidence, surrogate: str, found: Decision) -> GoalRecord:
    """Recommended mixture, front and verdict, and what is to be said of the mixture to train."""
    train = found.compared[0] if found.compared else None
    answer = GoalAnswer.model_validate(
        {
            "surrogate": surrogate,
            **goal_documents.decision(known.space, found),
            "train": None if train is None else _view(known, found, train),
            "message": _message(found, found.recommended),
        }
    )
    return GoalRecord(answer=answer, of_train="" if train is None else _message(found, train))


def _view(known: Evidence, found: Decision, of: Point) -> GoalPoint:
    """A mixture with the study's names of domains."""
    return GoalPoint.model_validate(goal_documents.point(known.space, found.goal, of))


def _message(found: Decision, of: Point) -> str:
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
