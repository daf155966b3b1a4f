"""``POST /v1/realtime/client_secrets``: short-lived ``ek_…`` keys that a browser may hold."""

from __future__ import annotations

import time
from functools import partial

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.auth.client_secrets import MAX_SECRET_S, MIN_SECRET_S
from server.errors import ProtocolError
from server.http.body import read_json_body
from server.http.guard import Endpoint
from server.http.refusals import from_validation, invalid, json_response
from server.protocol.objects import SessionPatch
from server.session.context import SessionContext
from server.session.session import Session
from server.session.settings import SessionLimits
from server.state import ServerState

DEFAULT_SECRET_S = 600
MAX_BODY_BYTES = 128 * 1024


class ExpiresAfter(msgspec.Struct):
    """How long a secret lives."""

    anchor: str = "created_at"
    seconds: int | None = None


class ClientSecretBody(msgspec.Struct):
    """The body; the session's fields come back as they are, and hold for what is opened with it."""

    expires_after: ExpiresAfter | None = None
    session: SessionPatch | None = None


def client_secrets_endpoint(state: ServerState) -> Endpoint:
    """Make the endpoint of ``/v1/realtime/client_secrets``."""

    async def mint(request: Request) -> Response:
        raw = await read_json_body(request, limit=MAX_BODY_BYTES)
        body, written = _parse(raw)
        lifetime_s = _lifetime_s(body.expires_after)
        if body.session is not None:
            _check_session(state, body.session, request.state.principal)
        secret = state.auth.mint(
            request.state.credential, time.time(), lifetime_s=lifetime_s, session=body.session
        )
        return json_response(
            {
                "value": secret.value,
                "expires_at": int(secret.expires_at),
                "session": {"type": "realtime", **written},
            }
        )

    return mint


def _parse(raw: bytes) -> tuple[ClientSecretBody, dict[str, object]]:
    """Read the body; beside it its session as written, whose unknown fields mean nothing here."""
    if not raw.strip():
        return ClientSecretBody(), {}
    try:
        body = msgspec.json.decode(raw, type=ClientSecretBody)
        return body, msgspec.json.decode(raw).get("session") or {}
    except msgspec.DecodeError as error:
        raise from_validation(error) from None
    except UnicodeDecodeError:
        raise invalid(None, "the body is not valid UTF-8", code="invalid_json") from None
    except RecursionError:
        raise invalid(None, "the body is nested too deeply", code="invalid_json") from None


def _check_session(state: ServerState, patch: SessionPatch, principal: str) -> None:
    """Find out whether a session could be opened with this.

    Raises:
        HttpRefusal: 400, with the field at fault as ``param``.
    """
    catalog, engine = state.catalog, state.engine
    named = patch.model if isinstance(patch.model, str) else ""
    model = named if catalog.knows(named, principal) else None
    limits = SessionLimits() if engine is None else SessionLimits(vocab_size=engine.info.vocab_size)
    context = SessionContext(
        known_models=frozenset(catalog.model_names_of(principal)),
        find_character=partial(catalog.find, principal=principal),
    )
    choice = catalog.resolve(model, principal=principal)
    try:
        Session("sess_secret", choice=choice, limits=limits, context=context).configure(patch)
    except ProtocolError as error:
        raise invalid(error.param, error.message, code=error.code) from None


def _lifetime_s(wanted: ExpiresAfter | None) -> float:
    seconds = DEFAULT_SECRET_S if wanted is None or wanted.seconds is None else wanted.seconds
    if not MIN_SECRET_S <= seconds <= MAX_SECRET_S:
        raise invalid(
            "expires_after.seconds",
            f"expires_after.seconds is {seconds}; it must be from {MIN_SECRET_S:g} "
            f"to {MAX_SECRET_S:g}",
        )
    return float(seconds)
