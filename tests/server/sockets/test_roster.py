"""The roster finds the session that a client comes back to, and lets go of all others."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from server.auth.authenticator import Credential
from server.auth.keys import ANONYMOUS, ApiKey, digest_of
from server.characters.catalog import Catalog
from server.characters.character import Character
from server.config_loader import load_settings
from server.errors import ProtocolError, StoreUnavailable
from server.protocol.close_codes import CloseCode
from server.sockets.admission import Admission
from server.sockets.roster import Roster
from server.state import ServerState
from server.store.interface import StoredConversation
from server.store.memory_store import InMemoryStore
from tests.server.sockets.stage import ASK
from tests.support.fake_engine import FakeEngine
from tests.support.fake_socket import FakeSocket


class House:
    """A roster, and whoever rings."""

    def __init__(self, engine: FakeEngine | None = None, **settings: object) -> None:
        self.engine = engine or FakeEngine()
        catalog = Catalog("fake", [Character.from_prompt("aoi", "You are Aoi.")])
        paths = {name.replace("__", ".", 1): value for name, value in settings.items()}
        loaded = load_settings(command_line=paths)
        self.state = ServerState(settings=loaded.settings, catalog=catalog, engine=self.engine)
        self.state.store = InMemoryStore(max_conversations=9, max_bytes=10**6)
        self.roster = Roster(self.state)

    async def ring(
        self,
        principal: str = "mio",
        address: str = "10.0.0.1",
        socket: FakeSocket | None = None,
        **query: str,
    ) -> tuple[FakeSocket, asyncio.Task[None]]:
        """Connect, and wait for the greeting."""
        credential = Credential(principal=principal)
        return await self._greeted(credential, address, query, socket or FakeSocket())

    async def come(self, key: str, **query: str) -> tuple[FakeSocket, asyncio.Task[None]]:
        """The same with a key, at 100 s."""
        credential = self.state.auth.authenticate(key, 100.0)
        return await self._greeted(credential, "10.0.0.1", query, FakeSocket())

    async def _greeted(
        self, credential: Credential, address: str, query: Mapping[str, str], socket: FakeSocket
    ) -> tuple[FakeSocket, asyncio.Task[None]]:
        admission = Admission(credential, self.state.catalog.resolve("aoi"), query)
        task = asyncio.create_task(self.roster.serve_socket(socket, admission, address))
        await socket.until("session.created")
        await asyncio.sleep(0.01)
        return socket, task

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.state.metrics.registry.get_sample_value(name, labels) or 0.0


async def leave(socket: FakeSocket, task: asyncio.Task[None]) -> None:
    """Lose the socket."""
    socket.hang_up()
    await task


def session_of(socket: FakeSocket) -> Mapping[str, Any]:
    """What the greeting says."""
    session: Mapping[str, Any] = socket.sent[0]["session"]
    return session


def token_of(socket: FakeSocket) -> str:
    """How to come back."""
    return str(session_of(socket)["resume"]["token"])


async def test_a_token_leads_back() -> None:
    """To the same session, with another token, as often as one likes."""
    house = House()
    socket, task = await house.ring()
    session_id, tokens = session_of(socket)["id"], {token_of(socket)}
    for _ in range(3):
        await leave(socket, task)
        assert house.metric("kaiwa_sessions_parked") == 1
        socket, task = await house.ring(
            resume=token_of(socket), last_event_id=socket.sent[-1]["event_id"]
        )
        assert session_of(socket)["id"] == session_id
        tokens.add(token_of(socket))
    assert len(tokens) == 4
    assert (len(house.roster), house.metric("kaiwa_sessions_parked")) == (1, 0)
    assert house.metric("kaiwa_resume_total", result="resumed") == 3


async def test_a_token_is_good_once() -> None:
    """Once the next greeting has arrived, the one before leads nowhere."""
    house = House()
    socket, task = await house.ring()
    first = token_of(socket)
    await leave(socket, task)
    socket, task = await house.ring(resume=first)
    await leave(socket, task)
    other, _ = await house.ring(resume=first)
    assert session_of(other)["id"] != session_of(socket)["id"]
    assert other.sent[1]["error"]["code"] == "session_not_resumed"


async def test_a_token_is_nobody_elses() -> None:
    """Another key gets a new session, and the answer of a token that never was."""
    house = House()
    socket, task = await house.ring("mio")
    await leave(socket, task)
    thief, _ = await house.ring("kei", resume=token_of(socket))
    stranger, _ = await house.ring("kei", resume="res_garbage")
    assert session_of(thief)["id"] != session_of(socket)["id"]
    assert thief.sent[1]["error"] == stranger.sent[1]["error"]
    assert house.metric("kaiwa_resume_total", result="foreign") == 1
    assert house.metric("kaiwa_resume_total", result="unknown") == 1


async def test_a_socket_that_is_still_open_is_taken_over() -> None:
    """The newest wins, the old one is closed with 4409, and the session lives on."""
    house = House()
    old, old_task = await house.ring()
    new, _ = await house.ring(resume=token_of(old))
    await old_task
    assert old.closed is not None
    assert old.closed[0] == CloseCode.REPLACED
    for event in ASK:
        new.send(event)
    await new.until("response.done")
    assert len(house.roster) == 1


async def test_after_the_window_the_conversation_is_still_there() -> None:
    """The session is a new one, but the token still names what was said."""
    house = House(resume__window_s=5.0)
    socket, task = await house.ring()
    for event in ASK:
        socket.send(event)
    await socket.until("response.done")
    await leave(socket, task)
    await asyncio.sleep(6)
    assert (len(house.roster), house.metric("kaiwa_sessions_parked")) == (0, 0)
    again, _ = await house.ring(resume=token_of(socket))
    assert again.sent[1]["error"]["code"] == "session_not_resumed"
    assert session_of(again)["conversation"]["id"] == session_of(socket)["conversation"]["id"]
    assert session_of(again)["conversation"]["num_items"] == 2


async def test_whoever_has_most_that_waits_gives_up_the_oldest() -> None:
    """The number of sessions that wait is bounded, and one client does not push out another."""
    house = House(resume__max_parked=3)
    sockets = []
    for principal in ("kei", "mio", "mio", "mio", "mio"):
        socket, task = await house.ring(principal)
        await leave(socket, task)
        sockets.append((principal, socket))
    assert len(house.roster) == 3
    back = []
    for principal, socket in sockets:
        again, _ = await house.ring(principal, resume=token_of(socket))
        back.append(session_of(again)["id"] == session_of(socket)["id"])
    assert back == [True, False, False, True, True]


async def test_while_draining_a_token_leads_back_and_nothing_begins() -> None:
    """A reply that runs is heard to its end over another socket; a void token is sent home."""
    house = House(FakeEngine(reply="Hello there.", step_s=0.1))
    socket, task = await house.ring()
    for event in ASK:
        socket.send(event)
    last = await socket.until("response.output_text.delta")
    await leave(socket, task)
    house.state.is_draining = True
    again, _ = await house.ring(resume=token_of(socket), last_event_id=last["event_id"])
    assert (await again.until("response.done"))["response"]["status"] == "completed"
    stranger = FakeSocket()
    admission = Admission(
        Credential(principal="mio"), house.state.catalog.resolve("aoi"), {"resume": "res_x"}
    )
    await house.roster.serve_socket(stranger, admission, "10.0.0.1")
    assert (stranger.close_code, stranger.sent) == (CloseCode.SERVICE_RESTART, [])
    assert len(house.roster) == 1


class DeadLine(FakeSocket):
    """Takes its time to be closed."""

    async def close(self, code: int, reason: str) -> None:
        await asyncio.sleep(5)
        await super().close(code, reason)


async def test_a_session_waits_once_whichever_of_its_sockets_ends_last() -> None:
    """Two sockets of one session, from two addresses; the first is still being closed."""
    house = House(resume__max_parked=1)
    old, old_task = await house.ring(ANONYMOUS, "10.0.0.1", socket=DeadLine())
    new, task = await house.ring(ANONYMOUS, "10.0.0.2", resume=token_of(old))
    await leave(new, task)
    await old_task
    again, task = await house.ring(ANONYMOUS, "10.0.0.2", resume=token_of(new))
    assert session_of(again)["id"] == session_of(old)["id"]
    house.roster.recheck(0.0)
    again.send(b"binary ends it")
    await task
    assert len(house.roster) == 0
    for address in ("10.0.0.3", "10.0.0.4"):
        await leave(*await house.ring(ANONYMOUS, address))
    assert (len(house.roster), house.metric("kaiwa_sessions_parked")) == (1, 1)


async def test_everybody_hears_that_the_server_goes_away() -> None:
    """Those who asked for the extension's events, that is."""
    house = House()
    told, _ = await house.ring(events="character.v1")
    other, _ = await house.ring()
    house.roster.go_away(30.0)
    event = told.sent[-1]
    assert (event["type"], event["time_left_ms"]) == ("character.session.going_away", 30_000)
    assert other.kinds == ["session.created"]


async def test_everybody_hears_that_the_engine_is_restarted() -> None:
    """Those who asked for it, and whoever comes meanwhile; replies go on after."""
    engine = FakeEngine()
    house = House(engine)
    engine.add_status_listener(house.roster.tell_of_engine)
    told, _ = await house.ring(events="character.v1")
    other, _ = await house.ring()
    engine.stumble()
    late, _ = await house.ring(events="character.engine")
    engine.rise()
    engine.die()
    for socket in (told, late):
        news = [event["status"] for event in socket.sent if event["type"] == "character.engine"]
        assert news == ["recovering", "ready"]
    assert other.kinds == ["session.created"]


async def test_the_end_is_for_everybody() -> None:
    """With a socket or without, replies end, and nothing is left."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.1)
    house = House(engine)
    here, _ = await house.ring()
    gone, task = await house.ring()
    for socket in (here, gone):
        for event in ASK:
            socket.send(event)
        await socket.until("response.output_text.delta")
    await leave(gone, task)
    assert house.roster.num_replies == 2
    error = ProtocolError("server_draining", "later")
    await house.roster.close_all(CloseCode.SERVICE_RESTART, "bye", error)
    await asyncio.sleep(1)
    assert here.closed == (CloseCode.SERVICE_RESTART, "bye")
    assert (len(house.roster), house.roster.num_replies, engine.num_live) == (0, 0, 0)


KEYS = [
    ApiKey(name="mio", digest=digest_of("kw_mio"), expires=200.0),
    ApiKey(name="eve", digest=digest_of("kw_eve")),
]


async def test_a_session_ends_when_its_key_does() -> None:
    """In the middle of a reply, which ends with the reason; others go on."""
    house = House(FakeEngine(reply="word " * 100, step_s=1.0))
    house.state.auth.replace_keys(KEYS)
    mio, eve = await house.come("kw_mio"), await house.come("kw_eve")
    for socket, _ in (mio, eve):
        for event in ASK:
            socket.send(event)
        await socket.until("response.output_text.delta")
    house.roster.recheck(199.9)
    assert len(house.roster) == 2
    house.roster.recheck(200.0)
    await mio[1]
    assert mio[0].close_code == CloseCode.AUTHENTICATION_ENDED
    done = mio[0].sent[-1]
    assert (done["type"], done["response"]["status"]) == ("response.done", "failed")
    assert done["response"]["status_details"]["error"]["code"] == "api_key_ended"
    assert (len(house.roster), eve[0].close_code) == (1, None)
    await leave(*eve)


async def test_the_greeting_says_when_the_key_ends_the_session() -> None:
    """Where that is sooner than its longest time."""
    house = House()
    house.state.auth.replace_keys(KEYS)
    for key, is_bounded in (("kw_mio", True), ("kw_eve", False)):
        socket, task = await house.come(key)
        assert (session_of(socket)["expires_at"] == 200) is is_bounded
        await leave(socket, task)


async def test_a_parked_session_ends_with_its_key_too() -> None:
    """Its token leads nowhere, whichever key comes with it."""
    house = House()
    house.state.auth.replace_keys(KEYS)
    socket, task = await house.come("kw_mio")
    await leave(socket, task)
    house.roster.recheck(200.0)
    assert (len(house.roster), house.metric("kaiwa_sessions_parked")) == (0, 0)
    renewed = ApiKey(name="mio", digest=digest_of("kw_mio-2"))
    house.state.auth.replace_keys([*KEYS, renewed])
    again, task = await house.come("kw_mio-2", resume=token_of(socket))
    assert session_of(again)["id"] != session_of(socket)["id"]
    await leave(again, task)


async def test_who_comes_back_with_a_new_key_lasts_as_long_as_that() -> None:
    """The key of the last socket counts, not the first one's."""
    house = House()
    house.state.auth.replace_keys([*KEYS, ApiKey(name="mio", digest=digest_of("kw_mio-2"))])
    socket, task = await house.come("kw_mio")
    await leave(socket, task)
    again, task = await house.come("kw_mio-2", resume=token_of(socket))
    assert session_of(again)["id"] == session_of(socket)["id"]
    house.roster.recheck(200.0)
    assert again.close_code is None
    await leave(again, task)


class AwayStore(InMemoryStore):
    """Cannot be read."""

    async def take_over(
        self, principal: str, conversation_id: str, writer: str
    ) -> StoredConversation:
        raise StoreUnavailable("the disk fails")


async def test_a_conversation_that_cannot_be_read_now_is_not_begun_anew() -> None:
    """The client is sent away to try again, or it would go on without what was said."""
    house = House()
    house.state.store = AwayStore(max_conversations=9, max_bytes=10**6)
    socket = FakeSocket()
    query = {"conversation": "conv_1"}
    admission = Admission(Credential(principal="mio"), house.state.catalog.resolve("aoi"), query)
    await house.roster.serve_socket(socket, admission, "10.0.0.1")
    assert socket.close_code == CloseCode.TRY_AGAIN_LATER
    assert len(house.roster) == 0


TURN: dict[str, Any] = {"type": "response.create", "response": {"turn_id": "turn-7"}}


def conversation_of(socket: FakeSocket) -> str:
    """Its name."""
    return str(session_of(socket)["conversation"]["id"])


async def test_who_goes_on_with_a_conversation_takes_it_over() -> None:
    """The other socket is told and closed with 4409; what was said there is there, once."""
    house = House(FakeEngine(reply="x" * 1000, step_s=0.1))
    old, old_task = await house.ring()
    old.send(ASK[0])
    old.send(TURN)
    await old.until("response.output_text.delta", 3)
    new, _ = await house.ring(conversation=conversation_of(old))
    await old_task
    assert old.closed is not None
    assert old.closed[0] == CloseCode.REPLACED
    done = (await old.until("response.done"))["response"]
    assert done["status_details"]["error"]["code"] == "conversation_taken_over"
    assert (await old.until("error"))["error"]["code"] == "conversation_taken_over"
    assert (len(house.roster), house.roster.num_replies) == (1, 0)
    assert session_of(new)["conversation"] == {"id": conversation_of(old), "num_items": 2}
    house.engine.reply = "Done."
    new.send(TURN)
    await new.until("response.done")
    assert house.state.store is not None
    stored = await house.state.store.load("mio", conversation_of(old))
    assert [getattr(entry.item, "status", None) for entry in stored.entries] == [
        "completed",
        "incomplete",
        "completed",
    ]


async def test_a_conversation_is_taken_over_from_who_waits() -> None:
    """A parked session that still writes stops, and the reply is not written twice."""
    house = House(FakeEngine(reply="x" * 1000, step_s=0.1))
    old, task = await house.ring()
    for event in ASK:
        old.send(event)
    await old.until("response.output_text.delta")
    await leave(old, task)
    new, _ = await house.ring(conversation=conversation_of(old))
    assert session_of(new)["conversation"]["num_items"] == 2
    assert (len(house.roster), house.roster.num_replies) == (1, 0)
    again, _ = await house.ring(resume=token_of(old))
    assert again.sent[1]["error"]["code"] == "session_not_resumed"
    assert (new.close_code, len(house.roster)) == (CloseCode.REPLACED, 1)


async def test_of_two_that_take_over_at_once_one_has_the_conversation() -> None:
    """The other hears so at its first word, which is not kept."""
    house = House()
    old, task = await house.ring()
    for event in ASK:
        old.send(event)
    await old.until("response.done")
    await leave(old, task)
    name = conversation_of(old)
    pair = await asyncio.gather(*(house.ring(conversation=name) for _ in range(2)))
    for socket, _ in pair:
        socket.send(ASK[0])
    await asyncio.sleep(1)
    assert [socket.close_code for socket, _ in pair].count(CloseCode.REPLACED) == 1
    assert house.state.store is not None
    assert len((await house.state.store.load("mio", name)).entries) == 3


async def test_nobody_takes_over_what_is_not_theirs_or_not_kept() -> None:
    """A stranger who knows the name, and whoever asks for one in which nothing was said."""
    house = House()
    silent, _ = await house.ring()
    busy, _ = await house.ring()
    busy.send(ASK[0])
    await busy.until("conversation.item.done")
    for principal, socket in (("eve", busy), ("mio", silent)):
        other, _ = await house.ring(principal, conversation=conversation_of(socket))
        assert other.sent[1]["error"]["code"] == "conversation_not_found"
        assert socket.close_code is None
