"""The best mixture of a quadratic: exactly where its faces can be gone through, else by climbing.

A quadratic here is `f(z) = c + g . z + z' Q z / 2` of the weights or of their square roots. Of
schedules it has more terms, which are 0 where the mixture does not change (`Phased`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize

from service.search.cells import MAX_CELLS
from service.search.polytope import MAX_FACES, FloatArray, Polytope
from service.search.schedules import mean_of
from service.search.space import MixtureSpace

CLIMBS = 8
SINGULAR = 1e-12
"""Determinant of a bordered system, its entries scaled to 1, below which it is skipped."""


@dataclass(frozen=True, eq=False)
class Quadratic:
    """`f(w) = constant + slope . z + z' curvature z / 2` with `z = w ** power`.

    Attributes:
        slope: (m,).
        curvature: (m, m), symmetric.
        power: 1.0 for raw weights, 0.5 for square roots.
    """

    constant: float
    slope: FloatArray
    curvature: FloatArray
    power: float = 1.0

    def over(self, space: MixtureSpace) -> Quadratic:
        """As a function of the points of a space."""
        return self

    def __call__(self, X: FloatArray) -> FloatArray:
        """(n,) values at mixtures (n, m)."""
        Z = X if self.power == 1.0 else X**self.power
        values: FloatArray = (
            self.constant + Z @ self.slope + 0.5 * ((Z @ self.curvature) * Z).sum(axis=1)
        )
        return values

    def gradient(self, x: FloatArray) -> FloatArray:
        """(m,) by weight; where a square root starts at zero, as steep as at 1e-9."""
        if self.power == 1.0:
            return self.slope + self.curvature @ x
        z = np.maximum(x, 1e-9) ** self.power
        steep: FloatArray = self.power * z ** (1 - 1 / self.power)
        return steep * (self.slope + self.curvature @ z)


@dataclass(frozen=True, eq=False)
class Phased:
    """Of schedules x: `mean(sum of the phases) + slope . x + x' curvature x / 2`.

    Attributes:
        mean: of the mean mixture (m,).
        slope, curvature: (P m,) and (P m, P m); together 0 where all phases have one mixture.
    """

    mean: Quadratic
    slope: FloatArray
    curvature: FloatArray

    def over(self, space: MixtureSpace) -> Quadratic | Phased:
        """As a function of the points of a space: of mixtures the quadratic of the mean alone, of
        schedules one quadratic of all pairs where it is one of raw weights."""
        m = len(self.mean.slope)
        if space.m == m:
            return self.mean
        if self.mean.power != 1.0:
            return self
        n_phases = len(self.slope) // m
        return Quadratic(
            self.mean.constant,
            np.tile(self.mean.slope, n_phases) + self.slope,
            np.tile(self.mean.curvature, (n_phases, n_phases)) + self.curvature,
        )

    def __call__(self, X: FloatArray) -> FloatArray:
        """(n,) values at schedules (n, P m)."""
        means = mean_of(X, len(self.mean.slope))
        of_order: FloatArray = X @ self.slope + 0.5 * ((X @ self.curvature) * X).sum(axis=1)
        return self.mean(means) + of_order

    def gradient(self, x: FloatArray) -> FloatArray:
        """(P m,)."""
        m = len(self.mean.slope)
        of_mean = self.mean.gradient(x.reshape(-1, m).sum(axis=0))
        steep: FloatArray = np.tile(of_mean, len(x) // m) + self.slope + self.curvature @ x
        return steep


@dataclass(frozen=True, eq=False)
class Blend:
    """A weighted sum of quadratics in different powers of the weights."""

    parts: Sequence[Quadratic | Phased]
    share: FloatArray

    def __call__(self, X: FloatArray) -> FloatArray:
        values: FloatArray = self.share @ np.array([part(X) for part in self.parts])
        return values

    def gradient(self, x: FloatArray) -> FloatArray:
        slope: FloatArray = self.share @ np.array([part.gradient(x) for part in self.parts])
        return slope


Objective = Quadratic | Phased | Blend


@dataclass(frozen=True, eq=False)
class Optimum:
    """Where a quadratic is highest.

    Attributes:
        is_exact: found by going through every face: nothing in the space is better.
        gap: Frank-Wolfe gap: how much better, at most, anything is to first order. It is 0 at every
            local maximum; where the quadratic is concave it limits how far from the best this is.
    """

    weights: FloatArray
    value: float
    is_exact: bool
    gap: float


def maximise(quadratic: Quadratic, space: MixtureSpace) -> Optimum:
    """The highest point of a quadratic of raw weights, exactly.

    Raises:
        ValueError: it is one of roots, or the space has too many faces (see `has_few_faces`).
    """
    if space.listed() is not None:
        return _of_list(quadratic, space)
    if quadratic.power != 1.0:
        raise ValueError("only quadratics of raw weights have an exact maximum; climb instead")
    candidates = np.concatenate([_stationary(quadratic, cell) for cell in space.cells()])
    candidates = space.project(candidates)
    best = candidates[int(np.argmax(quadratic(candidates)))]
    return _optimum(quadratic, space, best, is_exact=True)


def climb(
    objective: Objective, space: MixtureSpace, starts: FloatArray, n: int = CLIMBS
) -> Optimum:
    """The highest point found by climbing from the best `n` of some `starts` (k, m)."""
    if space.listed() is not None:
        return _of_list(objective, space)
    first = starts[np.argsort(-objective(starts), kind="stable")[:n]]
    climbed = space.project(np.array([_climbed(objective, space, x) for x in first]))
    candidates = np.vstack([first, climbed])
    best = candidates[int(np.argmax(objective(candidates)))]
    return _optimum(objective, space, best, is_exact=False)


def _of_list(objective: Objective, space: MixtureSpace) -> Optimum:
    rows = space.listed()
    assert rows is not None  # noqa: S101
    values = objective(rows)
    best = int(np.argmax(values))
    return Optimum(rows[best], float(values[best]), True, 0.0)


def has_few_faces(space: MixtureSpace, most: int = MAX_FACES) -> bool:
    """Whether `maximise` goes through no more than `most` faces.

    A simplex has as many as it has subsets of domains: 131,072 at 17; upper bounds that bind make
    it up to 3 to the number of domains.
    """
    if space.listed() is not None:
        return True
    if space.is_convex:
        return space.relaxed.n_faces() <= most
    if space.n_cells() > MAX_CELLS // 10:
        return False
    return sum(cell.n_faces() for cell in space.cells()) <= most


def _optimum(
    quadratic: Objective, space: MixtureSpace, x: FloatArray, *, is_exact: bool
) -> Optimum:
    cell = space.cell_of(x)
    slope = quadratic.gradient(x)
    gap = float(slope @ (cell.support(slope) - x))
    return Optimum(x, float(quadratic(x[None])[0]), is_exact, max(0.0, gap))


def _stationary(quadratic: Quadratic, polytope: Polytope) -> FloatArray:
    """(k, m) feasible points where the quadratic is level along a face, corners among them.

    On a face, the bordered system `[[Q_ff, N'], [N, 0]] [x_f, l] = [-g_f - Q_fo x_o, level]`, N the
    sum and the tight limits; all faces of one size at once. A singular system can be skipped: along
    a flat direction the quadratic is as high on a smaller face.
    """
    scale = max(1e-300, float(np.abs(quadratic.curvature).max()))
    found = [polytope.centre[None]]
    for faces in polytope.faces:
        free, at, rows = faces.free, faces.at, faces.rows
        (n, f), t = free.shape, rows.shape[1]
        # 1. The bordered systems.
        system = np.zeros((n, f + 1 + t, f + 1 + t))
        system[:, :f, :f] = quadratic.curvature[free[:, :, None], free[:, None, :]] / scale
        normals = np.concatenate(
            [np.ones((n, 1, f)), polytope.A[rows[:, :, None], free[:, None, :]]], axis=1
        )
        system[:, f:, :f] = normals
        system[:, :f, f:] = normals.transpose(0, 2, 1)
        pull = quadratic.slope + at @ quadratic.curvature
        right = np.concatenate(
            [
                -np.take_along_axis(pull, free, axis=1) / scale,
                1 - at.sum(axis=1, keepdims=True),
                polytope.b[rows] - np.einsum("ntm,nm->nt", polytope.A[rows], at),
            ],
            axis=1,
        )
        # 2. Without the singular ones.
        regular = np.abs(np.linalg.det(system)) > SINGULAR
        solved = np.linalg.solve(system[regular], right[regular][:, :, None])[:, :f, 0]
        # 3. Those inside.
        X = at[regular]
        np.put_along_axis(X, free[regular], solved, axis=1)
        with np.errstate(invalid="ignore"):
            found.append(X[polytope.contains(X, 1e-9)])
    return np.concatenate(found)


def _climbed(objective: Objective, space: MixtureSpace, start: FloatArray) -> FloatArray:
    """A local maximum from a start, among the domains it uses where their choice matters."""
    cell = space.cell_of(start)
    scale = max(1e-3, float(np.ptp(objective(np.vstack([start, cell.centre])))))
    ones = np.ones(space.m)
    limits: list[dict[str, Any]] = [
        {"type": "eq", "fun": lambda x: x.sum() - 1, "jac": lambda _: ones}
    ]
    level, opposite = cell.levels
    for kind, rows in (("ineq", ~(level | opposite)), ("eq", level)):
        A, b = cell.A[rows], cell.b[rows]
        if len(b):
            limits.append(
                {"type": kind, "fun": lambda x, A=A, b=b: b - A @ x, "jac": lambda _, A=A: -A}
            )
    found = minimize(
        lambda x: -objective(np.clip(x, 0, 1)[None])[0] / scale,
        start,
        jac=lambda x: -objective.gradient(np.clip(x, 0, 1)) / scale,
        method="SLSQP",
        bounds=list(zip(cell.lower, cell.upper, strict=True)),
        constraints=limits,
        options={"maxiter": 100, "ftol": 1e-8},
    )
    x = np.asarray(found.x, dtype=float)
    return x if np.isfinite(x).all() else start
