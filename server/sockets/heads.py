"""Request heads as they stand in a connection's first bytes, and answers to those that are refused.

Pure: bytes in, verdict out. Neither library is asked: both refuse in words of their own.
"""

from __future__ import annotations

from http import HTTPStatus

from server.sockets.admission import REALTIME_PATH, Refusal

MAX_HANDSHAKE_LINE_BYTES = 8192
"""The request line, or one header, of a handshake; what ``websockets`` reads."""

MAX_HANDSHAKE_HEADERS = 128
"""Likewise."""


def is_http_1(head: bytes | bytearray) -> bool:
    """Whether its first line names a version that is spoken here."""
    line = head[: head.find(b"\r\n")]
    return line.endswith((b" HTTP/1.1", b" HTTP/1.0"))


def path_of(head: bytes) -> str:
    """What is asked for, without the query; the head is HTTP/1."""
    target = head[: head.find(b"\r\n")].split(b" ")[1]
    return target.partition(b"?")[0].decode("latin-1")


def asks_for_websocket(head: bytes) -> bool:
    """Whether it wants to go on as a WebSocket."""
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip() == b"upgrade" and b"websocket" in value:
            return True
    return False


def flaw_of_handshake(head: bytes) -> Refusal | None:
    """Find what the library would refuse in plain text, or end the connection for unanswered."""
    line, *headers = head.split(b"\r\n")
    longest = MAX_HANDSHAKE_LINE_BYTES - len(b"\r\n")
    if len(line) > longest:
        return Refusal(414, "head_too_large", f"the address is over {longest} bytes; shorten it")
    if len(headers) > MAX_HANDSHAKE_HEADERS:
        message = f"{len(headers)} headers are sent; at most {MAX_HANDSHAKE_HEADERS} are read"
        return Refusal(431, "head_too_large", message)
    for header in headers:
        if len(header) > longest:
            return Refusal(431, "head_too_large", f"a header is over {longest} bytes; shorten it")
        name, _, value = header.partition(b":")
        has_length = name.strip().lower() == b"content-length" and value.strip() != b"0"
        if has_length or name.strip().lower() == b"transfer-encoding":
            return Refusal(400, "bad_request", "a handshake has no body; send none")
    return None


def is_for_the_socket(head: bytes) -> bool:
    """Whether it asks for a WebSocket, or for the address of ours."""
    return asks_for_websocket(head) or path_of(head) == REALTIME_PATH


def begins_a_websocket(data: bytes) -> bool:
    """Whether this is a whole head, as proxies send it, that is for the socket."""
    end = data.find(b"\r\n\r\n")
    return end >= 0 and is_http_1(data) and is_for_the_socket(data[:end])


def answer(refusal: Refusal) -> bytes:
    """A whole HTTP answer that says no, after which the connection ends."""
    body = refusal.body()
    headers = refusal.headers() | {"Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
