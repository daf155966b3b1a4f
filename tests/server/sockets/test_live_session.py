"""A live session carries out what its session decides, with a socket and without, and cleans up."""

from __future__ import annotations

import asyncio
import copy
import logging
import time
from collections.abc import Sequence
from typing import Any

import pytest

from engine.chat_template import ChatMessage
from engine.tool_dialect import Tool
from server.errors import ProtocolError, StoreFailed
from server.prompt_threads import MAX_PROMPT_THREADS
from server.protocol.character_events import CharacterSessionExpiring
from server.protocol.close_codes import CloseCode
from server.store.interface import Write
from server.store.memory_store import InMemoryStore
from tests.server.sockets.stage import ASK, Stage, stage
from tests.support.fake_engine import FakeEngine, FakeTokenizer


async def test_it_greets_and_answers() -> None:
    """The first event greets, and a reply comes with ids that rise by one."""
    async with stage() as one:
        one.ask()
        await one.socket.until("response.done")
        assert one.socket.kinds[0] == "session.created"
        ids = [int(event["event_id"].rpartition("_")[2]) for event in one.socket.sent]
        assert ids == list(range(1, len(ids) + 1))


async def test_the_prompt_goes_through_the_template() -> None:
    """The engine gets the character's words, the user's, and the opening of a reply."""
    async with stage() as one:
        one.ask()
        await one.socket.until("response.done")
        (prompt,) = one.engine.prompts.values()
        messages = [ChatMessage("system", "You are Aoi."), ChatMessage("user", "secret words")]
        assert prompt == FakeTokenizer().encode_chat(messages)


async def test_deltas_merge_while_the_reader_is_behind() -> None:
    """With a full transport nothing is written; afterwards the text comes in one delta."""
    async with stage() as one:
        await one.socket.until("session.created")
        one.socket.buffer = 10**5
        one.ask()
        await asyncio.sleep(1)
        assert one.engine.prompts
        assert one.engine.num_live == 0
        assert one.socket.kinds == ["session.created"]
        one.socket.drain()
        assert one.socket.kinds.count("response.output_text.delta") == 1
        ids = [int(event["event_id"].rpartition("_")[2]) for event in one.socket.sent]
        assert ids == list(range(1, len(ids) + 1))


async def test_a_stalled_reader_is_cut_off() -> None:
    """The watch aborts the socket; the session waits for a reader that reads."""
    engine = FakeEngine(reply="x" * 50, step_s=0.1)
    async with stage(engine) as one:
        one.ask()
        await one.socket.until("response.output_text.delta")
        one.socket.buffer = 10**5
        for second in range(30):
            one.live.watch(float(second))
        assert one.socket.is_aborted
        await one.running
        assert one.live.parked_since is not None
        assert one.metric("kaiwa_ws_closes_total", code="4408") == 1


async def test_a_cancel_beats_a_prompt_that_is_still_being_built() -> None:
    """A request called off while its prompt is made is never submitted."""
    async with stage(limits__inline_prompt_chars=0) as one:
        for event in [*ASK, {"type": "response.cancel"}]:
            one.socket.send(event)
        done = await one.socket.until("response.done")
        assert done["response"]["status"] == "cancelled"
        await asyncio.sleep(1)
        assert one.engine.prompts == {}
        assert one.metric("kaiwa_request_unfinished_total", finished_reason="abort") == 1


class CountingTokenizer(FakeTokenizer):
    """Takes its time, and counts how many threads are in it at once."""

    def __init__(self) -> None:
        self.num_inside = self.most_inside = 0

    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> list[int]:
        self.num_inside += 1
        self.most_inside = max(self.most_inside, self.num_inside)
        time.sleep(0.01)
        self.num_inside -= 1
        return super().encode_chat(
            messages, tools=tools, add_generation_prompt=add_generation_prompt
        )


class CountingEngine(FakeEngine):
    """Has one such tokenizer."""

    counting = CountingTokenizer()

    @property
    def tokenizer(self) -> FakeTokenizer:
        return self.counting


async def test_few_long_prompts_are_built_at_once() -> None:
    """However many are asked for, the processors are not taken from the engine's steps."""
    engine = CountingEngine()
    async with stage(engine, limits__inline_prompt_chars=0) as one:
        for _ in range(4):
            ask = {"type": "response.create", "response": {"conversation": "none"}}
            one.socket.send(ask)
        while one.socket.kinds.count("response.done") < 4:  # noqa: ASYNC110
            await asyncio.sleep(0)  # threads know no virtual clock
    assert 1 <= engine.counting.most_inside <= MAX_PROMPT_THREADS


async def test_a_prompt_too_long_fails_the_reply() -> None:
    """The response ends as failed with the code, the session lives."""
    async with stage(limits__max_prompt_tokens=5) as one:
        one.ask()
        done = await one.socket.until("response.done")
        assert done["response"]["status_details"]["error"]["code"] == "context_length_exceeded"
        assert one.metric("kaiwa_admission_rejections_total", reason="context_length_exceeded") == 1


async def test_a_dead_engine_fails_the_reply() -> None:
    """What submit raises becomes the response's end."""
    async with stage(FakeEngine(is_alive=False)) as one:
        one.ask()
        done = await one.socket.until("response.done")
        assert done["response"]["status_details"]["error"]["code"] == "engine_dead"


async def test_a_fault_of_ours_costs_one_session(caplog: pytest.LogCaptureFixture) -> None:
    """An unexpected exception closes with 1011; the log has the place but not the words."""
    async with stage() as one:
        words = ASK[0]["item"]["content"][0]["text"]

        def broken(*_: object) -> list[object]:
            raise KeyError(words)

        one.session.receive = broken  # type: ignore[method-assign, assignment]
        one.ask()
        await one.running
        assert one.socket.closed is not None
        assert one.socket.closed[0] == CloseCode.INTERNAL_ERROR
        assert words not in caplog.text
        assert "test_live_session.py" in caplog.text


async def test_a_fault_in_a_delta_costs_one_session() -> None:
    """The engine's fan-out goes on."""
    engine = FakeEngine(reply="x" * 100, step_s=0.1)
    async with stage(engine) as one:

        def broken(*_: object) -> list[object]:
            raise RuntimeError

        one.session.receive_delta = broken  # type: ignore[method-assign, assignment]
        one.ask()
        await one.running
        assert one.socket.closed is not None
        assert one.socket.closed[0] == CloseCode.INTERNAL_ERROR
        assert engine.cancelled


async def test_closing_ends_what_runs_and_writes_what_was_kept() -> None:
    """Even to a slow reader every reply is ended before the close frame."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.1)
    async with stage(engine) as one:
        one.ask()
        await one.socket.until("response.output_text.delta")
        one.socket.buffer = 10**5
        await asyncio.sleep(1)
        error = ProtocolError("server_draining", "later")
        one.live.close(CloseCode.SERVICE_RESTART, "bye", error=error)
        assert one.socket.kinds[-1] == "response.done"
        assert one.socket.sent[-1]["response"]["status"] == "failed"
        await one.running
        assert one.socket.closed == (CloseCode.SERVICE_RESTART, "bye")


async def test_a_session_ends_at_its_maximum_age() -> None:
    """An hour after the greeting, with 1001 and a reason that says so."""
    async with stage() as one:
        await one.running
        assert asyncio.get_running_loop().time() == pytest.approx(3600, abs=1)
        assert one.socket.closed is not None
        assert one.socket.closed[0] == CloseCode.GOING_AWAY
        assert "60 minutes" in one.socket.closed[1]


async def test_each_reply_gets_one_line(caplog: pytest.LogCaptureFixture) -> None:
    """Ids and numbers, no word of anybody."""
    caplog.set_level(logging.INFO)
    async with stage() as one:
        one.ask()
        await one.socket.until("response.done")
    (line,) = [record for record in caplog.records if record.message == "response"]
    fields = vars(line)["kaiwa_fields"]
    assert fields["session"] == "sess_1"
    assert fields["finish_reason"] == "stop"
    assert fields["output_tokens"] == len("Hello there.")
    assert "secret" not in str(fields)
    assert "Hello" not in str(fields)


def numbers(events: Sequence[dict[str, Any]]) -> list[int]:
    """Those of the events' ids."""
    return [int(event["event_id"].rpartition("_")[2]) for event in events]


def text_of(events: Sequence[dict[str, Any]]) -> str:
    """What the deltas say."""
    return "".join(
        event["delta"] for event in events if event["type"] == "response.output_text.delta"
    )


async def begin(one: Stage) -> None:
    """Ask, and wait for the first words."""
    one.ask()
    await one.socket.until("response.output_text.delta", 3)


async def test_a_reply_goes_on_without_a_socket() -> None:
    """Who comes back gets the rest in one delta, and then what is new; numbers rise by one."""
    engine = FakeEngine(reply="la-" * 40, step_s=0.1)
    async with stage(engine) as one:
        await begin(one)
        first = list(one.socket.sent)
        one.socket.hang_up()
        await one.running
        await asyncio.sleep(3)
        socket = one.come_back(first[-1]["event_id"])
        await socket.until("response.done")
        assert text_of(first) + text_of(socket.sent) == "la-" * 40
        events = first + socket.sent
        assert numbers(events) == list(range(1, len(events) + 1))
        resume = socket.sent[0]["session"]["resume"]
        assert socket.sent[0]["type"] == "session.created"
        assert socket.sent[0]["session"]["id"] == "sess_1"
        assert (resume["token"], resume["resumed"], resume["gap"]) == ("token-2", True, False)
        assert resume["replayed"] == 1


async def test_what_was_lost_with_the_socket_is_told_again() -> None:
    """The client says what it has seen; the server does not go by what it wrote."""
    async with stage() as one:
        one.ask()
        await one.socket.until("response.done")
        first = one.socket.sent[:6]
        one.socket.hang_up()
        await one.running
        socket = one.come_back(first[-1]["event_id"])
        await socket.until("response.done")
        assert text_of(first) + text_of(socket.sent) == "Hello there."


async def test_a_greeting_is_told_on_its_own_socket_only() -> None:
    """One that was lost with a socket would come again with a token that is void."""
    async with stage() as one:
        one.ask()
        await one.socket.until("response.done")
        first = one.socket.sent[:6]
        for _ in range(3):
            socket = one.come_back(first[-1]["event_id"])
            await socket.until("response.done")
        assert [event["type"] for event in socket.sent].count("session.created") == 1
        assert text_of(first) + text_of(socket.sent) == "Hello there."


async def test_a_client_that_was_gone_for_long_finds_an_incomplete_reply() -> None:
    """After the grace the engine is freed; the reply's end is told to who comes back."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.1)
    async with stage(engine, resume__detach_grace_s=5.0) as one:
        await begin(one)
        last = one.socket.sent[-1]["event_id"]
        one.socket.hang_up()
        await one.running
        assert engine.num_live == 1
        await asyncio.sleep(6)
        assert engine.num_live == 0
        socket = one.come_back(last)
        done = await socket.until("response.done")
        (item,) = done["response"]["output"]
        assert item["status"] == "incomplete"
        assert len(item["content"][0]["text"]) > 40


async def test_a_session_waits_no_longer_than_its_window() -> None:
    """Then it has ended."""
    async with stage(resume__window_s=5.0) as one:
        one.socket.hang_up()
        await one.running
        await asyncio.sleep(4)
        assert one.live.parked_since is not None
        await asyncio.sleep(2)
        assert one.live.is_ended


async def test_nothing_is_held_ready_for_who_is_gone() -> None:
    """What was read ahead of a turn gives its place up with the socket, not with the window."""
    said = copy.deepcopy(ASK[0])
    said["item"]["content"][0]["text"] *= 20
    async with stage() as one:
        one.socket.send(said)
        await asyncio.sleep(1)
        assert one.engine.num_live == 1
        one.socket.hang_up()
        await asyncio.sleep(1)
        assert not one.live.is_ended
        assert one.engine.num_live == 0
        one.come_back(None).send(ASK[1])
        done = await one.socket.until("response.done")
        assert done["response"]["status"] == "completed"


async def test_coming_back_stops_the_clocks() -> None:
    """Neither the grace nor the window ends who is here."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.1)
    async with stage(engine, resume__detach_grace_s=5.0, resume__window_s=8.0) as one:
        await begin(one)
        one.socket.hang_up()
        await one.running
        one.come_back(None)
        await asyncio.sleep(20)
        assert engine.num_live == 1
        assert not one.live.is_ended


async def test_without_a_window_a_session_ends_with_its_socket() -> None:
    """And its replies too."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.1)
    async with stage(engine, resume__window_s=0.0) as one:
        await begin(one)
        one.socket.hang_up()
        await one.running
        assert one.live.is_ended
        assert len(engine.cancelled) == 1


async def test_the_newer_socket_wins() -> None:
    """One that is still open is closed for good; it neither hears nor says anything more."""
    engine = FakeEngine(reply="la-" * 40, step_s=0.1)
    async with stage(engine) as one:
        await begin(one)
        old, running = one.socket, one.running
        one.come_back(old.sent[-1]["event_id"])
        old.send({"type": "response.cancel"})
        await running
        assert old.closed is not None
        assert old.closed[0] == CloseCode.REPLACED
        done = await one.socket.until("response.done")
        assert done["response"]["status"] == "completed"
        assert text_of(old.sent) + text_of(one.socket.sent) == "la-" * 40


async def test_a_gap_is_told_with_the_items_as_they_are() -> None:
    """When too much was said meanwhile, the item comes whole and the end is told."""
    engine = FakeEngine(reply="la-" * 150, step_s=0.01)
    async with stage(engine, resume__max_told_bytes=4096) as one:
        await begin(one)
        last = one.socket.sent[-1]["event_id"]
        one.socket.hang_up()
        await one.running
        await asyncio.sleep(10)
        socket = one.come_back(last)
        done = await socket.until("response.done")
        assert socket.sent[0]["session"]["resume"]["gap"] is True
        added = next(e for e in socket.sent if e["type"] == "conversation.item.added")
        shown = added["item"]["content"][0]["text"]
        assert shown + text_of(socket.sent) == done["response"]["output"][0]["content"][0]["text"]


async def test_a_reply_goes_on_behind_a_gap() -> None:
    """The item is told as far as it is; the deltas that follow belong behind it."""
    engine = FakeEngine(reply="la-" * 150, step_s=0.01, obeys_max_tokens=False)
    async with stage(engine, resume__max_told_bytes=1024) as one:
        await begin(one)
        last = one.socket.sent[-1]["event_id"]
        one.socket.hang_up()
        await one.running
        await asyncio.sleep(2)
        socket = one.come_back(last)
        await socket.until("response.done")
        shown = [e for e in socket.sent if e["type"] == "conversation.item.added"]
        text = shown[-1]["item"]["content"][0]["text"]
        assert 0 < len(text) < 450
        assert text + text_of(socket.sent) == "la-" * 150


@pytest.mark.parametrize("cursor", ["evt_1_999", "evt_other_1", "garbage", "evt_1_-1"])
async def test_a_place_that_is_none_is_told(cursor: str) -> None:
    """With the value; the client is treated as one that does not know its place."""
    async with stage() as one:
        one.ask()
        await one.socket.until("response.done")
        one.socket.hang_up()
        await one.running
        socket = one.come_back(cursor)
        error = (await socket.until("error"))["error"]
        assert (error["code"], error["param"]) == ("invalid_value", "last_event_id")
        assert cursor in error["message"]
        assert socket.kinds.count("conversation.item.done") == 2
        assert socket.kinds.count("response.done") == 1


async def test_nobody_is_spoken_to_who_is_not_there() -> None:
    """A character that would break the silence waits until its listener is back."""
    async with stage() as one:
        one.ask()
        await one.socket.until("response.done")
        proactive = {"idle_ms": 5000, "max_per_hour": 5}
        update = {"type": "session.update", "session": {"character": {"proactive": proactive}}}
        one.socket.send(update)
        await one.socket.until("session.updated")
        one.socket.hang_up()
        await one.running
        await asyncio.sleep(30)
        assert len(one.engine.prompts) == 1
        socket = one.come_back(one.live.session.id)
        await socket.until("response.done", 2)
        assert len(one.engine.prompts) == 2


async def test_a_session_says_when_it_is_about_to_end() -> None:
    """A minute before, to who wants to know."""
    async with stage() as one:
        events = {"character": {"events": ["character.v1"]}}
        one.socket.send({"type": "session.update", "session": events})
        await asyncio.sleep(3541)
        assert one.socket.sent[-1]["type"] == "character.session.expiring"
        assert one.socket.sent[-1]["in_ms"] == 60_000


class SlowStore(InMemoryStore):
    """Says that a write is safe when the test says so."""

    def __init__(self) -> None:
        super().__init__(max_conversations=10, max_bytes=10**6)
        self.waiting: list[asyncio.Future[None]] = []

    def append(self, write: Write) -> asyncio.Future[None]:
        super().append(write)
        self.waiting.append(asyncio.get_running_loop().create_future())
        return self.waiting[-1]


async def test_a_turn_is_acknowledged_when_it_is_safe() -> None:
    """The engine is asked at once; neither the item nor anything behind it is told before."""
    store = SlowStore()
    async with stage(store=store) as one:
        one.ask()
        await asyncio.sleep(1)
        assert len(one.engine.prompts) == 1
        assert one.socket.kinds == ["session.created"]
        for written in store.waiting:
            written.set_result(None)
        await one.socket.until("response.done")
        events = one.socket.sent
        assert numbers(events) == list(range(1, len(events) + 1))


async def test_a_reply_is_done_when_it_is_safe() -> None:
    """Its words are told as they come; its end waits."""
    store = SlowStore()
    async with stage(store=store) as one:
        one.ask()
        await asyncio.sleep(0)
        while len(store.waiting) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        store.waiting[0].set_result(None)
        await asyncio.sleep(5)
        assert text_of(one.socket.sent) == "Hello there."
        assert "response.done" not in one.socket.kinds
        for written in store.waiting[1:]:
            written.set_result(None)
        await one.socket.until("response.done")


async def test_what_cannot_be_kept_ends_the_session() -> None:
    """It is not acknowledged; the client hears why, and to come back."""
    store = SlowStore()
    async with stage(store=store) as one:
        one.ask()
        await asyncio.sleep(1)
        store.waiting[0].set_exception(StoreFailed("disk full"))
        await one.running
        assert one.socket.closed is not None
        assert one.socket.closed[0] == CloseCode.TRY_AGAIN_LATER
        assert "conversation.item.added" not in one.socket.kinds
        error = next(event for event in one.socket.sent if event["type"] == "error")
        assert error["error"]["code"] == "store_failed"
        for written in store.waiting[1:]:
            written.set_result(None)


async def test_what_is_said_behind_an_erasure_is_not_said_to_be_kept() -> None:
    """The session goes on, and hears once that nothing of it is kept any more."""
    store = InMemoryStore(max_conversations=9, max_bytes=10**6)
    async with stage(store=store) as one:
        for number in range(1, 4):
            one.ask()
            await one.socket.until("response.done", number)
            if number == 1:
                await store.erase("mio", one.session.conversation.id)
        (error,) = (event for event in one.socket.sent if event["type"] == "error")
        assert error["error"]["code"] == "conversation_gone"
        assert one.socket.closed is None
        assert len(store) == 0


async def test_a_reply_that_cannot_be_kept_ends_as_failed() -> None:
    """Its words were told; its end says that they were not kept, once."""
    store = SlowStore()
    async with stage(store=store) as one:
        one.ask()
        while len(store.waiting) < 1:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        store.waiting[0].set_result(None)
        await asyncio.sleep(5)
        store.waiting[-1].set_exception(StoreFailed("disk full"))
        await one.running
        (done,) = (event for event in one.socket.sent if event["type"] == "response.done")
        assert done["response"]["status"] == "failed"
        assert done["response"]["status_details"]["error"]["code"] == "store_failed"


async def test_a_fault_in_what_is_told_costs_one_session() -> None:
    """Whoever tells everybody of something goes on with the next."""
    async with stage() as one:

        def broken(*_: object) -> list[object]:
            raise RuntimeError

        one.session.tell = broken  # type: ignore[method-assign, assignment]
        one.live.tell(CharacterSessionExpiring(in_ms=1))
        await one.running
        assert one.socket.closed is not None
        assert one.socket.closed[0] == CloseCode.INTERNAL_ERROR


async def test_a_goodbye_waits_for_what_is_not_safe_yet() -> None:
    """The last words are told before the close frame."""
    store = SlowStore()
    async with stage(store=store) as one:
        one.ask()
        await asyncio.sleep(1)
        one.live.close(CloseCode.SERVICE_RESTART, "bye")
        await asyncio.sleep(0.1)
        assert one.socket.closed is None
        for written in store.waiting:
            written.set_result(None)
        await one.running
        assert one.socket.kinds[-1] == "response.done"


async def test_a_store_that_never_answers_does_not_hold_the_end() -> None:
    """The goodbye's patience is bounded."""
    store = SlowStore()
    async with stage(store=store) as one:
        one.ask()
        await asyncio.sleep(1)
        one.live.close(CloseCode.SERVICE_RESTART, "bye")
        await one.running
        assert one.socket.closed is not None
        for written in store.waiting:
            written.cancel()


async def test_what_is_left_is_told_when_a_reply_begins() -> None:
    """Right behind its announcement, with what it may come to taken off."""
    async with stage(limits__tokens_per_min=6000, limits__requests_per_min=60) as one:
        one.ask()
        told = await one.socket.until("rate_limits.updated")
        await one.socket.until("response.done")
        kinds = one.socket.kinds
        assert kinds[kinds.index("response.created") + 1] == "rate_limits.updated"
        requests, tokens = told["rate_limits"]
        assert (requests["name"], requests["limit"], requests["remaining"]) == ("requests", 60, 59)
        assert (tokens["name"], tokens["limit"]) == ("tokens", 6000)
        assert tokens["remaining"] < 6000 - 500
        assert tokens["reset_seconds"] > 5


async def test_without_limits_nothing_is_told() -> None:
    """A newcomer is not bothered."""
    async with stage() as one:
        one.ask()
        await one.socket.until("response.done")
        assert "rate_limits.updated" not in one.socket.kinds
