"""Two clients live one life, but one of them loses sockets now and then: both hear the same.

Hypothesis makes up what is said and written, when sockets are lost, and how far back the client has
to begin; the loop's clock stands still unless it is moved. Everything is derandomised.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.protocol.event_ids import EventIds
from server.store.interface import Write
from server.store.memory_store import InMemoryStore
from tests.server.sockets.stage import Stage
from tests.support.fake_engine import FakeEngine
from tests.support.fake_socket import FakeSocket
from tests.support.machines import run_machine
from tests.support.virtual_clock import VirtualClockLoop

Event = dict[str, Any]

IDS = EventIds("sess_1")
NEWS = ("session.created", "character.session.resumed")
"""Greetings of a socket, not part of what was said."""
DELTAS = ("response.output_text.delta", "response.function_call_arguments.delta")
TOOL = {"type": "function", "name": "f"}
PIECES = ["Hello", " there", ". ", "葵", "<tool_call>", '{"name": "f", "arguments": {"a": 1', "}}"]
PIECES += ["</tool_call>", "\n"]
SETTINGS: dict[str, object] = {
    "limits.messages_per_s": 10**6,
    "limits.message_burst": 10**6,
    "resume.detach_grace_s": 3000,
    "resume.window_s": 3600,
}
index = st.integers(0, 7)
texts = st.sampled_from(["hi", "葵、hi", "x" * 60])


class DictatedEngine(FakeEngine):
    """Says what it is told to say, when it is told to."""

    def _run_step(self) -> None:
        self._timer = None

    def dictate(self, request_id: str, text: str, reason: FinishReason | None) -> None:
        """Have one request written on, or ended."""
        live = self._live.get(request_id)
        if live is None:
            return
        live.position += 1
        if reason is not None:
            del self._live[request_id]
        delta = RequestDelta(request_id, text, [7], reason, num_output_tokens=live.position)
        live.listener(delta)


class PatientStore(InMemoryStore):
    """Says that writes are safe when it is told to."""

    def __init__(self) -> None:
        super().__init__(max_conversations=10, max_bytes=10**6)
        self.is_slow = False
        self.waiting: list[asyncio.Future[None]] = []

    def append(self, write: Write) -> asyncio.Future[None] | None:
        super().append(write)
        if not self.is_slow:
            return None
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]

    def catch_up(self) -> None:
        """Everything is safe."""
        for written in self.waiting:
            written.set_result(None)
        self.waiting = []


@dataclass
class View:
    """What one client has.

    Attributes:
        events: All that it has heard and not forgotten.
        is_whole: Whether nothing is missing from them.
    """

    events: list[Event] = field(default_factory=list)
    is_whole: bool = True
    num_heard: int = 0  # of the present socket's
    base: int = 0  # number before the first of the events
    confirmed: int = 0  # the last number that the server was told of
    gap_at: int = 0  # number of the greeting that told of the last gap

    @property
    def last(self) -> int:
        """The last number that it has seen."""
        return self.base + len(self.events)

    def hear(self, socket: FakeSocket) -> None:
        """Take what has come; numbers rise by one, whatever happens to sockets."""
        for event in socket.sent[self.num_heard :]:
            assert event["event_id"] == IDS.name(self.last + 1)
            self.events.append(event)
        self.num_heard = len(socket.sent)

    def go_back(self, after: int, *, has_gap: bool) -> None:
        """Know nothing behind a place; with a gap, nothing at all, as all is told anew."""
        self.num_heard, self.confirmed = 0, after
        self.events = [] if has_gap else self.events[: after - self.base]
        if has_gap:
            self.base, self.gap_at, self.is_whole = after, after + 1, False

    def stream(self) -> list[Event]:
        """What was said, however it was cut."""
        said: list[Event] = []
        for event in self.events:
            told = {key: value for key, value in event.items() if key != "event_id"}
            last = said[-1] if said else {}
            if event["type"] in NEWS:
                continue
            if event["type"] in DELTAS and same_text(last, told):
                said[-1] = {**last, "delta": last["delta"] + told["delta"]}
            else:
                said.append(told)
        return said

    def items(self) -> dict[str, str]:
        """Words of each item that is there."""
        words: dict[str, str] = {}
        for event in self.events:
            item = event.get("item", {})
            match event["type"]:
                case "conversation.item.added":
                    words[item["id"]] = words_of(item)
                case "conversation.item.done":
                    assert words[item["id"]] == words_of(item)
                case "conversation.item.deleted":
                    words.pop(event["item_id"], None)
                case "conversation.item.truncated":
                    words[event["item_id"]] = words[event["item_id"]][: event["text_end"]]
                case kind if kind in DELTAS and event["item_id"] in words:
                    words[event["item_id"]] += event["delta"]
        return words


def same_text(first: Event, second: Event) -> bool:
    """Whether two events are deltas of one text."""
    keys = ("type", "item_id")
    return all(first.get(key) == second.get(key) for key in keys)


def words_of(item: Event) -> str:
    """Of a message or a call."""
    if item["type"] == "message":
        return "".join(part["text"] for part in item["content"])
    return str(item["arguments"])


class ResumeMachine(RuleBasedStateMachine):
    """Both clients, and all around them."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = VirtualClockLoop()
        self.is_there = True  # the one that loses its sockets has one
        self.ended: set[str] = set()
        self.view, self.twins_view = View(), View()

    @initialize(is_slow=st.booleans())
    def connect(self, is_slow: bool) -> None:
        """Both come; where the store is slow, it is so for both."""

        async def connect() -> None:
            self.stores = [PatientStore(), PatientStore()]
            self.one, self.twin = (
                Stage(DictatedEngine(), SETTINGS, store) for store in self.stores
            )
            for store in self.stores:
                store.is_slow = is_slow

        self._run(connect)
        self._say({"type": "session.update", "session": {"tools": [TOOL]}})

    # What both do.

    @precondition(lambda self: self.is_there)
    @rule(text=texts)
    def put_item(self, text: str) -> None:
        """Somebody says something."""
        content = [{"type": "input_text", "text": text}]
        item = {"type": "message", "role": "user", "content": content}
        self._say({"type": "conversation.item.create", "item": item})

    @precondition(lambda self: self.is_there)
    @rule(
        if_active=st.sampled_from(["error", "queue", "interrupt"]),
        conversation=st.sampled_from(["auto", "auto", "none"]),
    )
    def ask(self, if_active: str, conversation: str) -> None:
        """A reply is asked for."""
        wish = {"if_active": if_active, "conversation": conversation}
        self._say({"type": "response.create", "response": wish})

    @precondition(lambda self: self.is_there)
    @rule(which=index, what=st.sampled_from(["delete", "truncate", "retrieve", "cancel"]))
    def touch(self, which: int, what: str) -> None:
        """Something is changed, asked for, or called off."""
        if what == "cancel":
            self._say({"type": "response.cancel"})
            return
        ids = [*self.twin.session.conversation.item_ids, "nowhere"]
        event: Event = {"type": f"conversation.item.{what}", "item_id": ids[which % len(ids)]}
        self._say(event | ({"text_end": 2} if what == "truncate" else {}))

    @rule(words=st.lists(st.sampled_from(PIECES), min_size=1, max_size=5), which=index)
    def write(self, words: list[str], which: int) -> None:
        """The engine writes for both."""
        for text in words:
            self._dictate(which, text, None)

    @rule(which=index, reason=st.sampled_from([FinishReason.STOP, *FinishReason]))
    def end(self, which: int, reason: FinishReason) -> None:
        """A request ends for both."""
        self._dictate(which, "", reason)

    @rule()
    def let_the_store_catch_up(self) -> None:
        """What was written is safe."""
        self._run(self._catch_up)

    # What happens to one alone.

    @precondition(lambda self: self.is_there)
    @rule()
    def lose_the_socket(self) -> None:
        """Nobody knows how much of what was written has arrived."""
        self.is_there = False
        self.one.socket.hang_up()
        self._run()

    @rule(num_lost=st.integers(0, 30))
    def come_back(self, num_lost: int) -> None:
        """From any place, over another socket, whether or not the old one is gone."""
        after = max(self.view.base, self.view.last - num_lost, 1)
        # It had said that it had seen more, or has not heard of the last gap.
        has_gap = after < max(self.view.confirmed, self.view.gap_at)
        self.view.go_back(after, has_gap=has_gap)
        self._come_back(IDS.name(after))
        assert self.one.socket.sent[0]["session"]["resume"]["gap"] is has_gap

    @rule(place=st.sampled_from([None, "evt_sess_0_1", IDS.name(10**9)]))
    def come_back_from_nowhere(self, place: str | None) -> None:
        """A client that does not know where it was is told what there is."""
        self._come_back(place)
        number = IDS.number(self.one.socket.sent[0]["event_id"])
        assert number is not None
        self.view.go_back(number - 1, has_gap=True)
        assert self.one.socket.sent[0]["session"]["resume"]["gap"] is True

    @precondition(lambda self: self.is_there)
    @rule(is_slow=st.booleans())
    def read(self, is_slow: bool) -> None:
        """The client is slow, or catches up."""
        if is_slow:
            self.one.socket.buffer = 10**5
        else:
            self.one.socket.drain()

    @invariant()
    def both_have_heard_the_same(self) -> None:
        """Whenever one of them has caught up."""
        if not hasattr(self, "twin"):
            return
        self.twins_view.hear(self.twin.socket)
        if not self.is_there:
            return
        self.view.hear(self.one.socket)
        if self.one.socket.buffer:
            return
        if self.view.is_whole:
            assert self.view.stream() == self.twins_view.stream()
        else:
            self._compare_items()

    @rule()
    def settle(self) -> None:
        """Nothing waits any more: both know of all that there is."""
        if not self.is_there:
            self.come_back(0)
        self.one.socket.drain()
        self._run(self._catch_up)
        self.both_have_heard_the_same()
        self._compare_items()
        for stage in (self.one, self.twin):
            assert list(self.view.items()) == stage.session.conversation.item_ids

    def teardown(self) -> None:
        """All comes to an end, and nothing is left behind."""
        if hasattr(self, "twin"):
            self._run(self._leave)
        self.loop.close()

    def _compare_items(self) -> None:
        """Items that wait for the store are not told yet, but with a gap."""
        if not self.stores[0].waiting:
            assert self.view.items() == self.twins_view.items()

    async def _leave(self) -> None:
        for stage in (self.one, self.twin):
            stage.socket.hang_up()
            await stage.running
            stage.live.end()
            stage.live._journal.check_integrity()
        await self._catch_up()
        for stage in (self.one, self.twin):
            await stage.engine.aclose()
            assert len(stage.live.replies) == 0

    async def _catch_up(self) -> None:
        for store in self.stores:
            store.catch_up()

    def _come_back(self, place: str | None) -> None:
        async def come_back() -> None:
            self.one.come_back(place)

        self._run(come_back)
        self.is_there = True
        greeting = self.one.socket.sent[0]
        assert greeting["type"] == "session.created"
        assert greeting["session"]["resume"]["resumed"] is True

    def _say(self, event: Event) -> None:
        for stage in (self.one, self.twin):
            stage.socket.send(event)
        self._run()

    def _dictate(self, which: int, text: str, reason: FinishReason | None) -> None:
        requests = list(self.twin.engine.prompts)[-3:]
        if not requests:
            return

        async def dictate() -> None:
            for stage in (self.one, self.twin):
                assert isinstance(stage.engine, DictatedEngine)
                stage.engine.dictate(requests[-1 - which % len(requests)], text, reason)

        self._run(dictate)

    def _run(self, act: Callable[[], Awaitable[None]] | None = None) -> None:
        """Do something, and let everything settle; no time passes."""

        async def run() -> None:
            if act is not None:
                await act()
            for _ in range(12):
                await asyncio.sleep(0)

        self.loop.run_until_complete(run())


def test_a_client_that_loses_sockets_hears_what_any_other_hears() -> None:
    """A few short lives, each time."""
    run_machine(ResumeMachine, num_sequences=20, num_steps=10)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_many_clients_that_lose_sockets_hear_what_any_other_hears() -> None:
    """Many longer ones."""
    run_machine(ResumeMachine, num_sequences=250, num_steps=40)
