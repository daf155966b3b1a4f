"""Where a server is: its WebSocket address and the web addresses beside it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from clients.python.errors import ConnectFailed

REALTIME_PATH = "/v1/realtime"
_TO_WEB_SOCKET = {"http": "ws", "https": "wss", "ws": "ws", "wss": "wss"}
_TO_WEB = {"ws": "http", "wss": "https"}


def realtime_address(url: str) -> str:
    """Complete a server's address: a web scheme becomes a WebSocket's, a missing path is added.

    Raises:
        ConnectFailed: It is no address of a server.
    """
    parts = _split(url)
    path = parts.path if parts.path.strip("/") else REALTIME_PATH
    return urlunsplit(parts._replace(scheme=_TO_WEB_SOCKET[parts.scheme], path=path))


def web_address(url: str, path: str) -> str:
    """The address of ``path`` on the server whose WebSocket address this is.

    Raises:
        ConnectFailed: It is no address of a server.
    """
    parts = urlsplit(realtime_address(url))
    prefix = parts.path.removesuffix(REALTIME_PATH) if parts.path.endswith(REALTIME_PATH) else ""
    return urlunsplit((_TO_WEB[parts.scheme], parts.netloc, prefix + path, "", ""))


def with_query(url: str, fields: Mapping[str, str | None]) -> str:
    """Add query fields to an address; empty ones are left out."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query)) | {name: value for name, value in fields.items() if value}
    return urlunsplit(parts._replace(query=urlencode(query, safe=",")))


def is_loopback(url: str) -> bool:
    """Whether the address is this machine's own, which no proxy stands before."""
    host = urlsplit(url).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        is_usable = parts.scheme in _TO_WEB_SOCKET and parts.hostname and parts.port != 0
    except ValueError:  # a port that is no number, a bracket that is not closed
        is_usable = False
    if not is_usable:
        raise ConnectFailed(f"{url} is not a server's address; it begins with ws:// or wss://")
    return parts
