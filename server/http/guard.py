"""Who may ask: keys in front of ``/v1``, foreign web pages kept out, metrics for the house."""

from __future__ import annotations

import ipaddress
import time
from collections.abc import Awaitable, Callable

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from server.auth.authenticator import BadKey, Credential
from server.auth.keys import INSUFFICIENT_SCOPE, Scope, missing_scope
from server.auth.origins import is_host_ours, may_page_call
from server.auth.presented import key_from_bearer, query_hint
from server.config.settings import ServerSettings
from server.errors import shorten
from server.http.refusals import HttpRefusal
from server.state import ServerState

Endpoint = Callable[[Request], Awaitable[Response]]

_FORWARDING_HEADERS = ("forwarded", "x-forwarded-for", "x-real-ip")


def credential_of(state: ServerState, request: Request) -> Credential:
    """Find out who asks, and what they may.

    Raises:
        HttpRefusal: 401 when a key is needed and the request has no good one.
    """
    shown = request.headers.getlist("authorization")
    key = key_from_bearer(shown[0]) if len(shown) == 1 else None
    try:
        return state.auth.authenticate(key, time.time())
    except BadKey as error:
        hint = query_hint(request.query_params) if key is None else None
        raise HttpRefusal(401, hint or error.message, code=error.code) from None


def guarded(
    state: ServerState, endpoint: Endpoint, *, scope: Scope | None, takes_secrets: bool = False
) -> Endpoint:
    """Put the key check, and for writes the origin check, in front of an endpoint.

    The endpoint finds ``principal`` and ``credential`` in the request's state.

    Args:
        state: Shared with every room.
        endpoint: What is asked for.
        scope: What the key must be allowed; ``None`` where any good key will do.
        takes_secrets: Whether a client secret is as good as the key that it was made with.
    """

    async def guard(request: Request) -> Response:
        credential = credential_of(state, request)
        if credential.is_secret and state.auth.requires_key and not takes_secrets:
            raise HttpRefusal(
                403,
                "a client secret opens Realtime sessions only; use an API key here",
                code="client_secret_not_allowed",
            )
        check_scope(credential, scope)
        request.state.credential = credential
        request.state.principal = credential.principal
        if request.method not in ("GET", "HEAD"):
            check_origin(state, request)
        return await endpoint(request)

    return guard


def check_scope(credential: Credential, scope: Scope | None) -> None:
    """Keep a key to what it was made for.

    Raises:
        HttpRefusal: 403 that names what is missing.
    """
    if scope is not None and scope not in credential.scopes:
        raise HttpRefusal(403, missing_scope(scope), code=INSUFFICIENT_SCOPE)


def check_origin(state: ServerState, request: Request) -> None:
    """Keep web pages that were not invited from using the model behind a visitor's back.

    Raises:
        HttpRefusal: 403 for an origin that is neither ours nor on the list.
    """
    settings = state.settings
    origin, host = request.headers.get("origin"), request.headers.get("host")
    if not may_page_call(settings.listen, settings.auth, origin=origin, host=host):
        raise HttpRefusal(
            403,
            f"pages from {shorten(origin or '')} may not call the server; its operator can add the "
            "origin to auth.allowed_origins",
            code="origin_not_allowed",
        )


class HostGuard:
    """ASGI middleware: only requests for a host that is ours, on every route.

    Without it a foreign page could read what needs no key here, once its name was made to point at
    this machine (DNS rebinding): to the browser the answers would be the page's own.
    """

    def __init__(self, app: ASGIApp, settings: ServerSettings) -> None:
        self._app = app
        self._settings = settings

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer 400 or 403 in the application's place, or pass the request on."""
        refusal = self._judge(scope) if scope["type"] == "http" else None
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await refusal.as_response()(scope, receive, send)

    def _judge(self, scope: AsgiScope) -> HttpRefusal | None:
        hosts = Headers(scope=scope).getlist("host")
        if len(hosts) > 1 or (not hosts and scope["http_version"] != "1.0"):
            return HttpRefusal(400, "send one Host header", code="bad_request")
        settings = self._settings
        if not hosts or is_host_ours(settings.listen, settings.auth, hosts[0]):
            return None
        return HttpRefusal(
            403,
            f"this server listens on this machine only and is not {shorten(hosts[0])}; ask for "
            "localhost, or have its operator add the page's origin to auth.allowed_origins",
            code="host_not_allowed",
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
    check_scope(credential_of(state, request), Scope.METRICS)


def _is_loopback(host: str) -> bool:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback
