"""Whether any mixture satisfies what is asked, and if none, why."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from service.search.polytope import FloatArray, between

Limit = float | FloatArray

INFEASIBLE = 2
"""What `scipy.optimize.milp` answers where nothing is feasible."""


@dataclass(frozen=True, eq=False)
class Demands:
    """What a mixture is asked to be, as arrays.

    Attributes:
        lower, upper: (m,) bounds.
        least_if_used: (m,) a used domain has at least this.
        A, b: (k, m), (k,) linear limits `A x <= b`.
        max_active: most domains used.
    """

    lower: FloatArray
    upper: FloatArray
    least_if_used: FloatArray
    A: FloatArray
    b: FloatArray
    max_active: int | None


def feasible_choice(demands: Demands) -> NDArray[np.bool_] | None:
    """(m,) the domains that some feasible mixture uses; None when no mixture is feasible.

    A mixed-integer linear program without an objective, unless the first mixture that comes to mind
    will do.
    """
    first = between(demands.lower, demands.upper)
    if _is_feasible(first, demands):
        return first > 0
    # A command's start needs none of them.
    from scipy.optimize import Bounds, LinearConstraint, milp
    from scipy.sparse import csr_array

    def limited(A: FloatArray, low: Limit, high: Limit) -> LinearConstraint:
        # Sparse: a dense matrix would for a moment make every warning of the whole process an
        # error, also those of requests that other threads serve.
        return LinearConstraint(csr_array(A), low, high)

    m, A, b = len(demands.lower), demands.A, demands.b
    eye = np.eye(m)
    # Unknowns: weights, and which domains are used.
    rows = [
        limited(np.hstack([np.ones(m), np.zeros(m)])[None], 1, 1),
        limited(np.hstack([eye, -np.diag(demands.upper)]), -np.inf, 0),
        limited(np.hstack([eye, -np.diag(demands.least_if_used)]), 0, np.inf),
    ]
    if demands.max_active is not None:
        count = np.hstack([np.zeros(m), np.ones(m)])[None]
        rows.append(limited(count, 0, demands.max_active))
    if len(b):
        rows.append(limited(np.hstack([A, np.zeros((len(b), m))]), -np.inf, b))
    found = milp(
        np.zeros(2 * m),
        integrality=np.repeat([0, 1], m),
        bounds=Bounds(
            np.concatenate([demands.lower, np.zeros(m)]),
            np.concatenate([demands.upper, np.ones(m)]),
        ),
        constraints=rows,
    )
    if found.x is None and found.status != INFEASIBLE:
        raise RuntimeError(f"whether any mixture is feasible was not found out: {found.message}")
    return None if found.x is None else np.asarray(found.x[m:] > 0.5)


def _is_feasible(x: FloatArray, demands: Demands) -> bool:
    """Whether a mixture (m,) within the bounds is what else it is asked to be."""
    used = x > 0
    return bool(
        abs(x.sum() - 1) < 1e-12
        and np.all(x[used] >= demands.least_if_used[used])
        and np.all(demands.A @ x <= demands.b)
        and (demands.max_active is None or used.sum() <= demands.max_active)
    )


def contradiction(demands: Demands, domains: tuple[str, ...], limits: tuple[str, ...]) -> str:
    """Which demands exclude each other, in words: without any one of them, the rest would do.

    Args:
        limits: (k,) what the linear limits are called.
    """
    needed, rest = [], demands
    for what, part, i in _each(demands, domains, limits):
        fewer = _without(rest, part, i)
        if feasible_choice(fewer) is None:
            rest = fewer
        else:
            needed.append(what)
    return f"no mixture satisfies all of: {'; '.join(needed)}; with weights that sum to 1"


def _each(
    demands: Demands, domains: tuple[str, ...], limits: tuple[str, ...]
) -> Iterator[tuple[str, str, int]]:
    """Every demand that says something: its words, its attribute, its place there."""
    for i, domain in enumerate(domains):
        if demands.upper[i] < 1:
            yield f"{domain} at most {demands.upper[i]:g}", "upper", i
        if demands.lower[i] > 0:
            yield f"{domain} at least {demands.lower[i]:g}", "lower", i
        if demands.least_if_used[i] > 0:
            what = f"{domain} zero or at least {demands.least_if_used[i]:g}"
            yield what, "least_if_used", i
    for k, name in enumerate(limits):
        yield repr(name), "b", k
    if demands.max_active is not None:
        yield f"at most {demands.max_active} active domains", "max_active", 0


def _without(demands: Demands, part: str, i: int) -> Demands:
    if part == "max_active":
        return replace(demands, max_active=None)
    values = np.array(getattr(demands, part))
    values[i] = {"upper": 1.0, "lower": 0.0, "least_if_used": 0.0, "b": 1e6}[part]
    changed: dict[str, FloatArray] = {part: values}
    return replace(demands, **changed)  # type: ignore[arg-type]
