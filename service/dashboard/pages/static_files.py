"""Scripts, style sheets and pictures."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request, Response

from service.dashboard import assets
from service.errors import Refused

router = APIRouter(include_in_schema=False)

IMMUTABLE = "public, max-age=31536000, immutable"


@router.get("/ui/static/{version}/{name}")
def static(
    request: Request,
    version: Annotated[str, Path(max_length=64)],
    name: Annotated[str, Path(max_length=64)],
) -> Response:
    """A script, style sheet or picture; holds nothing of any study, so it needs no key."""
    try:
        asset = assets.asset(name)
    except KeyError:
        raise Refused("not-found", f"no static file {name!r}") from None
    headers = {
        "Vary": "Accept-Encoding",
        # An address of another version gets what there is, but must not keep it.
        "Cache-Control": IMMUTABLE if version == assets.version() else "no-cache",
    }
    body = asset.plain
    if "gzip" in request.headers.get("accept-encoding", ""):
        headers["Content-Encoding"], body = "gzip", asset.gzipped
    return Response(body, media_type=asset.media_type, headers=headers)
