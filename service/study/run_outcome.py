"""What becomes of the lines of a table of runs: added, known, left out or wrong, in words.

For the command line and the page of trials alike; it needs no library but pydantic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from service.schemas import RunImport, TrialsImported
from service.search.counts import counted

NOT_COMPLETED = "not completed"
NOT_WHOLE = "not of a whole run"
CHANGED = "of mixtures that changed on the way"
NO_SCORE = "without a score that is needed"
KNOWN = "in the study already"

STRETCHES = 6
"""Numbers of trials in a row are told as one stretch; so many stretches are told."""


@dataclass(frozen=True, slots=True)
class Line:
    """A line of the file that is not taken.

    Attributes:
        why: in words, with the column where it is one's fault.
        kind: under which it is counted; empty where the line is wrong.
    """

    line: int
    why: str
    kind: str = ""


@dataclass(frozen=True, eq=False)
class RunTable:
    """A table that was read.

    Attributes:
        runs: that can be sent to the service.
        lines: (n,) of each of them.
        left_out: lines that are no finished whole runs.
        wrong: lines that cannot be read; while there is one, nothing is imported.
        zero: domains that have no column, so that their weight is 0 everywhere.
        unused: columns that mean nothing here.
    """

    name: str
    runs: tuple[RunImport, ...]
    lines: tuple[int, ...]
    left_out: tuple[Line, ...]
    wrong: tuple[Line, ...]
    zero: tuple[str, ...]
    unused: tuple[str, ...]

    def with_answer(self, answer: TrialsImported | None) -> Outcome:
        """What becomes of each line, by what the service says of the runs; None where there were
        none to ask about, or lines are wrong."""
        known = () if answer is None else answer.known
        refused = () if answer is None else answer.refused
        there = () if answer is None else answer.known_numbers
        said = [f"{KNOWN}, as trial {number}" for number in there] or [KNOWN] * len(known)
        repeated = [Line(self.lines[i], why, KNOWN) for i, why in zip(known, said, strict=True)]
        left_out = [*self.left_out, *repeated]
        wrong = [*self.wrong, *(Line(self.lines[item.run], item.why) for item in refused)]
        n_more = 0 if answer is None else answer.n_refused - len(refused)
        n_all = len(self.runs) + len(self.left_out) + len(self.wrong)
        return Outcome(
            self,
            n_all,
            n_all - len(left_out) - len(wrong) - n_more,
            tuple(sorted(left_out, key=lambda item: item.line)),
            tuple(sorted(wrong, key=lambda item: item.line)),
            len(wrong) + n_more,
            () if answer is None else tuple(answer.numbers),
            tuple(sorted(there)),
        )


@dataclass(frozen=True, eq=False)
class Outcome:
    """What becomes of a file's lines.

    Attributes:
        n_all: lines below the first.
        n_new: runs that are, or would be, added once no line is wrong.
        left_out: in order of lines, as `wrong`.
        wrong: the first of the `n_wrong`.
        numbers: of the trials that were added.
        known: numbers of the trials that other lines are already.
    """

    table: RunTable
    n_all: int
    n_new: int
    left_out: tuple[Line, ...]
    wrong: tuple[Line, ...]
    n_wrong: int
    numbers: tuple[int, ...]
    known: tuple[int, ...]

    def headline(self, study: str, *, dry_run: bool) -> str:
        """What became of the file, or would, in a sentence."""
        runs = counted(self.n_new, "run")
        if self.n_wrong:
            lines = counted(self.n_wrong, "line")
            return f"{self.table.name}: nothing is imported while {lines} cannot be taken"
        if self.numbers:
            return f"{self.table.name}: {runs} added to study {study!r} as {named(self.numbers)}"
        if self.known and not self.n_new:
            return (
                f"{self.table.name}: {counted(len(self.known), 'run')} in study {study!r} already, "
                f"as {named(self.known)}; nothing is added"
            )
        if not self.n_new:
            return f"{self.table.name}: nothing to import; study {study!r} stays as it is"
        would = "would be added" if dry_run else "to be added"
        return f"{self.table.name}: {runs} {would} to study {study!r}"

    def remarks(self) -> list[str]:
        """On columns."""
        said = []
        if self.table.zero:
            said.append(f"no column for {', '.join(self.table.zero)}: weight 0 in every run")
        if self.table.unused:
            shown = ", ".join(self.table.unused[:10])
            more = ", ..." if len(self.table.unused) > 10 else ""
            said.append(f"columns that are not used: {shown}{more}")
        return said

    @property
    def kinds(self) -> dict[str, int]:
        """How many lines are left out for what."""
        return dict(Counter(item.kind for item in self.left_out))


def named(numbers: Sequence[int]) -> str:
    """`trial 7`, `trials 3 to 502`, `trials 3 to 9, 12 and 20 to 31`; of many stretches the first
    ones: `trials 3, 5, 7 and 40 more`."""
    stretches: list[list[int]] = []
    for number in numbers:
        if stretches and number == stretches[-1][-1] + 1:
            stretches[-1][1:] = [number]
        else:
            stretches.append([number])
    said = [" to ".join(map(str, stretch)) for stretch in stretches[:STRETCHES]]
    told = sum(stretch[-1] - stretch[0] + 1 for stretch in stretches[:STRETCHES])
    if told < len(numbers):
        said.append(f"{len(numbers) - told:,} more")
    shown = said[0] if len(said) == 1 else f"{', '.join(said[:-1])} and {said[-1]}"
    return f"trial{'' if len(numbers) == 1 else 's'} {shown}"


def imported(
    table: RunTable, take: Callable[[Sequence[RunImport], bool], TrialsImported], *, dry_run: bool
) -> Outcome:
    """Imports a table's runs, unless a line is wrong, and says what became of it.

    Args:
        take: asks the service to take runs; told True, only what would become of them. It is asked
            that first, since one run that cannot be had keeps all of them out.
    """
    if not table.runs:
        return table.with_answer(None)
    outcome = table.with_answer(take(table.runs, True))
    if dry_run or outcome.n_wrong or not outcome.n_new:
        return outcome
    return table.with_answer(take(table.runs, False))
