"""Request heads are read without a library, and refused in the shape of every other error."""

from __future__ import annotations

import json

import pytest

from server.sockets.admission import Refusal
from server.sockets.heads import (
    MAX_HANDSHAKE_HEADERS,
    MAX_HANDSHAKE_LINE_BYTES,
    answer,
    asks_for_websocket,
    begins_a_websocket,
    flaw_of_handshake,
    is_for_the_socket,
    is_http_1,
    path_of,
)

HEAD = b"GET /v1/realtime?model=aoi HTTP/1.1\r\nHost: x\r\nUPGRADE: WebSocket"


def test_a_head_says_what_it_wants() -> None:
    """Its path without the query, and whether it is to become a WebSocket."""
    assert is_http_1(HEAD)
    assert not is_http_1(b"PRI * HTTP/2.0\r\n\r\n")
    assert path_of(HEAD) == "/v1/realtime"
    assert asks_for_websocket(HEAD)
    assert not asks_for_websocket(b"GET / HTTP/1.1\r\nX-Upgrade: websocket")
    assert is_for_the_socket(b"POST /v1/realtime?model=aoi HTTP/1.1\r\nHost: x")
    assert not is_for_the_socket(b"POST /v1/realtime/client_secrets HTTP/1.1\r\nHost: x")


def test_only_a_whole_head_begins_a_websocket() -> None:
    """As proxies send it."""
    assert not begins_a_websocket(HEAD)
    assert begins_a_websocket(HEAD + b"\r\n\r\n")
    assert not begins_a_websocket(b"noise\r\n\r\n")


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (HEAD, None),
        (HEAD + b"\r\nContent-Length: 0", None),
        (HEAD + b"\r\nContent-Length: 1", 400),
        (HEAD + b"\r\nTransfer-Encoding: chunked", 400),
        (b"GET /" + b"a" * MAX_HANDSHAKE_LINE_BYTES + b" HTTP/1.1", 414),
        (HEAD + b"\r\nX: " + b"a" * MAX_HANDSHAKE_LINE_BYTES, 431),
        (HEAD + b"\r\nX: a" * MAX_HANDSHAKE_HEADERS, 431),
    ],
)
def test_a_handshake_that_the_library_cannot_read_has_a_flaw(
    head: bytes, status: int | None
) -> None:
    """Which is named before the library is asked."""
    flaw = flaw_of_handshake(head)
    assert (None if flaw is None else flaw.status) == status


def test_an_answer_is_whole() -> None:
    """Status, headers, and an error that a client can read."""
    head, _, body = answer(Refusal(429, "too_many_connections", "Wait.", None, 2)).partition(
        b"\r\n\r\n"
    )
    lines = head.split(b"\r\n")
    assert lines[0] == b"HTTP/1.1 429 Too Many Requests"
    assert b"Retry-After: 2" in lines
    assert b"Content-Length: %d" % len(body) in lines
    assert json.loads(body)["error"]["code"] == "too_many_connections"
