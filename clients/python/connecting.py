"""How a connection is opened, and what is said when it is not."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)

from clients.python.errors import ConnectFailed, ConnectionLost, ConnectRefused

MAX_EVENT_BYTES = 16 << 20
CLOSE_TIMEOUT_S = 3.0
"""For the closing handshake with a server that may have stopped listening."""


def with_query(url: str, fields: Mapping[str, str | None]) -> str:
    """Add query fields to an address; empty ones are left out."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | {name: value for name, value in fields.items() if value}
    return urlunsplit(parts._replace(query=urlencode(query, safe=",")))


async def open_socket(url: str, api_key: str | None, timeout_s: float) -> ClientConnection:
    """Open a WebSocket.

    Raises:
        ConnectFailed: Nobody answers.
        ConnectRefused: The server says no.
    """
    try:
        return await connect(
            url,
            additional_headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            compression=None,
            max_size=MAX_EVENT_BYTES,
            open_timeout=timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            proxy=None if _is_loopback(url) else True,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise ConnectRefused(status, _error_message(bytes(error.response.body or b""))) from None
    except InvalidURI:
        raise ConnectFailed(f"{url} is not a WebSocket address; use ws:// or wss://") from None
    except (InvalidHandshake, InvalidMessage):
        raise ConnectFailed(f"what answers at {url} does not speak WebSocket") from None
    except TimeoutError:
        raise ConnectFailed(f"no answer from {url} within {timeout_s:g} s") from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConnectFailed(f"no server answers at {url} ({reason})") from None


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _error_message(body: bytes) -> str:
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:200].decode(errors="replace").strip() or "no reason given"


def lost(error: ConnectionClosed) -> ConnectionLost:
    """Say how a connection ended."""
    if error.rcvd is None:
        return ConnectionLost(1006, "")
    return ConnectionLost(error.rcvd.code, error.rcvd.reason)
