"""Parameters of a model that make what was seen likeliest: L-BFGS on a loss of torch's."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from gpytorch import Module
from scipy.optimize import minimize

from service.search.space import FloatArray


def learn(
    parameters: Sequence[torch.Tensor], loss: Callable[[], torch.Tensor], iterations: int
) -> None:
    """Sets `parameters` to where `loss` of them is least near their values. They stay as they are
    where nothing finite is found."""

    def with_slopes(flat: FloatArray) -> tuple[float, FloatArray]:
        _set(parameters, flat)
        for parameter in parameters:
            parameter.grad = None
        try:
            value = loss()
        except torch.linalg.LinAlgError:  # type: ignore[attr-defined]
            return 1e10, np.zeros_like(flat)
        value.backward()  # type: ignore[no-untyped-call]
        slopes = [p.grad if p.grad is not None else torch.zeros_like(p) for p in parameters]
        return float(value.detach()), np.concatenate([s.numpy().ravel() for s in slopes])

    start = np.concatenate([p.detach().numpy().ravel() for p in parameters])
    found = minimize(
        with_slopes, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations}
    )
    _set(parameters, found.x if np.isfinite(found.x).all() else start)


def surprise(y: torch.Tensor, K: torch.Tensor) -> torch.Tensor:
    """Minus the log density of scores `y` (n,) with covariance `K` (n, n), but for a constant.

    Raises:
        torch.linalg.LinAlgError: `K` is not positive definite.
    """
    factor = torch.linalg.cholesky(K)
    white = torch.linalg.solve_triangular(factor, y[:, None], upper=False)
    value: torch.Tensor = 0.5 * (white**2).sum() + factor.diagonal().log().sum()
    return value


def log_prior(module: Module) -> Callable[[], torch.Tensor]:
    """The log density of a module's parameters beforehand, as they are at each call."""
    every = [(each, prior, of) for _, each, prior, of, _ in module.named_priors()]

    def value() -> torch.Tensor:
        densities = [prior.log_prob(of(each)).sum() for each, prior, of in every]
        return torch.stack(densities).sum()

    return value


def _set(parameters: Sequence[torch.Tensor], flat: FloatArray) -> None:
    at = 0
    with torch.no_grad():
        for parameter in parameters:
            n = parameter.numel()
            parameter.copy_(torch.as_tensor(flat[at : at + n]).reshape(parameter.shape))
            at += n
