"""Who may ask: keys in front of ``/v1``, foreign web pages kept out, metrics for the house."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response

from server.auth import is_origin_allowed, key_from_bearer
from server.http.refusals import HttpRefusal
from server.state import ServerState

Endpoint = Callable[[Request], Awaitable[Response]]

_FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")


def principal_of(state: ServerState, request: Request) -> str:
    """Name who asks.

    Raises:
        HttpRefusal: 401 when a key is needed and the request has no good one.
    """
    key = key_from_bearer(request.headers.get("authorization"))
    principal = state.auth.check(key, time.time())
    if principal is not None:
        return principal
    if key is None:
        message = "an API key is needed; send it as Authorization: Bearer <key>"
    else:
        message = "this API key is not known here; check it with whoever runs the server"
    raise HttpRefusal(401, message, code="invalid_api_key")


def guarded(state: ServerState, endpoint: Endpoint) -> Endpoint:
    """Put the key check, and for writes the origin check, in front of an endpoint."""

    async def guard(request: Request) -> Response:
        request.state.principal = principal_of(state, request)
        if request.method not in ("GET", "HEAD"):
            check_origin(state, request)
        return await endpoint(request)

    return guard


def check_origin(state: ServerState, request: Request) -> None:
    """Keep web pages that were not invited from using the model behind a visitor's back.

    Raises:
        HttpRefusal: 403 for an origin that is neither ours nor on the list.
    """
    settings = state.settings
    allowed = is_origin_allowed(
        request.headers.get("origin"),
        request.headers.get("host"),
        allowed=settings.auth.allowed_origins,
        tls=settings.listen.tls_cert is not None,
    )
    if not allowed:
        raise HttpRefusal(
            403,
            "pages from this origin may not call the server; its operator can add the origin to "
            "auth.allowed_origins",
            code="origin_not_allowed",
        )


def check_metrics_access(state: ServerState, request: Request) -> None:
    """Let metrics out to this machine, or to whoever has a key when keys are configured.

    A forwarding header means that a proxy on this machine speaks for somebody else.

    Raises:
        HttpRefusal: 401 or 403.
    """
    forwarded = any(name in request.headers for name in _FORWARDING_HEADERS)
    if not forwarded and _is_loopback(request.client.host if request.client else ""):
        return
    if not state.auth.requires_key:
        raise HttpRefusal(
            403,
            "metrics are shown to this machine only, or with a key when API keys are configured",
            code="metrics_not_allowed",
        )
    principal_of(state, request)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
