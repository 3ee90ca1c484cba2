"""Numbers of things, in words."""

from __future__ import annotations


def counted(n: int, one: str, many: str | None = None) -> str:
    """`1 run`, `3 runs`, `1,200 runs`."""
    return f"{n:,} {one if n == 1 else many or one + 's'}"


def all_done(budget: int, gpu_hours: float | None = None) -> str:
    """That a study's budget is used, as the end of a sentence.

    Args:
        budget: trials.
        gpu_hours: the budget in GPU-hours, where it allowed no more trials than that.
    """
    if gpu_hours is not None:
        return f"its {gpu_hours:,.6g} GPU-hours last for no more than {counted(budget, 'trial')}"
    if budget == 1:
        return "the one trial of its budget is done"
    return f"all {budget:,} trials of its budget are done"
