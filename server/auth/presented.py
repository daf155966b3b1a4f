"""Where a client may show its key: the bearer header, or a browser's subprotocols; never the URL.

``X-Forwarded-For`` and ``Host`` are never asked who somebody is.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

REALTIME_SUBPROTOCOL = "realtime"
"""The one subprotocol that is echoed when a browser offers it."""

KEY_SUBPROTOCOL_PREFIX = "openai-insecure-api-key."
"""Browsers cannot set headers on a WebSocket, so SDKs put the key here; it is never echoed."""

_QUERY_NAMES = frozenset(
    {
        "access_token",
        "api-key",
        "api_key",
        "apikey",
        "auth",
        "auth_token",
        "authorization",
        "bearer",
        "client_secret",
        "key",
        "token",
    }
)


def key_from_bearer(authorization: str | None) -> str | None:
    """The key in an ``Authorization: Bearer`` header, if it is one."""
    scheme, _, key = (authorization or "").strip().partition(" ")
    return key.strip() or None if scheme.lower() == "bearer" else None


def key_from_subprotocols(offered: Sequence[str]) -> str | None:
    """The key that a browser put among the subprotocols it offers."""
    for subprotocol in offered:
        if subprotocol.startswith(KEY_SUBPROTOCOL_PREFIX):
            return subprotocol.removeprefix(KEY_SUBPROTOCOL_PREFIX) or None
    return None


def query_hint(names: Iterable[str]) -> str | None:
    """What to tell somebody without a key whose query has a field that looks like one.

    Addresses end up in logs and histories, so a key there is not taken (CWE-598). The field's
    value is not looked at.

    Args:
        names: Of the query's fields.
    """
    for name in names:
        if name.lower() in _QUERY_NAMES:
            return (
                f"a key in the address ({name.lower()}) is not taken, because addresses end up in "
                "logs; send it as Authorization: Bearer <key>, and have a new one made, since "
                "this one has been written down"
            )
    return None
