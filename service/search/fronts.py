"""Fronts of several objectives: who is on them, the volume below them, and which point to take.

Higher is better. Volumes are by cells: the coordinates of the points divide the space into boxes,
each of which is wholly below the front or wholly not (Lacour, Klamroth and Fonseca, "A box
decomposition algorithm to compute the hypervolume indicator", 2017, in its plainest form). For two
or three objectives that is exact and quick.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from service.search.space import FloatArray

MARGIN = 0.1
"""The reference point is so much of the front's extent below its worst values."""


def on_front(Y: FloatArray) -> NDArray[np.bool_]:
    """(k,) whether no other of the points (k, J) is at least as good in all and better in one."""
    as_good = (Y[:, None, :] >= Y[None, :, :]).all(axis=-1)
    better = (Y[:, None, :] > Y[None, :, :]).any(axis=-1)
    return np.asarray(~(as_good & better).any(axis=0))


def reference_of(Y: FloatArray) -> FloatArray:
    """(J,) a point a tenth of the front's extent below the worst values on the front of points
    (k, J), as BoTorch infers it; where the front is one point, of the points' extent."""
    front = Y[on_front(Y)]
    worst, extent = front.min(axis=0), np.ptp(front, axis=0)
    whole = np.ptp(Y, axis=0)
    extent = np.where(extent > 0, extent, np.where(whole > 0, whole, 1.0))
    reference: FloatArray = worst - MARGIN * extent
    return reference


def hypervolume(Y: FloatArray, reference: FloatArray) -> float:
    """Volume that points (k, J) dominate above a reference point (J,)."""
    edges, is_free = _cells(Y, reference)
    taken = ~is_free[(slice(-1),) * len(reference)]
    volume = taken.astype(float)
    for line in reversed(edges):
        volume = volume @ np.diff(line)
    return float(volume)


def improvements(Y: FloatArray, candidates: FloatArray, reference: FloatArray) -> FloatArray:
    """(c,) by how much each candidate (c, J) alone would add to the volume below points (k, J)."""
    edges, is_free = _cells(Y, reference)
    # How much of each cell's length a candidate spans, objective by objective; the last is endless.
    spans = [
        np.clip(candidates[:, [j]] - line, 0.0, np.append(np.diff(line), np.inf))
        for j, line in enumerate(edges)
    ]
    first, *others = spans
    volume = np.tensordot(first, is_free.astype(float), 1)
    for span in reversed(others):
        volume = (volume * span.reshape(len(span), *([1] * (volume.ndim - 2)), -1)).sum(axis=-1)
    gains: FloatArray = volume
    return gains


def _cells(Y: FloatArray, reference: FloatArray) -> tuple[list[FloatArray], NDArray[np.bool_]]:
    """Lower edges of the cells, objective by objective, and which cells no point dominates."""
    inside = Y[(reference < Y).all(axis=1)]
    edges = [np.unique([low, *column]) for low, column in zip(reference, inside.T, strict=True)]
    taken = np.zeros([len(line) for line in edges], dtype=bool)
    if len(inside):
        # A point's own cells end at its coordinates; below them everything is dominated.
        at = [np.searchsorted(line, inside[:, j]) - 1 for j, line in enumerate(edges)]
        taken[tuple(at)] = True
        for j in range(len(edges)):
            taken = np.flip(np.logical_or.accumulate(np.flip(taken, j), axis=j), j)
    return edges, ~taken


def knee(Y: FloatArray) -> int:
    """Which point of a front (k, J) gives most per point given up: the one furthest beyond the
    plane through the extremes, each objective scaled to its extent (Das, 1999)."""
    low, extent = Y.min(axis=0), np.ptp(Y, axis=0)
    scaled = (Y - low) / np.where(extent > 0, extent, 1.0)
    return int(np.argmax(scaled.sum(axis=1)))


def thinned(Y: FloatArray, most: int) -> NDArray[np.intp]:
    """Places of at most so many points of a front (k, J), spread along it, by the first objective;
    the best of each objective and the knee are among them."""
    order = np.argsort(Y[:, 0], kind="stable")
    if len(order) <= most:
        return order
    extent = np.ptp(Y, axis=0)
    scaled = Y / np.where(extent > 0, extent, 1.0)
    kept = list(dict.fromkeys([*(int(i) for i in Y.argmax(axis=0)), knee(Y)]))
    apart = np.min([np.abs(scaled - scaled[i]).sum(axis=1) for i in kept], axis=0)
    while len(kept) < most:
        kept.append(int(np.argmax(apart)))
        apart = np.minimum(apart, np.abs(scaled - scaled[kept[-1]]).sum(axis=1))
    return order[np.isin(order, kept)]
