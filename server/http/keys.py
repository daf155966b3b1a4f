"""``GET /v1/admin/keys``: which keys the server knows now, for operators; no key and no hash."""

from __future__ import annotations

import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.auth.keys import ApiKey
from server.http.guard import Endpoint
from server.http.refusals import json_response
from server.state import ServerState


def keys_endpoint(state: ServerState) -> Endpoint:
    """Make the endpoint of ``/v1/admin/keys``."""

    async def list_keys(_request: Request) -> Response:
        now = time.time()
        data = [_describe(key, now) for key in state.auth.keys]
        return json_response({"object": "list", "data": data})

    return list_keys


def _describe(key: ApiKey, now: float) -> dict[str, object]:
    return {
        "object": "key",
        "name": key.name,
        "scopes": sorted(key.scopes),
        "limits": msgspec.to_builtins(key.limits),
        "not_before": None if key.not_before is None else int(key.not_before),
        "expires": None if key.expires is None else int(key.expires),
        "is_good": key.is_good(now),
    }
