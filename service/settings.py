"""What an operator sets, by arguments or `MODOMODO_*` environment variables."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Annotated, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

SHORTEST_KEY = 32
DAY_S = 86_400.0


class Settings(BaseSettings):
    """Settings of the service.

    Raises:
        pydantic.ValidationError: a value is out of range.
    """

    model_config = SettingsConfigDict(
        env_prefix="MODOMODO_", extra="forbid", validate_by_name=True, validate_by_alias=True
    )

    database_url: str = "sqlite:///modomodo.db"
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8765
    api_key: SecretStr | None = None
    """A key that may do everything, besides those in the database."""
    upkeep_every_s: Annotated[float, Field(gt=0.0, le=DAY_S)] = 1.0
    """Pause between looks for leases that ran out and studies that need proposals."""
    fit_limit_s: Annotated[float, Field(gt=0.0, le=DAY_S)] = 120.0
    """A fit that takes longer is ended."""
    fits_unasked: Annotated[int, Field(ge=0)] = 200
    """Completed runs up to which pages fit surrogates unasked; with more they wait for a click."""
    calls_per_s: Annotated[float, Field(ge=0.0, le=1e6)] = 1000.0
    """Of one key, or without one of one address, on average; 0 for no limit."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 8 * 2**20
    """Of any call; most take less (`service/http/limits.py`)."""
    proxies: Annotated[str, Field(validation_alias="FORWARDED_ALLOW_IPS")] = ""
    """Addresses and networks whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed, divided
    by commas; `*` for any. The variable is called as uvicorn and others call it."""

    @field_validator("proxies")
    @classmethod
    def _addresses(cls, proxies: str) -> str:
        named = [part.strip() for part in proxies.split(",") if part.strip()]
        for part in named:
            try:
                if part != "*":
                    ipaddress.ip_network(part)
            except ValueError as error:
                raise ValueError(
                    f"{part!r} is no address or network, such as 10.0.0.7 or 10.0.0.0/8, of a "
                    f"proxy (FORWARDED_ALLOW_IPS): {error}"
                ) from error
        return "*" if "*" in named else ",".join(named)

    @model_validator(mode="after")
    def _not_guessable(self) -> Self:
        if self.api_key is not None and len(self.api_key.get_secret_value()) < SHORTEST_KEY:
            raise ValueError(
                f"the API key needs at least {SHORTEST_KEY} characters, so that nobody guesses it "
                "(MODOMODO_API_KEY; `openssl rand -hex 32` makes one)"
            )
        return self


@lru_cache(maxsize=256)
def is_loopback(host: str) -> bool:
    """Whether only this machine reaches the host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
