"""What a study requires of workers, as people write it: `gpus=4`, `label:pool=a100`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

LABEL = "label:"


def read(texts: Iterable[str]) -> dict[str, Any]:
    """The requirements of a specification.

    Raises:
        ValueError: one is none, or comes twice.
    """
    found: dict[str, Any] = {"labels": {}}
    for text in texts:
        name, _, said = map(str.strip, text.partition("="))
        value: str | float = said
        into = found
        if name.startswith(LABEL) and name != LABEL and said:
            into, name = found["labels"], name.removeprefix(LABEL).strip()
        elif name in ("gpus", "gpu_memory_gb"):
            value = _number(text, said, int if name == "gpus" else float)
        else:
            raise ValueError(
                f"{text!r} is nothing that workers have: give gpus=4, gpu_memory_gb=80 or "
                "label:pool=a100"
            )
        if name in into:
            raise ValueError(f"{text!r}: {name} is required twice")
        into[name] = value
    return found


def written(requires: Mapping[str, Any]) -> list[str]:
    """The requirements of a specification as texts; none where nothing is required."""
    gpus, memory_gb = requires["gpus"], requires["gpu_memory_gb"]
    found = [] if gpus is None else [f"gpus={gpus}"]
    if memory_gb is not None:
        found.append(f"gpu_memory_gb={memory_gb:g}")
    return found + [f"{LABEL}{name}={value}" for name, value in requires["labels"].items()]


def _number(text: str, value: str, kind: type[int] | type[float]) -> float:
    try:
        return kind(value)
    except ValueError:
        what = "a whole number" if kind is int else "a number"
        raise ValueError(f"{text!r}: {value!r} is not {what}") from None
