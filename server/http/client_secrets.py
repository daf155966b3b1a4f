"""``POST /v1/realtime/client_secrets``: short-lived ``ek_…`` keys that a browser may hold."""

from __future__ import annotations

import time

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.auth import (
    CLIENT_SECRET_PREFIX,
    MAX_SECRET_S,
    MIN_SECRET_S,
    key_from_bearer,
)
from server.http.body import read_json_body
from server.http.guard import Endpoint
from server.http.refusals import HttpRefusal, from_validation, invalid, json_response
from server.state import ServerState

DEFAULT_SECRET_S = 600


class ExpiresAfter(msgspec.Struct):
    """How long a secret lives."""

    anchor: str = "created_at"
    seconds: int | None = None


class ClientSecretBody(msgspec.Struct):
    """The body; the session's fields come back as they are."""

    expires_after: ExpiresAfter | None = None
    session: dict[str, object] | None = None


def client_secrets_endpoint(state: ServerState) -> Endpoint:
    """Make the endpoint of ``/v1/realtime/client_secrets``."""

    async def mint(request: Request) -> Response:
        key = key_from_bearer(request.headers.get("authorization")) or ""
        if key.startswith(CLIENT_SECRET_PREFIX) and state.auth.requires_key:
            raise HttpRefusal(
                403,
                "a client secret cannot make others; use an API key",
                code="client_secret_not_allowed",
            )
        body = _parse(await read_json_body(request, limit=64 * 1024))
        lifetime_s = _lifetime_s(body.expires_after)
        secret = state.auth.mint(request.state.principal, time.time(), lifetime_s=lifetime_s)
        return json_response(
            {
                "value": secret.value,
                "expires_at": int(secret.expires_at),
                "session": {"type": "realtime", **(body.session or {})},
            }
        )

    return mint


def _parse(raw: bytes) -> ClientSecretBody:
    if not raw.strip():
        return ClientSecretBody()
    try:
        return msgspec.json.decode(raw, type=ClientSecretBody)
    except msgspec.DecodeError as error:
        raise from_validation(error) from None
    except RecursionError:
        raise invalid(None, "the body is nested too deeply", code="invalid_json") from None


def _lifetime_s(wanted: ExpiresAfter | None) -> float:
    seconds = DEFAULT_SECRET_S if wanted is None or wanted.seconds is None else wanted.seconds
    if not MIN_SECRET_S <= seconds <= MAX_SECRET_S:
        raise invalid(
            "expires_after.seconds",
            f"expires_after.seconds is {seconds}; it must be from {MIN_SECRET_S:g} "
            f"to {MAX_SECRET_S:g}",
        )
    return float(seconds)
