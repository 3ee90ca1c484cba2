"""How alike prepared datasets are, by what their rows look like: without a model, or with one's.

Every row becomes a vector. Two datasets are as alike as the mean embeddings of their rows under a
Gaussian kernel are (their cosine; Gretton et al., 2012): 1 for two draws of the same rows, near 0
for rows that have less in common than rows of one dataset have.
"""

from __future__ import annotations

import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from rewards.scoring import AnswerType
from trainer.rows import Row

FloatArray = NDArray[np.float64]

WORDS = 2048
"""Places that words are hashed to."""
SHADES = 4
"""Steps of each of red, green and blue in a picture's colours."""
THUMBNAIL = 32
"""Pixels a side of what is looked at of a picture."""
NARROW = 0.5
"""Width of the kernel, of the median distance of rows."""
SAME = 1e-9
"""Sizes that spread by less are equal but for rounding."""
LOOKED_AT = 1000
"""Rows that the median is taken of, at most."""


def by_statistics(rows: Sequence[Sequence[Row]]) -> dict[str, FloatArray]:
    """(D, D) of D datasets, each from 0 to 1, by `words`, `answers` and `pictures`.

    Args:
        rows: some of each dataset, two or more.
    """
    every = [_Seen.of(row) for some in rows for row in some]
    found = {"words": _words(every), "answers": _answers(every), "pictures": _pictures(every)}
    ends = np.cumsum([len(some) for some in rows])[:-1]
    return {name: alike(np.split(vectors, ends)) for name, vectors in found.items()}


def by_model(
    rows: Sequence[Sequence[Row]], embedded: Callable[[Sequence[Row]], FloatArray]
) -> dict[str, FloatArray]:
    """The same by a model that makes (n, q) vectors of n rows."""
    return {"model": alike([_of_length_1(embedded(some)) for some in rows])}


def together(parts: Mapping[str, FloatArray]) -> FloatArray:
    """(D, D) the mean of several."""
    mean: FloatArray = np.mean(list(parts.values()), axis=0)
    return mean


def alike(vectors: Sequence[FloatArray]) -> FloatArray:
    """(D, D) of D datasets by the vectors (n, q) of their rows, n two or more."""
    every = np.vstack(vectors)
    some = every[:: max(1, math.ceil(len(every) / LOOKED_AT))]
    apart = np.sqrt(_squares(some, some))[np.triu_indices(len(some), 1)]
    width = NARROW * float(np.median(apart)) or 1.0
    D = len(vectors)
    mean = np.empty((D, D))
    for a in range(D):
        for b in range(a, D):
            kernel = np.exp(-_squares(vectors[a], vectors[b]) / (2 * width**2))
            if a == b:  # a row is like itself in any dataset
                n = len(kernel)
                mean[a, a] = (kernel.sum() - n) / (n * (n - 1))
            else:
                mean[a, b] = mean[b, a] = kernel.mean()
    size = np.sqrt(np.diag(mean))
    found: FloatArray = np.clip(mean / np.maximum(np.outer(size, size), 1e-12), 0, 1)
    np.fill_diagonal(found, 1.0)
    return found


def _squares(one: FloatArray, other: FloatArray) -> FloatArray:
    """(n, k) squared distances."""
    squares: FloatArray = (one**2).sum(axis=1)[:, None] + (other**2).sum(axis=1) - 2 * one @ other.T
    return squares.clip(0)


@dataclass(frozen=True, slots=True)
class _Seen:
    """What is looked at of a row: its pictures are not kept.

    Attributes:
        sizes: characters of question and answer, and number of options.
        picture: number of pictures, and of the first its width, height and edges.
        colours: share of each colour in it.
    """

    text: str
    kind: AnswerType
    sizes: tuple[int, int, int]
    picture: tuple[float, float, float, float]
    colours: FloatArray

    @classmethod
    def of(cls, row: Row) -> _Seen:
        sizes = len(row.question), len(row.answer), len(row.choices)
        text = " ".join((row.question, *row.choices)).lower()
        if not row.images:
            return cls(text, row.answer_type, sizes, (0, 0, 0, 0), np.zeros(SHADES**3))
        image = row.images[0]
        small = np.asarray(image.convert("RGB").resize((THUMBNAIL, THUMBNAIL)), dtype=float) / 256
        edges = np.abs(np.diff(small, axis=0)).mean() + np.abs(np.diff(small, axis=1)).mean()
        shade = (small * SHADES).astype(int) @ [SHADES**2, SHADES, 1]
        colours = np.bincount(shade.ravel(), minlength=SHADES**3) / shade.size
        picture = len(row.images), math.log(image.width), math.log(image.height), float(edges)
        return cls(text, row.answer_type, sizes, picture, colours)


def _words(rows: Sequence[_Seen]) -> FloatArray:
    """(n, WORDS) words of questions and options, rare ones weighing more (tf-idf)."""
    counts = np.zeros((len(rows), WORDS))
    for i, row in enumerate(rows):
        for word in re.findall(r"[^\W\d_]+|\d", row.text):
            counts[i, zlib.crc32(b"0" if word.isdigit() else word.encode()) % WORDS] += 1
    rarity = np.log((1 + len(rows)) / (1 + (counts > 0).sum(axis=0))) + 1
    return _of_length_1(np.log1p(counts) * rarity)


def _answers(rows: Sequence[_Seen]) -> FloatArray:
    """(n, q) what kind of answer is wanted, and how long questions and answers are."""
    kinds = np.array([[row.kind == one for one in get_args(AnswerType)] for row in rows])
    sizes = np.array([row.sizes for row in rows], dtype=float)
    return np.hstack([kinds.astype(float), _even(np.log1p(sizes))])


def _pictures(rows: Sequence[_Seen]) -> FloatArray:
    """(n, q) colours, size and number of pictures."""
    colours = np.sqrt([row.colours for row in rows])
    return np.hstack([colours, _even(np.array([row.picture for row in rows]))])


def _even(columns: FloatArray) -> FloatArray:
    """Columns (n, q) around 0 that vary by 1 each, or not at all."""
    off, spread = columns - columns.mean(axis=0), columns.std(axis=0)
    even: FloatArray = off / np.where(spread > SAME, spread, 1.0)
    return even


def _of_length_1(vectors: FloatArray) -> FloatArray:
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    scaled: FloatArray = vectors / np.where(length > 0, length, 1.0)
    return scaled
