"""The OpenAPI description, with errors under the media type they really have."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from starlette.routing import compile_path


def install(app: FastAPI) -> None:
    plain = app.openapi

    def described() -> dict[str, Any]:
        schema = plain()
        schema.setdefault("components", {})["securitySchemes"] = {
            "key": {"type": "http", "scheme": "bearer", "description": "An API key."}
        }
        # Or none, while the service has no key.
        schema["security"] = [{"key": []}, {}]
        for path in schema["paths"].values():
            for call in path.values():
                for status, response in call["responses"].items():
                    content = response.get("content", {})
                    # FastAPI names the route's own media type, whatever the status.
                    if int(status) >= 400 and "application/json" in content:
                        content["application/problem+json"] = content.pop("application/json")
        return schema

    app.openapi = described  # type: ignore[method-assign]


def methods_at(app: FastAPI, path: str) -> list[str]:
    """The methods offered at an address, whichever of the routers has them."""
    paths: dict[str, dict[str, Any]] = app.openapi()["paths"]
    # An address that is written out goes before one with a name left open.
    matching = [path] if path in paths else [t for t in paths if compile_path(t)[0].match(path)]
    return sorted(method.upper() for template in matching for method in paths[template])
