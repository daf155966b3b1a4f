"""One request's events are read whole, however its bytes are cut."""

from __future__ import annotations

import h11
import pytest

from clients.load.http_stream import EventStream, HttpRefusal
from tests.clients.load.http_script import HEAD, Answer, HttpScript, chunk, event, refusal

pytestmark = pytest.mark.wire


async def read(answer: Answer) -> list[bytes]:
    """All events of an answer."""
    async with HttpScript(answer).serve() as url:
        return [data async for data in EventStream(url).post(b"{}", {})]


async def test_events_are_found_wherever_chunks_end() -> None:
    """A chunk may end amid a line, and amid a letter."""
    data = event("hé llo") + b": a comment\n\n" + event("two")
    parts = [chunk(data[at : at + 1]) for at in range(len(data))]
    assert await read([HEAD, *parts, b"0\r\n\r\n"]) == ["hé llo".encode(), b"two"]


async def test_an_answer_without_a_length_ends_with_its_connection() -> None:
    """As HTTP/1.0 servers do it."""
    head = b"HTTP/1.0 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"
    assert await read([head, event("one")]) == [b"one"]


async def test_an_error_is_raised_with_its_status_and_body() -> None:
    """The body may hold the server's own code."""
    with pytest.raises(HttpRefusal) as caught:
        await read(refusal(429, {"error": {"code": "queue_full"}}))
    assert caught.value.status == 429
    assert b"queue_full" in caught.value.body


async def test_an_answer_that_breaks_off_is_an_error() -> None:
    """It is not taken for a short one."""
    with pytest.raises((OSError, h11.RemoteProtocolError)):
        await read([HEAD, chunk(event("one"))])


async def test_what_is_no_http_is_an_error() -> None:
    """Another protocol listens there."""
    with pytest.raises(h11.RemoteProtocolError):
        await read([b"220 mail.example.org ESMTP\r\n"])


async def test_headers_are_sent() -> None:
    """The key among them, and a length."""
    script = HttpScript([HEAD, b"0\r\n\r\n"])
    async with script.serve() as url:
        assert [data async for data in EventStream(url).post(b"[1]", {"X-Test": "yes"})] == []
    assert "x-test: yes" in script.heads[0].lower()
    assert script.bodies == [[1]]
