"""Writes a bench's section of docs/benchmarks.md, its results as JSON, and its plots."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "benchmarks.md"
RESULTS = ROOT / "bench" / "results"
IMAGES = ROOT / "docs" / "images"


def write_section(name: str, markdown: str) -> None:
    """Puts `markdown` between the markers `<!-- name -->` and `<!-- /name -->` of the page.

    Raises:
        ValueError: the page has no such markers.
    """
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    text = PAGE.read_text()
    if start not in text or end not in text:
        raise ValueError(f"{PAGE} has no section between {start} and {end}")
    before, _, rest = text.partition(start)
    _, _, after = rest.partition(end)
    PAGE.write_text(f"{before}{start}\n{markdown.strip()}\n{end}{after}")


def write_results(name: str, results: Any) -> None:
    """Keeps the raw figures in bench/results/<name>.json."""
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{name}.json").write_text(json.dumps(results, indent=1) + "\n")


def read_results(name: str) -> dict[str, Any]:
    """What `write_results` kept; nothing before the first run."""
    file = RESULTS / f"{name}.json"
    found: dict[str, Any] = json.loads(file.read_text()) if file.exists() else {}
    return found


def machine() -> str:
    """One line on where the figures come from."""
    import torch
    import transformers
    import trl

    return (
        f"{platform.machine()}, {torch.get_num_threads()} torch thread(s) a run, Python "
        f"{platform.python_version()}, torch {torch.__version__}, transformers "
        f"{transformers.__version__}, trl {trl.__version__}"
    )


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table; the first column left, the others right."""
    align = [":--", *["--:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, align, *rows])
