"""The HTTP side of the admin port: numbers and probes, for whoever can reach it."""

from __future__ import annotations

from dataclasses import replace

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.routing import Route

from server.http.crash_guard import CrashGuard
from server.http.guard import HostGuard
from server.http.health import health_endpoints
from server.http.refusals import HttpRefusal, on_http_exception, on_refusal
from server.http.security_headers import SecurityHeaders
from server.state import ServerState


def build_admin_app(state: ServerState) -> Starlette:
    """Put ``/metrics``, ``/version`` and the probes together; no key opens or closes them."""
    endpoints = health_endpoints(state, is_admin=True)
    # Foreign pages are kept out by the host that they ask for, as on the other port.
    listen = replace(state.settings.listen, host=state.settings.listen.admin_host)
    return Starlette(
        routes=[Route(path, endpoint, methods=["GET"]) for path, endpoint in endpoints.items()],
        middleware=[
            Middleware(SecurityHeaders),
            Middleware(HostGuard, replace(state.settings, listen=listen)),
            Middleware(CrashGuard),
        ],
        exception_handlers={HttpRefusal: on_refusal, HTTPException: on_http_exception},
    )
