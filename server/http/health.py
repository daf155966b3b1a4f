"""Probes and numbers: ``/livez``, ``/readyz``, ``/metrics``, ``/version``."""

from __future__ import annotations

import platform

from starlette.requests import Request
from starlette.responses import Response

from server.http.guard import Endpoint, check_metrics_access
from server.http.refusals import json_response
from server.metrics import CONTENT_TYPE
from server.state import HealthAnswer, ServerState, livez, readyz
from server.version import version


def health_endpoints(state: ServerState, *, is_admin: bool = False) -> dict[str, Endpoint]:
    """Make the endpoints by path.

    Args:
        state: Shared with every room.
        is_admin: They are for the admin port, which is for the house alone. When there is one, the
            other port has the probes only; else it shows the numbers to whoever may see them.
    """

    async def live(_request: Request) -> Response:
        return _answer("alive", livez(state))

    async def ready(_request: Request) -> Response:
        return _answer("ready", readyz(state))

    async def metrics(request: Request) -> Response:
        if not is_admin:
            check_metrics_access(state, request)
        _look_around(state)
        return Response(
            state.metrics.expose(),
            headers={"Cache-Control": "no-store", "Content-Type": CONTENT_TYPE},
        )

    async def tell_version(request: Request) -> Response:
        if not is_admin:
            check_metrics_access(state, request)
        return json_response(_version_of(state))

    probes: dict[str, Endpoint] = {"/livez": live, "/readyz": ready}
    if not is_admin and state.settings.listen.admin_port is not None:
        return probes
    return {**probes, "/metrics": metrics, "/version": tell_version}


def _look_around(state: ServerState) -> None:
    """Set what is known only when somebody asks."""
    health = state.engine.health() if state.engine is not None else None
    state.metrics.ready.set(readyz(state).ok)
    state.metrics.engine_progress_age.set(health.seconds_since_progress if health else 0.0)


def _version_of(state: ServerState) -> dict[str, str | None]:
    info = state.engine.info if state.engine is not None else None
    return {
        "version": version(),
        "python": platform.python_version(),
        "model": state.catalog.engine_name,
        "architecture": info.architecture if info else None,
        "device": info.device if info else None,
        "dtype": info.dtype if info else None,
    }


def _answer(what: str, health: HealthAnswer) -> Response:
    headers = {} if health.ok else {"Retry-After": "2"}
    content = {what: health.ok, "reasons": list(health.reasons)}
    return json_response(content, status=health.status, headers=headers)
