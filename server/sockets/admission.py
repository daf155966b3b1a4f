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

from server.auth.authenticator import BadKey, Credential
from server.auth.keys import INSUFFICIENT_SCOPE, Scope, missing_scope, tenant_of
from server.auth.origins import may_page_call
from server.auth.presented import (
    REALTIME_SUBPROTOCOL,
    key_from_bearer,
    key_from_subprotocols,
    query_hint,
)
from server.characters.catalog import ResolvedModel
from server.errors import ModelNotFound, shorten
from server.protocol.objects import SessionPatch
from server.state import ServerState

REALTIME_PATH = "/v1/realtime"
RECORD = "record"
"""Name of the query's field by which a client agrees to be recorded, or does not."""
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
        credential: What was shown; the session lives no longer than it is good.
        model: Who will answer.
        query: The URL's query, the last of repeated names.
        subprotocol: To be echoed, if there is one.
    """

    credential: Credential
    model: ResolvedModel
    query: Mapping[str, str] = field(default_factory=dict)
    subprotocol: str | None = None

    @property
    def principal(self) -> str:
        """Whose key it is."""
        return self.credential.principal

    @property
    def session(self) -> SessionPatch | None:
        """What the client secret that was shown has settled beforehand."""
        return self.credential.session

    def tenant(self, address: str) -> str:
        """Who takes turns with others; see ``tenant_of``."""
        return tenant_of(self.principal, address)


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
        if self.status == 429:
            kind = "rate_limit_error"
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
    credential = _authenticate(state, key, query_text, now)
    _check_ready(state, comes_back="resume" in _names_in(query_text))
    query = _read_query(query_text)
    subprotocol = REALTIME_SUBPROTOCOL if REALTIME_SUBPROTOCOL in head.subprotocols else None
    model = _resolve(state, query, credential.session, credential.principal)
    return Admission(credential, model, query, subprotocol)


def _check_origin(state: ServerState, head: HandshakeHead) -> None:
    settings = state.settings
    origin = head.origins[0] if head.origins else None
    if not may_page_call(settings.listen, settings.auth, origin=origin, host=head.hosts[0]):
        raise Refusal(
            403,
            "origin_not_allowed",
            f"pages from {shorten(origin or '')} may not connect; the server's operator can add "
            "the origin to auth.allowed_origins",
        )


def _authenticate(state: ServerState, key: str | None, query: str, now: float) -> Credential:
    try:
        credential = state.auth.authenticate(key, now)
    except BadKey as error:
        hint = query_hint(_names_in(query)) if key is None else None
        raise Refusal(401, error.code, hint or error.message) from None
    if Scope.REALTIME not in credential.scopes:
        raise Refusal(403, INSUFFICIENT_SCOPE, missing_scope(Scope.REALTIME))
    return credential


def _names_in(query: str) -> list[str]:
    """The names of the query's fields, whatever their values are."""
    return [part.partition("=")[0] for part in query.split("&", _MAX_QUERY_FIELDS)]


def _check_ready(state: ServerState, *, comes_back: bool) -> None:
    # Whoever comes back may hear what runs to its end; the roster begins nothing new for it.
    if state.is_draining and not comes_back:
        raise Refusal(
            503,
            "server_draining",
            "the server is about to restart; try again in a few seconds",
            retry_after_s=RETRY_AFTER_S,
        )
    # An engine that is slow, full or being replaced is no reason to turn sockets away: who comes
    # back to a reply has to get in, and new replies are judged one by one.
    if state.engine is None or not state.engine.health().alive:
        why = "the model is loading" if state.engine is None else "the engine is gone"
        raise Refusal(
            503,
            "server_not_ready",
            f"the server cannot take sessions now: {why}; try again in a few seconds",
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
    if query.get(RECORD, "no") not in ("yes", "no"):
        raise Refusal(
            400,
            "invalid_value",
            f"{RECORD} is {shorten(query[RECORD])}; it must be yes or no, or left out",
            RECORD,
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
