"""How a connection is opened, and what is said when it is not."""

from __future__ import annotations

import ssl
from pathlib import Path

import msgspec
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    InvalidURI,
)

from clients.python.address import is_loopback
from clients.python.errors import ConnectFailed, ConnectionLost, ConnectRefused

MAX_EVENT_BYTES = 16 << 20
CLOSE_TIMEOUT_S = 3.0
"""For the closing handshake with a server that may have stopped listening."""


def trust(ca_file: Path) -> ssl.SSLContext:
    """Trust the certificate authorities of a PEM file, and no others.

    Raises:
        ConnectFailed: The file cannot be read, or holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except ssl.SSLError:
        raise ConnectFailed(f"{ca_file} holds no certificate in PEM") from None
    except OSError as error:
        raise ConnectFailed(f"cannot read {ca_file}: {error.strerror}") from None


async def open_socket(
    url: str, api_key: str | None, timeout_s: float, *, ca_file: Path | None = None
) -> ClientConnection:
    """Open a WebSocket.

    Raises:
        ConnectFailed: Nobody answers.
        ConnectRefused: The server says no.
    """
    context: ssl.SSLContext | bool | None = None
    if url.startswith("wss:"):
        context = True if ca_file is None else trust(ca_file)
    try:
        return await connect(
            url,
            ssl=context,
            additional_headers={"Authorization": f"Bearer {api_key}"} if api_key else None,
            compression=None,
            max_size=MAX_EVENT_BYTES,
            open_timeout=timeout_s,
            close_timeout=CLOSE_TIMEOUT_S,
            proxy=None if is_loopback(url) else True,
        )
    except InvalidStatus as error:
        status = error.response.status_code
        raise ConnectRefused(status, told_reason(bytes(error.response.body or b""))) from None
    except InvalidURI:
        raise ConnectFailed(f"{url} is not a WebSocket address; use ws:// or wss://") from None
    except (InvalidHandshake, InvalidMessage):
        raise ConnectFailed(f"what answers at {url} does not speak WebSocket") from None
    except TimeoutError:
        raise ConnectFailed(f"no answer from {url} within {timeout_s:g} s") from None
    except ssl.SSLCertVerificationError as error:
        raise ConnectFailed(
            f"the certificate of {url} is not trusted ({error.verify_message}); "
            "name its authority's file"
        ) from None
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ConnectFailed(f"no server answers at {url} ({reason})") from None


def told_reason(body: bytes) -> str:
    """What a refusal's body says, in words."""
    try:
        return str(msgspec.json.decode(body)["error"]["message"])
    except (msgspec.DecodeError, KeyError, TypeError):
        return body[:200].decode(errors="replace").strip() or "no reason given"


def lost(error: ConnectionClosed) -> ConnectionLost:
    """Say how a connection ended."""
    if error.rcvd is None:
        return ConnectionLost(1006, "")
    return ConnectionLost(error.rcvd.code, error.rcvd.reason)
