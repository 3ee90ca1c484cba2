"""All scoring rules by name: what each does, who published it, and whether training may use it."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from rewards import anls, answers, chartqa, corpus, lisa, math_judge, maths, mathvista, mmmu
from rewards.box_text import parse_detections, read_boxes
from rewards.boxes import greedy_iou, matched_iou
from rewards.cases import Case
from rewards.corpus import Estimate
from rewards.tags import answer_part, split_response

MAX_RESPONSE = 100_000
"""Characters; a longer response is a flood, and every rule gives it 0."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to score a response, in [0, 1]."""

    name: str
    does: str
    """One sentence."""
    source: str
    """Who published it, in which file, under which licence; none of their code is here."""
    judge: Callable[[Case], float]
    weigh: Callable[[Case], float] | None = None
    """What a case counts in the score of many; None counts all alike."""
    is_for_boxes: bool = False
    is_reward: bool = False
    """Whether training may pay by it: only where no answer but a right one earns much."""
    needs: str | None = None
    """The extra of this package that must be installed for it."""

    def score(self, case: Case) -> float:
        """The score of one case; 0 for a response longer than `MAX_RESPONSE`."""
        return 0.0 if len(case.response) > MAX_RESPONSE else self.judge(case)

    def check_installed(self) -> None:
        """Raises:
        MathVerifyMissing: the rule needs math-verify, which is not installed.
        """
        if self.needs == "math" and not math_judge.is_available():
            raise math_judge.MathVerifyMissing

    def weight(self, case: Case) -> float:
        """What the case counts in the score of many."""
        if self.weigh is None:
            return 1.0
        flood = len(case.response) > MAX_RESPONSE
        return self.weigh(replace(case, response="") if flood else case)

    def of_all(self, cases: Sequence[Case]) -> Estimate:
        """The score of all cases together.

        Raises:
            ValueError: there are none.
        """
        return self.together([self.score(case) for case in cases], cases)

    def together(self, scores: Sequence[float], cases: Iterable[Case]) -> Estimate:
        """The score of all cases, where each one's is known."""
        weights = None if self.weigh is None else [self.weight(case) for case in cases]
        return corpus.mean(scores, weights)


class UnknownRuleError(ValueError):
    """No rule of that name; names the nearest one."""

    def __init__(self, name: str, known: Iterable[str]) -> None:
        names = list(known)
        near = difflib.get_close_matches(name, names, n=1)
        near = near or [known for known in names if name and known.startswith(name)]
        hint = f"did you mean {near[0]!r}? " if near else ""
        super().__init__(f"no rule {name!r}; {hint}known: {', '.join(names)}")


def _form(case: Case) -> float:
    return float(split_response(case.response) is not None)


def _box_iou(case: Case) -> float:
    return matched_iou(read_boxes(answer_part(case.response)), read_boxes(answer_part(case.first)))


def _box_greedy(case: Case) -> float:
    found = parse_detections(answer_part(case.response)) or []
    return greedy_iou(found, read_boxes(answer_part(case.first)))


_OWN = "this project"

RULES: dict[str, Rule] = {
    rule.name: rule
    for rule in (
        Rule(
            "exact",
            "The row's answer to the letter, white space around it aside.",
            "the paper (arXiv 2505.24871)",
            answers.exact,
            is_reward=True,
        ),
        Rule(
            "box-iou",
            "Intersection over union; several boxes under their best assignment (Hungarian), "
            "summed over the larger number of boxes.",
            "the paper for one box; the matching is this project's",
            _box_iou,
            is_for_boxes=True,
            is_reward=True,
        ),
        Rule(
            "box-greedy",
            "Surest box first, each takes the true box it overlaps most if IoU > 0.5; summed over "
            "the larger number of boxes.",
            "Visual-RFT, open_r1/grpo.py (Apache-2.0), without its math_verify shortcut",
            _box_greedy,
            is_for_boxes=True,
            is_reward=True,
        ),
        Rule(
            "chartqa-relaxed",
            "A number within 5% of the right one, or the same text in either case.",
            "ChartQA; lmms-eval, tasks/chartqa/utils.py (MIT)",
            chartqa.relaxed,
            is_reward=True,
        ),
        Rule(
            "infovqa-anls",
            "Similarity by edit distance to the nearest accepted answer, 0 below 0.5; white space "
            "around a wrong answer buys score, as published.",
            "DocVQA; lmms-eval, api/metrics.py (MIT)",
            anls.anls,
        ),
        Rule(
            "anls-strict",
            "The same with white space folded before lengths are taken.",
            _OWN,
            anls.anls_strict,
            is_reward=True,
        ),
        Rule(
            "mmmu",
            "The option that the response names last, or for open questions the right number or "
            "words behind a cue such as `answer is`; a random option where none is named is 0.",
            "MMMU, mmmu/utils/eval_utils.py (Apache-2.0)",
            mmmu.score,
        ),
        Rule(
            "mathvista",
            "Extracts the answer, brings it into the question's form (option, whole number, "
            "decimals) and compares; patterns instead of the language model.",
            "MathVista, evaluation/calculate_score.py; lmms-eval, mathvista_evals.py (MIT)",
            mathvista.score,
        ),
        Rule(
            "mathvista-extracted",
            "The same for a response that is an extracted answer already.",
            "MathVista, evaluation/calculate_score.py",
            mathvista.score_extracted,
        ),
        Rule(
            "scienceqa-letter",
            "The option's letter, alone or before a full stop and anything.",
            "ScienceQA; lmms-eval, tasks/scienceqa/utils.py (MIT)",
            answers.letter,
            is_reward=True,
        ),
        Rule(
            "sat-text",
            "The same words: case, white space and punctuation at the ends aside.",
            _OWN,
            answers.words,
            is_reward=True,
        ),
        Rule(
            "lisa-giou",
            "Mean over images of the IoU of all boxes said with all true ones, in pixels.",
            "LISA, train_ds.py (Apache-2.0): the formula, on boxes for masks",
            lisa.iou,
            is_for_boxes=True,
        ),
        Rule(
            "lisa-ciou",
            "Intersections of all images over their unions: the mean of IoUs weighted by union.",
            "LISA, train_ds.py (Apache-2.0): the formula, on boxes for masks",
            lisa.iou,
            weigh=lisa.union,
            is_for_boxes=True,
        ),
        Rule(
            "math",
            "Mathematically equal as whole expressions, or the same words; 0 with a warning "
            "where a second is too short to tell.",
            "formulas by math-verify (Apache-2.0), in a process of its own; the rest is ours",
            maths.score,
            is_reward=True,
            needs="math",
        ),
        Rule(
            "think-answer-format",
            "The whole response is `<think>…</think><answer>…</answer>`; its content is not read.",
            "R1-V, grpo.py (Apache-2.0)",
            _form,
        ),
    )
}

ALIASES = {"anls": "infovqa-anls"}
"""Other names that a rule goes by."""


def rule_named(name: str) -> Rule:
    """A rule by its name.

    Raises:
        UnknownRuleError: there is none.
    """
    known = RULES.get(ALIASES.get(name, name))
    if known is None:
        raise UnknownRuleError(name, RULES)
    return known
