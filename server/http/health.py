"""Probes and numbers: ``/livez``, ``/readyz``, ``/metrics``."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from server.http.guard import Endpoint, check_metrics_access
from server.http.refusals import json_response
from server.metrics import CONTENT_TYPE
from server.state import HealthAnswer, ServerState, livez, readyz


def health_endpoints(state: ServerState) -> tuple[Endpoint, Endpoint, Endpoint]:
    """Make the endpoints of ``/livez``, ``/readyz`` and ``/metrics``."""

    async def live(_request: Request) -> Response:
        return _answer("alive", livez(state))

    async def ready(_request: Request) -> Response:
        return _answer("ready", readyz(state))

    async def metrics(request: Request) -> Response:
        check_metrics_access(state, request)
        return Response(
            state.metrics.expose(),
            headers={"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE},
        )

    return live, ready, metrics


def _answer(what: str, health: HealthAnswer) -> Response:
    headers = {} if health.ok else {"Retry-After": "2"}
    content = {what: health.ok, "reasons": [health.reason]}
    return json_response(content, status=health.status, headers=headers)
