"""Whether a WebSocket handshake is let in, and to whom. Pure: head and time in, verdict out.

The order is deliberate: what is asked of the wrong place or by the wrong page is refused before a
key is looked at, and nothing about the models is told before the key is good. Authorisation goes by
the routed path and the key alone, never by ``Host`` or a forwarding header.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import parse_qsl

import msgspec
from msgspec import UNSET

from server.auth import (
    ANONYMOUS,
    REALTIME_SUBPROTOCOL,
    key_from_bearer,
    key_from_subprotocols,
    may_page_call,
)
from server.characters.catalog import ResolvedModel
from server.errors import ModelNotFound
from server.protocol.objects import SessionPatch
from server.state import ServerState, readyz

REALTIME_PATH = "/v1/realtime"
RETRY_AFTER_S = 2
_MAX_QUERY_FIELDS = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class HandshakeHead:
    """What a handshake says; repeated headers appear repeatedly.

    Attributes:
        target: Path and query, as requested.
        hosts: ``Host`` headers.
        origins: ``Origin`` headers; programs other than browsers send none.
        authorization: ``Authorization`` header.
        subprotocols: Offered, in order.
    """

    target: str
    hosts: Sequence[str] = ()
    origins: Sequence[str] = ()
    authorization: str | None = None
    subprotocols: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Admission:
    """A handshake that may go on.

    Attributes:
        principal: Whose key it is.
        model: Who will answer.
        query: The URL's query, the last of repeated names.
        subprotocol: To be echoed, if there is one.
        session: What the client secret that was shown has settled beforehand.
    """

    principal: str
    model: ResolvedModel
    query: Mapping[str, str] = field(default_factory=dict)
    subprotocol: str | None = None
    session: SessionPatch | None = None

    def tenant(self, address: str) -> str:
        """Who takes turns with others: the key's owner; without keys, whoever is at an address."""
        return address if self.principal == ANONYMOUS else self.principal


@dataclass(frozen=True, slots=True)
class Refusal(Exception):
    """A request that is turned away with an HTTP answer.

    Attributes:
        status: HTTP status.
        code: Stable machine-readable name.
        message: One sentence for people: what is wrong, and the way out.
        param: The query field at fault, if there is one.
        retry_after_s: Seconds for ``Retry-After``, when coming back makes sense.
    """

    status: int
    code: str
    message: str
    param: str | None = None
    retry_after_s: int | None = None

    def headers(self) -> dict[str, str]:
        """Headers of the answer beside its length."""
        headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        if self.status == 426:
            headers["Upgrade"] = "websocket"
        return headers

    def body(self) -> bytes:
        """The answer in OpenAI's error shape."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        error = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        return msgspec.json.encode({"error": error})


def admit(state: ServerState, head: HandshakeHead, now: float) -> Admission:
    """Judge a handshake.

    Raises:
        Refusal: It is turned away.
    """
    path, _, query_text = head.target.partition("?")
    if path != REALTIME_PATH:
        raise Refusal(404, "not_found", f"WebSockets are served at {REALTIME_PATH}")
    if len(head.hosts) != 1 or len(head.origins) > 1:
        raise Refusal(400, "bad_request", "send one Host header and at most one Origin header")
    _check_origin(state, head)
    key = key_from_bearer(head.authorization) or key_from_subprotocols(head.subprotocols)
    principal = _authenticate(state, key, now)
    session = state.auth.session_of(key, now)
    _check_ready(state)
    query = _read_query(query_text)
    subprotocol = REALTIME_SUBPROTOCOL if REALTIME_SUBPROTOCOL in head.subprotocols else None
    return Admission(
        principal, _resolve(state, query, session, principal), query, subprotocol, session
    )


def _check_origin(state: ServerState, head: HandshakeHead) -> None:
    settings = state.settings
    origin = head.origins[0] if head.origins else None
    if not may_page_call(settings.listen, settings.auth, origin=origin, host=head.hosts[0]):
        raise Refusal(
            403,
            "origin_not_allowed",
            "pages from this origin may not connect; the server's operator can add it to "
            "auth.allowed_origins",
        )


def _authenticate(state: ServerState, key: str | None, now: float) -> str:
    principal = state.auth.check(key, now)
    if principal is not None:
        return principal
    if key is None:
        message = "an API key is needed; send it as Authorization: Bearer <key>"
    else:
        message = "this API key is not known here; check it with whoever runs the server"
    raise Refusal(401, "invalid_api_key", message)


def _check_ready(state: ServerState) -> None:
    if state.is_draining:
        raise Refusal(
            503,
            "server_draining",
            "the server is about to restart; try again in a few seconds",
            retry_after_s=RETRY_AFTER_S,
        )
    health = readyz(state)
    if not health.ok:
        raise Refusal(
            503,
            "server_not_ready",
            f"the server cannot take sessions now: {health.reason}; try again in a few seconds",
            retry_after_s=RETRY_AFTER_S,
        )


def _read_query(text: str) -> dict[str, str]:
    try:
        query = dict(
            parse_qsl(
                text, keep_blank_values=True, errors="strict", max_num_fields=_MAX_QUERY_FIELDS
            )
        )
    except ValueError:
        raise Refusal(
            400, "invalid_value", f"the query is not UTF-8, or has over {_MAX_QUERY_FIELDS} fields"
        ) from None
    if "call_id" in query:
        raise Refusal(
            400, "unsupported", "there are no calls to join here; leave call_id out", "call_id"
        )
    if query.get("intent") == "transcription":
        raise Refusal(
            400, "unsupported", "this server does not transcribe; leave intent out", "intent"
        )
    return query


def _resolve(
    state: ServerState, query: Mapping[str, str], session: SessionPatch | None, principal: str
) -> ResolvedModel:
    catalog = state.catalog
    model = query.get("model")
    settled = session.model if session is not None and session.model is not UNSET else None
    if settled is None or not catalog.knows(settled, principal):
        settled = None  # an SDK's habitual name
    model = model or settled
    if not model:
        names = ", ".join(catalog.model_names_of(principal))
        raise Refusal(
            400,
            "missing_required_parameter",
            f"name a model with ?model=NAME; there are {names}",
            "model",
        )
    try:
        choice = catalog.resolve(model, principal=principal)
    except ModelNotFound as error:
        raise Refusal(404, error.code, error.message, "model") from None
    wanted = catalog.resolve(settled, principal=principal) if settled else choice
    if wanted.character is not choice.character:
        raise Refusal(
            403,
            "client_secret_not_allowed",
            f"this client secret is for {settled}; leave model out, or name {settled}",
            "model",
        )
    return choice
