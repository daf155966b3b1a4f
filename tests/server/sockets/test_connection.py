"""A connection carries out what its session decides, and cleans up after it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from engine.chat_template import ChatMessage
from engine.tool_dialect import Tool
from server.characters.catalog import Catalog
from server.characters.character import Character
from server.config_loader import load_settings
from server.errors import ProtocolError
from server.protocol.close_codes import CloseCode
from server.session.session import Session
from server.session.settings import SessionLimits
from server.sockets.connection import Connection
from server.state import MAX_PROMPT_THREADS, ServerState
from tests.support.fake_engine import FakeEngine, FakeTokenizer
from tests.support.fake_socket import FakeSocket

ASK: list[dict[str, Any]] = [
    {
        "type": "conversation.item.create",
        "item": {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": "secret words"}],
        },
    },
    {"type": "response.create"},
]


class Stage:
    """A running connection with everything around it in the test's hand."""

    def __init__(self, engine: FakeEngine, settings: dict[str, object]) -> None:
        self.engine = engine
        catalog = Catalog("fake", [Character.from_prompt("aoi", "You are Aoi.")])
        loaded = load_settings(command_line=settings)
        self.state = ServerState(settings=loaded.settings, catalog=catalog, engine=engine)
        self.socket = FakeSocket()
        self.session = Session(
            "sess_1", choice=catalog.resolve("aoi"), limits=SessionLimits(max_output_tokens=10**6)
        )
        self.connection = Connection(self.socket, self.session, self.state, engine)
        self.running = asyncio.create_task(self.connection.run())

    def ask(self) -> None:
        """Say something and ask for a reply."""
        for event in ASK:
            self.socket.send(event)

    def metric(self, name: str, **labels: str) -> float:
        """A metric's value."""
        return self.state.metrics.registry.get_sample_value(name, labels) or 0.0


@contextlib.asynccontextmanager
async def stage(engine: FakeEngine | None = None, **settings: object) -> AsyncIterator[Stage]:
    """Run a connection; at the end the client leaves, and nothing may be left behind."""
    paths = {name.replace("__", ".", 1): value for name, value in settings.items()}
    one = Stage(engine or FakeEngine(), paths)
    yield one
    one.socket.hang_up()
    await one.running
    await asyncio.sleep(1)
    assert len(one.connection.replies) == 0
    assert one.engine.num_live == 0


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
    """The watch aborts the socket, and the engine is freed."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.1)
    async with stage(engine) as one:
        one.ask()
        await one.socket.until("response.output_text.delta")
        one.socket.buffer = 10**5
        for second in range(30):
            one.connection.watch(float(second))
        assert one.socket.is_aborted
        await one.running
        assert engine.cancelled
        assert one.metric("kaiwa_ws_closes_total", code="4408") == 1


async def test_leaving_calls_everything_off() -> None:
    """When the socket is gone the engine is told."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.1)
    async with stage(engine) as one:
        one.ask()
        await one.socket.until("response.output_text.delta")
        one.socket.hang_up()
        await one.running
        assert len(engine.cancelled) == 1


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
        assert "test_connection.py" in caplog.text


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


async def test_closing_ends_what_runs_and_writes_what_was_kept() -> None:
    """Even to a slow reader every reply is ended before the close frame."""
    engine = FakeEngine(reply="x" * 10_000, step_s=0.1)
    async with stage(engine) as one:
        one.ask()
        await one.socket.until("response.output_text.delta")
        one.socket.buffer = 10**5
        await asyncio.sleep(1)
        error = ProtocolError("server_draining", "later")
        one.connection.close(CloseCode.SERVICE_RESTART, "bye", error=error)
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
