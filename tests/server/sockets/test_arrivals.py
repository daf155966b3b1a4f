"""Whoever is one too many is answered before any library spends a thing on it."""

from __future__ import annotations

import asyncio
import json
from typing import Any

from server.config.limits import MAX_TURNED_AWAY
from server.sockets.accept_limits import AcceptLimits
from server.sockets.arrivals import Arrival
from server.state import ServerState
from tests.server.http.rooms import make_state
from tests.support.fake_engine import FakeEngine

HEAD = b"GET /v1/realtime?model=aoi HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"


class Wire(asyncio.Transport):
    """A client at an address of its own."""

    def __init__(self, address: str) -> None:
        super().__init__({"peername": (address, 5000)})
        self.written = b""
        self.is_aborted = False

    def write(self, data: Any) -> None:
        """Keep what is said."""
        self.written += data

    def can_write_eof(self) -> bool:
        """It cannot."""
        return False

    def abort(self) -> None:
        """It is cut off."""
        self.is_aborted = True

    @property
    def status(self) -> int:
        """Of the answer."""
        return int(self.written.split(b" ")[1])

    @property
    def error(self) -> dict[str, Any]:
        """What the answer says."""
        error: dict[str, Any] = json.loads(self.written.partition(b"\r\n\r\n")[2])["error"]
        return error


def no_owner() -> Any:
    """Nobody is handed over in these tests."""
    raise AssertionError


def arrive(state: ServerState, limits: AcceptLimits, address: str) -> Wire:
    """Come, and say what is wanted; who is let in stays without an answer."""
    wire = Wire(address)
    arrival = Arrival(state, limits, make_realtime=no_owner, make_http=no_owner)
    arrival.connection_made(wire)
    if arrival._full is not None and not wire.written:
        arrival.data_received(HEAD)
    arrival._timer.cancel()
    return wire


async def test_one_too_many_of_an_address_is_told_so() -> None:
    """429: others are not concerned; and it is counted."""
    state = make_state(FakeEngine())
    limits = AcceptLimits(state.settings.limits)
    most = state.settings.limits.max_connections_per_address
    for _ in range(most):
        assert arrive(state, limits, "192.0.2.1").written == b""
    refused = arrive(state, limits, "192.0.2.1")
    assert refused.status == 429
    assert b"\r\nRetry-After: 2\r\n" in refused.written
    assert refused.error["type"] == "rate_limit_error"
    assert refused.error["code"] == "too_many_connections"
    assert arrive(state, limits, "192.0.2.2").written == b""
    name, labels = (
        "kaiwa_admission_rejections_total",
        {"reason": "too_many_connections_per_address"},
    )
    assert state.metrics.registry.get_sample_value(name, labels) == 1


async def test_one_address_cannot_keep_others_out_by_saying_nothing() -> None:
    """What it has beyond its share is answered unasked, or cut off; nobody waits for its heads."""
    state = make_state(FakeEngine())
    limits = AcceptLimits(state.settings.limits)
    most = state.settings.limits.max_connections_per_address
    silent = [Wire("192.0.2.1") for _ in range(most + MAX_TURNED_AWAY + 1)]
    for wire in silent:
        arrival = Arrival(state, limits, make_realtime=no_owner, make_http=no_owner)
        arrival.connection_made(wire)
        arrival._timer.cancel()
    assert limits.num_pending == most
    assert {wire.status for wire in silent[most:-1]} == {429}
    assert (silent[-1].written, silent[-1].is_aborted) == (b"", True)
