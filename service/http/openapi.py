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
    matching = [template for template in paths if compile_path(template)[0].match(path)]
    # What is written out goes before a name left open.
    open_names = min((template.count("{") for template in matching), default=0)
    found = [template for template in matching if template.count("{") == open_names]
    return sorted(method.upper() for template in found for method in paths[template])
