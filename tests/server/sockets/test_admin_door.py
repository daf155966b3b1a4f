"""A second port of few words."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from engine.errors import ConfigError
from server.config.access import ListenConfig
from server.http.admin import build_admin_app
from server.sockets.admin_door import AdminDoor
from tests.server.http.rooms import make_state
from tests.support.fake_engine import FakeEngine
from tests.support.raw_http import exchange
from tests.support.waiting import until

pytestmark = pytest.mark.wire

METRICS = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def make_door(port: int = 0) -> AdminDoor:
    """Not open yet."""
    app = build_admin_app(make_state(FakeEngine()))
    return AdminDoor(ListenConfig(admin_port=port), app)


async def test_numbers_are_read_there() -> None:
    """With a plain request."""
    door = make_door()
    await door.open()
    answer = await exchange(("127.0.0.1", door.port), METRICS)
    assert (answer.status, b"kaiwa_ready 1.0" in answer.body) == (200, True)
    door.close()


async def test_a_taken_port_is_told_by_its_setting() -> None:
    """As a sentence, with the way out."""
    door = make_door()
    await door.open()
    with pytest.raises(ConfigError, match=r"choose another listen\.admin_port") as caught:
        await make_door(door.port).open()
    assert caught.value.param == "listen.admin_port"
    door.close()


async def test_closing_waits_for_nobody() -> None:
    """Who keeps a connection open is cut off; twice does no harm."""
    door = make_door()
    await door.open()
    reader, writer = await asyncio.open_connection("127.0.0.1", door.port)
    writer.write(METRICS[:20])
    await until(lambda: door.num_connections)
    door.close()
    door.close()
    with contextlib.suppress(ConnectionResetError):
        assert await reader.read() == b""
    writer.close()
