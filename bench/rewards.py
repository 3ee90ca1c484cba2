"""How many scores a second each rule gives on one core, beside peers; its worst on hostile text.

`python -m bench.rewards [--fuzz 2000]`
"""

from __future__ import annotations

import json
import platform
import random
import statistics
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console

from bench.report import ROOT, table, write_results, write_section
from modomodo import bars
from rewards.anls import anls
from rewards.boxes import Box, iou
from rewards.cases import Case
from rewards.rules import MAX_RESPONSE, RULES, Rule, rule_named

VECTORS = ROOT / "tests" / "data" / "vectors"
FILES = {
    "exact": "chartqa",
    "box-iou": "iou",
    "box-greedy": "boxes_visualrft",
    "chartqa-relaxed": "chartqa",
    "infovqa-anls": "anls",
    "anls-strict": "anls",
    "mmmu": "mmmu_open",
    "mathvista": "mathvista",
    "mathvista-extracted": "mathvista_normalize",
    "scienceqa-letter": "scienceqa",
    "sat-text": "scienceqa",
    "lisa-giou": "iou",
    "lisa-ciou": "iou",
    "math": "chartqa",
    "think-answer-format": "think_answer_format",
}
"""Whose cases a rule is timed on: those of its own vectors where it has some."""

LONGEST = 500
"""Characters of a response that is timed; one of 16,000 among 40 would be all that is measured."""
ROUNDS = 7
ROUND_S = 0.3
GOAL = 20_000
"""Scores a second that a string rule gives at least."""
MOST_MS = {None: 50.0, "math": 2000.0}

PIECES = (
    *("<think>", "</think>", "<answer>", "</answer>", "[", "]", "(", ")", "{'Position': [", "}"),
    *("[1,2,3,4]", "'Confidence': 1", "'bbox': [", "(1,1),", "A", "(B)", " C ", "D.", "answer is "),
    *("1", "-", "9" * 30, ".5", "e9", "1,234", "%", "nan", "inf", "\\frac{", "\\sqrt{", "^{", "$"),
    *(
        "x",
        "=",
        "so ",
        "\n",
        " ",
        "\t",
        "\u3000",
        "\0",
        "\ud800",
        "\udfff",
        "İ",
        "ß",
        "٣",
        "\u202e",
    ),
    *("\\int ", "\\sum_{n=1}^{\\infty}", "!", "red apple", 'The answer is "', '".'),
)

Work = Callable[[], int]
"""Scores some cases and says how many."""


def main(
    fuzz: Annotated[int, typer.Option(help="Hostile texts for each rule.")] = 2000,
) -> None:
    speeds = {name: _speeds([_scoring(rule, _cases(name))])[0] for name, rule in RULES.items()}
    peers = {name: _speeds(pair) for name, pair in _peers().items()}
    worst = {}
    with bars.counting(Console(stderr=True)) as bar:
        for name, rule in RULES.items():
            n = fuzz if rule.needs is None else max(1, fuzz // 10)
            worst[name] = (n, _worst(rule, n, bar))
    write_results("rewards", {"per_second": speeds, "peers": peers, "worst_ms": worst})
    write_section("rewards", report(speeds, peers, worst))


def _cases(name: str) -> list[Case]:
    lines = (VECTORS / f"{FILES[name]}.jsonl").read_text().splitlines()
    vectors = [json.loads(line) for line in lines]
    return [
        Case(
            v["response"],
            v["answer"] if isinstance(v["answer"], str) else tuple(v["answer"]),
            v["extra"],
        )
        for v in vectors
        if len(v["response"]) <= LONGEST
    ]


def _scoring(rule: Rule, cases: Sequence[Case]) -> Work:
    def work() -> int:
        for case in cases:
            rule.score(case)
        return len(cases)

    return work


def _speeds(works: Sequence[Work]) -> list[float]:
    """Scores a second of each, medians over rounds in which they take turns."""
    for work in works:
        work()
    found: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for place, work in enumerate(works):
            n, started = 0, time.perf_counter()
            while time.perf_counter() - started < ROUND_S:
                n += work()
            found[place].append(n / (time.perf_counter() - started))
    return [statistics.median(each) for each in found]


def _peers() -> dict[str, list[Work]]:
    """Ours and the peer's on the same cases, checked to say the same."""
    return {"anls": _anls_pair(), "pycocotools": _iou_pair(), "math-verify": _math_pair()}


def _anls_pair() -> list[Work]:
    from anls import anls_score

    cases = _cases("infovqa-anls")
    # The peer folds no white space: where there is none the two are the same rule.
    plain = [
        c
        for c in cases
        if c.response and all(" ".join(t.split()) == t for t in (c.response, *c.answer))
    ]
    golds = [list(case.accepted) for case in plain]

    def theirs() -> int:
        for case, gold in zip(plain, golds, strict=True):
            anls_score(case.response, gold)
        return len(plain)

    def ours() -> int:
        for case in plain:
            anls(case)
        return len(plain)

    return [ours, theirs]


def _iou_pair() -> list[Work]:
    from pycocotools import mask

    rng = np.random.default_rng(0)
    corners = rng.integers(0, 500, (200, 2, 2))
    sides = rng.integers(1, 400, (200, 2, 2))
    pairs = [
        (Box(*map(float, (*c[0], *(c[0] + s[0])))), Box(*map(float, (*c[1], *(c[1] + s[1])))))
        for c, s in zip(corners, sides, strict=True)
    ]

    def xywh(box: Box) -> list[float]:
        return [box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1]

    def one(a: Box, b: Box) -> float:
        return float(mask.iou(np.array([xywh(a)]), np.array([xywh(b)]), [0])[0, 0])

    assert all(abs(iou(a, b) - one(a, b)) < 1e-9 for a, b in pairs)

    def theirs() -> int:
        for a, b in pairs:
            one(a, b)
        return len(pairs)

    def ours() -> int:
        for a, b in pairs:
            iou(a, b)
        return len(pairs)

    return [ours, theirs]


def _math_pair() -> list[Work]:
    """math-verify itself, on the main thread and under its own limits, against our child."""
    from math_verify import parse, verify

    pairs = [
        ("2^{10}", "1024"),
        (r"\frac{\pi}{4}", r"0.25\pi"),
        ("12x", "13x"),
        (r"2\sqrt{3}", r"\sqrt{12}"),
        ("x^2+2x+1", "(x+1)^2"),
        ("x+1", "x+2"),
        (r"\sin(2x)", r"2\sin(x)\cos(x)"),
        (r"\frac{x}{2}", "0.5x"),
    ]
    cases = [Case(given, right) for right, given in pairs]
    rule = rule_named("math")

    def peer(right: str, given: str) -> bool:
        return bool(verify(parse(f"${right}$"), parse(f"${given}$")))

    assert all(peer(r, g) == bool(rule.score(c)) for (r, g), c in zip(pairs, cases, strict=True))

    def theirs() -> int:
        for right, given in pairs:
            peer(right, given)
        return len(pairs)

    return [_scoring(rule, cases), theirs]


def _worst(rule: Rule, n: int, bar: Any) -> float:
    """Milliseconds of the slowest of `n` hostile texts: of this process, or on the clock for a rule
    that waits for a child.

    Raises:
        AssertionError: a score outside [0, 1].
    """
    rng = random.Random(rule.name)
    extras = [case.extra for case in _cases(rule.name)]
    right = [case.answer for case in _cases(rule.name)]
    task = bar.add_task(rule.name, total=n)
    clock = time.process_time if rule.needs is None else time.perf_counter
    slowest = 0.0
    for _ in range(n):
        case = Case(
            _hostile(rng, 2000 if rule.needs else MAX_RESPONSE),
            rng.choice(right),
            rng.choice(extras),
        )
        started = clock()
        score = rule.score(case)
        slowest = max(slowest, 1000 * (clock() - started))
        assert 0 <= score <= 1, (rule.name, case)
        bar.advance(task)
    return slowest


def _hostile(rng: random.Random, longest: int) -> str:
    """A few pieces, repeated or mixed, up to the longest text that is looked at."""
    size = int(10 ** rng.uniform(0, np.log10(longest)))
    few = rng.choices(PIECES, k=rng.randint(1, 6))
    if rng.random() < 0.5:
        unit = "".join(few)
        text = unit * (size // len(unit) + 1)
    else:
        text = "".join(rng.choices(few, k=size))
    text = text[:size]
    return f"<think>{text[:9]}</think><answer>{text[:-40]}</answer>" if rng.random() < 0.2 else text


def report(
    speeds: dict[str, float], peers: dict[str, list[float]], worst: dict[str, tuple[int, float]]
) -> str:
    rows = [
        [f"`{name}`", f"{speeds[name]:,.0f}", f"{worst[name][1]:,.0f}", f"{worst[name][0]:,}"]
        for name in RULES
    ]
    compared = [
        [
            f"{what} against {peer} {version(peer)}",
            f"{ours:,.0f}",
            f"{theirs:,.0f}",
            f"{ours / theirs:,.2f}",
        ]
        for (peer, (ours, theirs)), what in zip(
            peers.items(), ("`infovqa-anls`", "IoU of two boxes", "`math`"), strict=True
        )
    ]
    strings = {name: speed for name, speed in speeds.items() if RULES[name].needs is None}
    slowest = min(strings, key=lambda name: strings[name])
    late = [name for name, (_, ms) in worst.items() if ms > MOST_MS[RULES[name].needs]]
    return "\n\n".join(
        (
            f"Median of {ROUNDS} rounds on one core of a shared machine; responses of the test "
            f"vectors up to {LONGEST} characters. Hostile texts are random repeats and mixes of "
            f"tags, brackets, digits, formulas, odd Unicode, up to {MAX_RESPONSE:,} characters "
            "(2,000 for `math`).",
            table(["rule", "scores / s", "slowest hostile text, ms", "of"], rows),
            f"The slowest string rule, `{slowest}`, gives {strings[slowest]:,.0f} scores a second; "
            f"the goal is {GOAL:,}. Over the limit (50 ms, `math` 2 s): "
            f"{', '.join(late) or 'none'}.",
            table(["against a peer, same cases", "ours / s", "peer / s", "ratio"], compared),
            "math-verify is timed with its parsing, on the main thread and with its own signal "
            "limits; `math` is the same library behind a pipe, usable from any thread.",
            f"Made on {platform.machine()}, Python {platform.python_version()}.",
        )
    )


if __name__ == "__main__":
    typer.run(main)
