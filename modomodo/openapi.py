"""`modomodo openapi`: the description of the HTTP interface."""

from __future__ import annotations

import json
import sys

from modomodo.extras import need


def openapi() -> None:
    """Print the OpenAPI description of the service, as JSON."""
    need("service")
    from service.app import create_app

    sys.stdout.write(json.dumps(create_app().openapi(), indent=1, sort_keys=True) + "\n")
