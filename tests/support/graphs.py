"""Decoding that is compiled without a compiler: graphs are captured, and run as they are."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from trainer.run.decoding import Decoding


def captured(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The graphs that decoding compiles from now on."""
    graphs: list[Any] = []

    def eager(graph: Any, inputs: Any, **options: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(Decoding, "backend", eager)
    torch._dynamo.reset()
    torch._dynamo.utils.counters.clear()
    return graphs
