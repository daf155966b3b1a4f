"""A connection reads within its bounds, and closes whoever keeps to none of them."""

from __future__ import annotations

import asyncio

import pytest

from server.protocol.close_codes import CloseCode
from tests.server.sockets.stage import stage


async def test_unreadable_messages_in_a_row_close_the_socket() -> None:
    """The last one still gets its error."""
    async with stage(limits__max_bad_messages=3) as one:
        for _ in range(3):
            one.socket.send("garbage")
        await one.running
        assert one.socket.kinds.count("error") == 3
        assert one.socket.closed is not None
        assert one.socket.closed[0] == CloseCode.BAD_MESSAGES


async def test_a_readable_message_ends_the_row() -> None:
    """Even one of an unknown type."""
    async with stage(limits__max_bad_messages=3) as one:
        for text in ("x", "x", '{"type": "no.such"}', "x", "x"):
            one.socket.send(text)
        await one.socket.until("error", 5)
        assert one.socket.closed is None


async def test_binary_closes() -> None:
    """Events are text."""
    async with stage() as one:
        one.socket.send(b"bytes")
        await one.running
        assert one.socket.closed is not None
        assert one.socket.closed[0] == CloseCode.UNSUPPORTED_DATA


async def test_a_flood_is_read_slowly() -> None:
    """Beyond the burst, messages are taken at the rate; none is lost."""
    async with stage(limits__messages_per_s=10.0, limits__message_burst=5) as one:
        started = asyncio.get_running_loop().time()
        for _ in range(25):
            one.socket.send({"type": "no.such"})
        await one.socket.until("error", 25)
        assert asyncio.get_running_loop().time() - started == pytest.approx(2.0, abs=0.1)


async def test_a_draining_server_refuses_new_replies() -> None:
    """The refusal names the client's event."""
    async with stage() as one:
        one.state.is_draining = True
        one.socket.send({"type": "response.create", "event_id": "mine"})
        error = (await one.socket.until("error"))["error"]
        assert (error["code"], error["event_id"]) == ("server_draining", "mine")
        assert "response.create" in error["message"]


async def test_long_messages_are_read_slowly() -> None:
    """Bytes are counted as they are on the wire, beside messages."""
    async with stage(limits__bytes_per_s=1024.0, limits__byte_burst=2048) as one:
        started = asyncio.get_running_loop().time()
        for _ in range(4):
            one.socket.send('{"type": "' + "é" * 512 + '"}')
        await one.socket.until("error", 4)
        assert asyncio.get_running_loop().time() - started == pytest.approx(2.0, abs=0.1)


async def test_who_goes_on_flooding_is_closed() -> None:
    """After so long above the rate, with a code that says not to come back, and it is counted."""
    async with stage(
        limits__messages_per_s=10.0, limits__message_burst=5, limits__flood_timeout_s=6.0
    ) as one:
        started = asyncio.get_running_loop().time()
        for _ in range(200):
            one.socket.send({"type": "no.such"})
        await one.running
        assert asyncio.get_running_loop().time() - started == pytest.approx(6, abs=1)
        assert one.socket.closed is not None
        code, reason = one.socket.closed
        assert code == CloseCode.RATE_LIMITED
        assert not CloseCode.RATE_LIMITED.is_retryable
        assert "10 messages" in reason
        assert one.metric("kaiwa_admission_rejections_total", reason="flood") == 1


async def test_many_messages_at_once_leave_room_for_others() -> None:
    """All that have come in one piece are not read in one piece."""
    async with stage() as one:
        for _ in range(50):
            one.socket.send({"type": "no.such"})
        num_turns = 0
        while one.socket.kinds.count("error") < 50:
            await asyncio.sleep(0)
            num_turns += 1
        assert num_turns >= 50
