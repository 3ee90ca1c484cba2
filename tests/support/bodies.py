"""Bodies that the service accepts, to start from."""

from __future__ import annotations

from typing import Any


def study_body(name: str = "vlm", **changes: Any) -> dict[str, Any]:
    """A small study that proposes at random."""
    return {
        "name": name,
        "domains": [{"name": "coco"}, {"name": "lisa"}, {"name": "sat"}],
        "benchmarks": [
            {"name": "lisa_test", "group": "in", "samples": 100},
            {"name": "chart", "group": "out", "samples": 200},
            {"name": "info", "group": "out", "samples": 300},
        ],
        "strategy": "random",
        "budget": 8,
        "recipe": {"backend": "command", "command": {"script": "train"}, "steps": 30},
    } | changes


def scores(value: float = 0.5) -> list[dict[str, Any]]:
    """A complete result of `study_body`."""
    return [
        {"benchmark": name, "score": value, "samples": 100}
        for name in ("lisa_test", "chart", "info")
    ]
