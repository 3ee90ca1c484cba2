"""`modomodo score`: a scoring rule over a file of responses."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from modomodo import bars
from modomodo.errors import CommandFailed, WrongUse
from modomodo.extras import need
from rewards.cases import Case
from rewards.rules import RULES, Rule, UnknownRuleError, rule_named
from service.search.counts import counted
from service.study import points

BAR_EVERY = 500
"""Cases between two moves of the bar."""


def score(
    rule: Annotated[
        str | None, typer.Option(help="What scores; `--list` says what there is.")
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(
            "--in", help='JSONL file, a line {"response", "answer", "extra"?} each; - is stdin.'
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="File to write; default stdout.")] = None,
    list_rules: Annotated[
        bool, typer.Option("--list", help="Say what each rule does and where it comes from.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --list, as JSON.")] = False,
) -> None:
    """Score responses: each line comes back with a "score" in [0, 1], their mean on stderr.

    The response is taken as it is: rules of benchmarks read the text that is given to them.
    """
    if list_rules:
        _print_rules(as_json)
        return
    if rule is None or cases is None:
        raise WrongUse("give a rule and a file: modomodo score --rule exact --in cases.jsonl")
    try:
        known = rule_named(rule)
    except UnknownRuleError as error:
        raise WrongUse(str(error)) from error
    if known.needs is not None:
        need(known.needs)
    given = [_case(cases, number, line) for number, line in _read(cases)]
    if out is None:
        _score(known, given, sys.stdout)
        return
    try:
        with out.open("w", encoding="utf-8") as target:
            _score(known, given, target)
    except OSError as error:
        raise CommandFailed(f"cannot write {out}: {error}") from error


def _read(path: Path) -> Iterator[tuple[int, str]]:
    """Lines that are not empty, with their numbers."""
    try:
        text = sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"cannot read {path}: {error}") from error
    # Only line feeds end a line of JSON; other separators may stand inside its texts.
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            yield number, line


def _case(path: Path, number: int, line: str) -> tuple[dict[str, Any], Case]:
    """The line's JSON object, and what a rule makes of it.

    Raises:
        CommandFailed: it is no such object; names file, line and key.
    """
    where = f"{path}, line {number}"
    try:
        item = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CommandFailed(f"{where}: not JSON: {error}") from error
    if not isinstance(item, dict):
        raise CommandFailed(f"{where}: {_kind(item)}, not an object")
    for key in ("response", "answer"):
        if key not in item:
            raise CommandFailed(f"{where}: no {key!r}; it has {', '.join(item) or 'no keys'}")
    response, extra = item["response"], item.get("extra")
    if not isinstance(response, str):
        raise CommandFailed(f"{where}: 'response' is {_kind(response)}, not text")
    if item["answer"] is None:
        raise CommandFailed(f"{where}: 'answer' is null")
    if extra is not None and not isinstance(extra, dict):
        raise CommandFailed(f"{where}: 'extra' is {_kind(extra)}, not an object")
    return item, Case(response, _answer(item["answer"]), extra or {})


def _answer(value: Any) -> str | tuple[str, ...]:
    """A text, all accepted texts, or anything else (a number, boxes) as JSON writes it."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return tuple(value)
    return json.dumps(value)


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return "null" if value is None else names.get(type(value), "a number")


def _score(rule: Rule, given: list[tuple[dict[str, Any], Case]], target: TextIO) -> None:
    console = Console(stderr=True)
    scores = []
    with bars.counting(console) as bar:
        task = bar.add_task(rule.name, total=len(given))
        for number, (item, case) in enumerate(given, 1):
            scores.append(rule.score(case))
            target.write(json.dumps(item | {"score": scores[-1]}) + "\n")
            if number % BAR_EVERY == 0 or number == len(given):
                bar.update(task, completed=number)
    if scores:
        found = rule.together(scores, [case for _, case in given])
        if found.se is None:
            shown = f"{points.value(found.score)} points of 100"
        else:
            shown = f"{points.score(found.score, found.se)} points of 100 (± 95% interval)"
        over = counted(len(scores), "response")
        console.print(f"{rule.name}: {shown} over {over}", highlight=False)


def _print_rules(as_json: bool) -> None:
    if as_json:
        listed = [
            {
                "name": rule.name,
                "does": rule.does,
                "source": rule.source,
                "reward": rule.is_reward,
                "needs": rule.needs,
            }
            for rule in RULES.values()
        ]
        sys.stdout.write(json.dumps(listed, indent=2) + "\n")
        return
    table = Table("rule", "what it does", "from")
    for rule in RULES.values():
        table.add_row(escape(rule.name), escape(rule.does), escape(rule.source))
    Console().print(table)
