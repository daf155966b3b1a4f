"""What handshakes are answered, as ``websockets`` asks before it goes on with one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from functools import partial
from http import HTTPStatus

from websockets.asyncio.server import ServerConnection
from websockets.datastructures import Headers
from websockets.http11 import Request, Response

from server.auth.keys import ANONYMOUS
from server.sockets.accept_limits import AcceptLimits
from server.sockets.admission import REALTIME_PATH, RETRY_AFTER_S, HandshakeHead, Refusal, admit
from server.sockets.arrivals import one_too_many
from server.sockets.owners import RealtimeConnection
from server.state import ServerState

_KEPT_HEADERS = ("Allow", "Sec-WebSocket-Version", "Upgrade")
"""What the library says in a refusal's head beside its words."""


class Handshakes:
    """Judges them for one server."""

    def __init__(self, state: ServerState, accept_limits: AcceptLimits) -> None:
        """Take up the work.

        Args:
            state: Shared with every room.
            accept_limits: Knows how many connections there are.
        """
        self._state = state
        self._accept_limits = accept_limits

    def judge(self, connection: ServerConnection, request: Request) -> Response | None:
        """Refuse a handshake, or let it go on; what is no handshake is answered.

        Browsers tell a page nothing of a handshake that was refused. So it may ask with a ``POST``
        what the answer would be: the refusal, or 204. It names its origin as a handshake does.
        """
        assert isinstance(connection, RealtimeConnection)
        upgrades = request.headers.get_all("Upgrade")
        is_handshake = any("websocket" in upgrade.lower() for upgrade in upgrades)
        if not is_handshake and request.method != "POST":
            message = f"{REALTIME_PATH} is a WebSocket; connect with ws:// or wss://"
            return _refuse(Refusal(426, "upgrade_required", message), {})
        try:
            if not is_handshake:
                self._check_room(connection)
            connection.admission = admit(self._state, _head_of(request), time.time())
            self._take_place(connection, connection.admission.principal)
        except Refusal as refusal:
            if is_handshake:
                self._state.metrics.ws_connections.labels(str(refusal.status)).inc()
            return _refuse(refusal, {})
        return None if is_handshake else _let_in()

    def _check_room(self, connection: RealtimeConnection) -> None:
        """Find out whether a handshake could come in beside this connection.

        Raises:
            Refusal: There is no room for it.
        """
        peer = connection.remote_address
        full = self._accept_limits.fullness(str(peer[0]) if peer else "")
        if full is not None:
            raise one_too_many(full)

    def _take_place(self, connection: RealtimeConnection, principal: str) -> None:
        """Count a connection to its key; where no key is needed addresses are counted instead.

        Raises:
            Refusal: It is one too many.
        """
        if principal == ANONYMOUS:
            return
        gate = self._state.gate
        denial = gate.enter_connection(principal, asyncio.get_running_loop().time())
        if denial is not None:
            raise Refusal(429, denial.code, denial.message, None, RETRY_AFTER_S)
        connection.give_back = partial(gate.leave_connection, principal)


def _head_of(request: Request) -> HandshakeHead:
    offered = ",".join(request.headers.get_all("Sec-WebSocket-Protocol"))
    authorizations = request.headers.get_all("Authorization")
    return HandshakeHead(
        target=request.path,
        hosts=request.headers.get_all("Host"),
        origins=request.headers.get_all("Origin"),
        authorization=authorizations[0] if len(authorizations) == 1 else None,
        subprotocols=[name.strip() for name in offered.split(",") if name.strip()],
    )


def finish_response(
    connection: ServerConnection, _request: Request, response: Response
) -> Response | None:
    """Echo the subprotocol, or put the library's own refusals into the shape of all others."""
    assert isinstance(connection, RealtimeConnection)
    admission = connection.admission
    if response.status_code == 101 and admission is not None and admission.subprotocol:
        response.headers["Sec-WebSocket-Protocol"] = admission.subprotocol
    if response.status_code < 400 or response.headers.get("Content-Type") == "application/json":
        return None
    lines = response.body.decode(errors="replace").strip().splitlines()
    reason = lines[0].rstrip(".") if lines else "the handshake was refused"
    code = "method_not_allowed" if response.status_code == 405 else "bad_request"
    kept = {name: response.headers[name] for name in _KEPT_HEADERS if name in response.headers}
    return _refuse(Refusal(response.status_code, code, reason), kept)


def _let_in() -> Response:
    headers = Headers({"Cache-Control": "no-store", "Connection": "close"})
    return Response(HTTPStatus.NO_CONTENT, HTTPStatus.NO_CONTENT.phrase, headers)


def _refuse(refusal: Refusal, extra: Mapping[str, str]) -> Response:
    body = refusal.body()
    headers = Headers({**extra, **refusal.headers()})
    headers["Content-Length"] = str(len(body))
    headers["Connection"] = "close"
    return Response(refusal.status, HTTPStatus(refusal.status).phrase, headers, body)
