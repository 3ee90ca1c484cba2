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
    "ray": ("ray", "structlog"),
    "service": ("alembic", "fastapi", "prometheus_client", "sqlalchemy", "structlog", "uvicorn"),
    "trainer": ("PIL", "datasets", "structlog", "torch", "transformers", "trl"),
}
"""What shows that an extra of pyproject.toml is installed."""


def left_out_of_auto() -> str | None:
    """What `auto` goes without here, and how to get it; None where all of it is installed."""
    from service.search.surrogates import SIDE_BY_SIDE, is_installed

    missing = [name for name in SIDE_BY_SIDE if not is_installed(name)]
    if not missing:
        return None
    return (
        f"auto goes without {', '.join(missing)}, whose libraries are not installed; get them "
        f"with: pip install 'modomodo[{','.join(missing)}]'"
    )


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
