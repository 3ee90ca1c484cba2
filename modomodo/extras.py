"""Which parts of the package a command needs, and how to get them."""

from __future__ import annotations

from importlib.util import find_spec

from modomodo.errors import CommandFailed

MODULES = {
    "ax": ("ax",),
    "gp": ("botorch", "gpytorch", "torch"),
    "lightgbm": ("lightgbm",),
    "lora": ("peft", "trl"),
    "math": ("math_verify",),
    "plot": ("matplotlib", "plotly"),
    "service": ("alembic", "fastapi", "prometheus_client", "sqlalchemy", "structlog", "uvicorn"),
    "trainer": ("PIL", "datasets", "structlog", "torch", "transformers", "trl"),
}
"""What shows that an extra of pyproject.toml is installed."""


def need(*extras: str) -> None:
    """Passes when the extras are installed.

    Raises:
        CommandFailed: one is not; says what to install.
    """
    missing = [m for extra in extras for m in MODULES[extra] if find_spec(m) is None]
    if missing:
        wanted = ",".join(extras)
        raise CommandFailed(
            f"this command needs {missing[0]}; install it with: pip install 'modomodo[{wanted}]'"
        )
