"""A listener's line to a real socket: it asks, hears, comes back, and counts what went wrong."""

from __future__ import annotations

import asyncio
import time

import pytest
from websockets.asyncio.server import ServerConnection

from clients.access import Access
from clients.load.driver import Driver
from clients.load.kaiwa import KaiwaOptions, KaiwaTarget
from clients.replay.records import RequestRecord
from clients.replay.script import Fault, Session, Turn
from tests.clients.load.scripted_server import Plan, ScriptedServer, _Session
from tests.clients.load.test_driver import texts_of
from tests.support.waiting import until

pytestmark = pytest.mark.wire


async def play(server: ScriptedServer, *sessions: Session) -> list[RequestRecord]:
    """Play sessions against it."""
    async with server.serve() as url:
        target = KaiwaTarget(Access(url), KaiwaOptions("aoi"))
        starts_at = time.monotonic()
        driver = Driver(sessions, texts_of(sessions), target, starts_at=starts_at)
        return await asyncio.wait_for(driver.run(), 20)


def session(*turns: Turn) -> Session:
    """One listener who begins at once and reads fast."""
    chosen = list(turns) or [Turn(input_tokens=1)]
    return Session(session_id="a", start_s=0.0, turns=chosen, persona="Aoi", tokens_per_s=1000.0)


async def test_a_conversation_is_asked_turn_by_turn() -> None:
    """The persona is set before the first question, and both replies are whole."""
    server = ScriptedServer(lambda persona, turn: Plan((0.0,) * (turn + 1)))
    first, second = await play(server, session(Turn(input_tokens=1), Turn(input_tokens=1)))
    assert server.said == ["a 0", "a 1"]
    assert list(server.did) == [("Aoi", 0), ("Aoi", 1)]
    assert [first.output_tokens, second.output_tokens] == [1, 2]
    assert [first.finish, second.finish] == ["stop", "stop"]
    assert not first.text_differs


async def test_repeated_and_lost_events_are_counted_exactly() -> None:
    """Two came twice; one never came, and so the text is not what the end states."""
    plan = Plan((0.0,) * 8, repeats=frozenset({1, 5}), losses=frozenset({3}))
    (record,) = await play(ScriptedServer(lambda *_: plan), session())
    assert (record.num_duplicates, record.num_gaps) == (2, 1)
    assert record.text_differs


async def test_a_connection_that_is_cut_is_come_back_to() -> None:
    """The reply is whole, with nothing missing and nothing twice."""
    plan = Plan((0.0,) * 4 + (0.3,) * 2, drops=frozenset({2}))
    (record,) = await play(ScriptedServer(lambda *_: plan), session())
    assert (record.num_resumes, record.num_gaps, record.num_duplicates) == (1, 0, 0)
    assert record.finish == "stop"
    assert not record.text_differs
    assert len(record.token_times_s) == 6


async def test_a_drop_that_the_script_wants_is_come_back_from() -> None:
    """The client cuts its own line and is away for a while."""
    plan = Plan((0.05,) * 8)
    turn = Turn(input_tokens=1, faults=(Fault(0.1, "drop", 0.1),))
    (record,) = await play(ScriptedServer(lambda *_: plan), session(turn))
    assert (record.num_resumes, record.num_gaps, record.num_duplicates) == (1, 0, 0)
    assert not record.text_differs


@pytest.mark.parametrize("kind", ["stall", "slow_read"])
async def test_a_reader_who_stops_hears_everything_in_the_end(kind: str) -> None:
    """On the same socket."""
    plan = Plan((0.02,) * 8)
    turn = Turn(input_tokens=1, faults=(Fault(0.05, kind, 0.5),))  # type: ignore[arg-type]
    (record,) = await play(ScriptedServer(lambda *_: plan), session(turn))
    assert (record.finish, record.num_resumes, len(record.token_times_s)) == ("stop", 0, 8)


async def test_an_interruption_is_sent_and_its_end_is_heard() -> None:
    """The reply of ten seconds ends as cancelled."""
    server = ScriptedServer(lambda *_: Plan((0.0, 10.0)))
    (record,) = await play(server, session(Turn(input_tokens=1, barge_in_s=0.1)))
    assert (record.finish, server.cancels) == ("abort", 1)
    assert record.cancel_acked_s is not None


async def test_a_failed_reply_keeps_its_code() -> None:
    """As the server says it."""
    server = ScriptedServer(lambda *_: Plan(error_code="queue_full"))
    (record,) = await play(server, session(Turn(input_tokens=1), Turn(input_tokens=1)))
    assert (record.finish, record.error_code) == ("error", "queue_full")


async def test_a_line_that_died_between_two_turns_ends_the_next_one() -> None:
    """The server has gone meanwhile; the second question is an error and not a wait."""
    server = ScriptedServer(lambda *_: Plan())
    turns = [Turn(input_tokens=1, after="final"), Turn(input_tokens=1, after="final", think_s=0.5)]
    sessions = [session(*turns)]
    async with server.serve() as url:
        target = KaiwaTarget(Access(url), KaiwaOptions("aoi"), retry_s=(0.01, 0.01))
        driver = Driver(sessions, texts_of(sessions), target, starts_at=time.monotonic())
        running = asyncio.create_task(driver.run())
        await until(lambda: any(one.ended_at for one in server.did.values()))
    first, second = await asyncio.wait_for(running, 20)
    assert first.finish == "stop"
    assert (second.finish, second.error_code) == ("error", "connect_failed")


class Babbling(ScriptedServer):
    """Greets with bytes that are no text."""

    async def _talk(self, socket: ServerConnection) -> None:
        await socket.send(b'{"type": "session.created", "event_id": "\xff"}')
        await socket.wait_closed()


async def test_what_cannot_be_read_ends_the_reply_at_once() -> None:
    """And not when it times out."""
    (record,) = await play(Babbling(lambda *_: Plan()), session())
    assert record.error_code == "unreadable_event"


class Swallowing(ScriptedServer):
    """Loses its first socket with the first question, which it never reads."""

    has_lost = False

    async def _talk(self, socket: ServerConnection) -> None:
        if self.has_lost:
            await super()._talk(socket)
            return
        self.has_lost = True
        session = self._sessions["s0"] = _Session("s0", socket=socket)
        self._greet(session, resumed=False)
        await socket.recv()  # the settings
        socket.transport.abort()


async def test_what_got_lost_with_its_socket_is_said_again() -> None:
    """Once; nobody would ever answer it otherwise."""
    server = Swallowing(lambda *_: Plan((0.0, 0.0)))
    (record,) = await play(server, session(Turn(input_tokens=1)))
    assert (record.finish, record.num_resumes, server.said) == ("stop", 1, ["a 0"])
    assert list(server.did) == [("Aoi", 0)]  # and so are the settings


class Forgetful(ScriptedServer):
    """Forgets a session when its socket is lost."""

    async def _talk(self, socket: ServerConnection) -> None:
        await super()._talk(socket)
        self._sessions.clear()


async def test_a_conversation_that_was_lost_between_two_turns_is_not_gone_on_with() -> None:
    """Its next question would be the first of another; it is an error, and never sent."""
    server = Forgetful(lambda *_: Plan((0.0,)))
    dropped = Turn(input_tokens=1, after="final", faults=(Fault(0.2, "drop"),))
    later = Turn(input_tokens=1, after="final", think_s=0.6)
    first, second = await play(server, session(dropped, later))
    assert (first.finish, second.error_code) == ("stop", "session_not_resumed")
    assert len(server.said) == 1


async def test_a_server_that_is_not_there_is_an_error_of_each_session() -> None:
    """After some tries; nothing hangs."""
    target = KaiwaTarget(Access("ws://127.0.0.1:9/v1/realtime"), KaiwaOptions("aoi"))
    sessions = [session()]
    starts_at = time.monotonic()
    driver = Driver(sessions, texts_of(sessions), target, starts_at=starts_at)
    (record,) = await asyncio.wait_for(driver.run(), 30)
    assert (record.finish, record.error_code) == ("error", "connect_failed")
