"""How commands that people type reach the service."""

from __future__ import annotations

from typing import Annotated

import typer

from service.client import Client

UrlOption = Annotated[
    str | None, typer.Option(help="Address of the service.", envvar="MODOMODO_URL")
]

PATIENCE_S = 3.0
"""A person at a terminal gets an error soon; workers wait longer."""


def connect(url: str | None) -> Client:
    """A client for one command."""
    return Client(url, patience_s=PATIENCE_S)
