"""What takes away from a response's reward: length and repetition, in [-1, 0]."""

from __future__ import annotations

FREE_SHARE = 0.8
"""Of the longest completion allowed: up to there length costs nothing (DAPO: 16k of 20k)."""

NGRAM = 3


def length_penalty(tokens: int, limit: int) -> float:
    """0 up to 80% of the limit, then falling to -1 at it.

    Yu et al., "DAPO" (2025), soft overlong punishment.
    """
    free = FREE_SHARE * limit
    if tokens <= free:
        return 0.0
    return -min(1.0, (tokens - free) / (limit - free)) if limit > free else -1.0


def repetition_penalty(text: str) -> float:
    """Minus the share of word triples that were there before; 0 for fewer than three words.

    Yeo et al., "Demystifying Long Chain-of-Thought Reasoning in LLMs" (2025).
    """
    words = text.casefold().split()
    n = len(words) - NGRAM + 1
    if n < 1:
        return 0.0
    triples = {tuple(words[i : i + NGRAM]) for i in range(n)}
    return len(triples) / n - 1
