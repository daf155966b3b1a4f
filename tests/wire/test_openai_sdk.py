"""OpenAI's own SDK, unmodified, against a whole server: only the base URL is ours."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pydantic
import pytest
from openai import AsyncOpenAI, OpenAI

from tests.clients.live_server import LiveServer, live_server

pytestmark = pytest.mark.wire


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One server for all; each test brings its own connection."""
    with live_server() as server:
        yield server


@pytest.fixture
def sdk(server: LiveServer) -> Iterator[OpenAI]:
    """The synchronous SDK."""
    with OpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0) as sdk:
        yield sdk


def async_sdk(server: LiveServer) -> AsyncOpenAI:
    """The asynchronous SDK."""
    return AsyncOpenAI(base_url=f"{server.url}/v1", api_key="any", max_retries=0)


USER: Any = [{"role": "user", "content": "hi"}]


class TestChatCompletions:
    """``client.chat.completions`` and ``client.models``."""

    def test_models_are_listed(self, sdk: OpenAI) -> None:
        """Front ends try this first."""
        names = [model.id for model in sdk.models.list()]
        assert names[0] == "aoi"
        assert "kaiwa-demo" in names
        assert sdk.models.retrieve("kaiwa-demo@aoi").id == "kaiwa-demo@aoi"

    def test_a_whole_reply(self, sdk: OpenAI) -> None:
        """Text, reason and usage."""
        reply = sdk.chat.completions.create(model="aoi", messages=USER)
        assert reply.choices[0].message.content == "Hello there."
        assert reply.choices[0].finish_reason == "stop"
        assert reply.usage is not None
        assert reply.usage.completion_tokens > 0

    def test_a_stream(self, sdk: OpenAI) -> None:
        """Deltas spell the reply; the usage comes last."""
        stream = sdk.chat.completions.create(
            model="aoi", messages=USER, stream=True, stream_options={"include_usage": True}
        )
        chunks = list(stream)
        deltas = [choice.delta.content or "" for chunk in chunks for choice in chunk.choices]
        assert "".join(deltas) == "Hello there."
        assert chunks[-1].usage is not None

    def test_the_stream_helper(self, sdk: OpenAI) -> None:
        """The SDK's accumulator agrees with the chunks."""
        with sdk.chat.completions.stream(model="aoi", messages=USER) as stream:
            stream.until_done()
            reply = stream.get_final_completion()
        assert reply.choices[0].message.content == "Hello there."

    def test_our_own_fields_ride_extra_body(self, sdk: OpenAI) -> None:
        """``tag_dialect`` keeps the tags for an avatar."""
        reply = sdk.chat.completions.create(
            model="aoi", messages=USER, extra_body={"tag_dialect": "aituber", "top_k": 5}
        )
        assert reply.choices[0].message.content == "[happy]Hello there."

    @pytest.mark.parametrize("stream", [False, True])
    def test_avatars_get_their_tags(self, sdk: OpenAI, stream: bool) -> None:
        """A dialect rides ``extra_body``, or the model's name where nothing else can be set."""
        for model, fields in (("aoi", {"tag_dialect": "face"}), ("aoi+face", {})):
            create = sdk.chat.completions.create
            if stream:
                chunks = list(create(model=model, messages=USER, stream=True, extra_body=fields))
                deltas = [choice.delta.content or "" for one in chunks for choice in one.choices]
                text: str | None = "".join(deltas)
            else:
                reply = create(model=model, messages=USER, extra_body=fields)
                text = reply.choices[0].message.content
            assert text == "[face:joy]Hello there."

    def test_errors_have_their_classes(self, sdk: OpenAI) -> None:
        """404 and 400 arrive as the SDK's own exceptions, with code and param."""
        with pytest.raises(openai.NotFoundError) as missing:
            sdk.chat.completions.create(model="nobody", messages=USER)
        assert missing.value.code == "model_not_found"
        with pytest.raises(openai.BadRequestError) as wrong:
            sdk.chat.completions.create(model="aoi", messages=USER, temperature=-1)
        assert wrong.value.param == "temperature"

    async def test_async_whole_and_stream(self, server: LiveServer) -> None:
        """The asynchronous SDK sees the same."""
        async with async_sdk(server) as sdk:
            reply = await sdk.chat.completions.create(model="aoi", messages=USER)
            assert reply.choices[0].message.content == "Hello there."
            stream = await sdk.chat.completions.create(model="aoi", messages=USER, stream=True)
            text = ""
            async for chunk in stream:
                text += chunk.choices[0].delta.content or ""
            assert text == "Hello there."

    async def test_closing_a_stream_frees_the_engine(self) -> None:
        """Breaking out of the loop ends the request at the engine too."""
        with live_server("a" * 4000, step_s=0.02) as server:
            async with async_sdk(server) as sdk:
                stream = await sdk.chat.completions.create(
                    model="kaiwa-demo", messages=USER, stream=True
                )
                async for _chunk in stream:
                    break
                await stream.close()
            await _until_idle(server)
            assert server.engine.cancelled


class TestRealtime:
    """``client.realtime.connect``."""

    async def test_several_turns(self, server: LiveServer) -> None:
        """Session, items and replies come in order, turn after turn, and metadata come back."""
        async with async_sdk(server) as sdk, sdk.realtime.connect(model="aoi") as connection:
            assert (await connection.recv()).type == "session.created"
            await connection.session.update(session={"type": "realtime", "instructions": "Brief."})
            assert (await connection.recv()).type == "session.updated"
            for turn in ("one", "two", "three"):
                events = await _turn(connection, turn)
                text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
                assert text == "Hello there."
                assert events[-1].response.status == "completed"
                assert events[-1].response.metadata == {"turn": turn}

    async def test_the_order_of_one_reply(self, server: LiveServer) -> None:
        """The chain that every client stack accepted, and nothing beside it."""
        async with async_sdk(server) as sdk, sdk.realtime.connect(model="aoi") as connection:
            await connection.recv()
            types = [event.type for event in await _turn(connection, "hi")]
        seen = list(dict.fromkeys(types))
        assert seen == [
            "conversation.item.added",
            "conversation.item.done",
            "response.created",
            "response.output_item.added",
            "response.content_part.added",
            "response.output_text.delta",
            "response.output_text.done",
            "response.content_part.done",
            "response.output_item.done",
            "response.done",
        ]

    async def test_a_turn_that_is_asked_for_again_is_told_again(self, server: LiveServer) -> None:
        """Over another connection, in the conversation that was kept; nothing is said twice."""
        wish: Any = {"turn_id": "turn-7"}
        item: Any = {"id": "mine", "type": "message", "role": "user"}
        item["content"] = [{"type": "input_text", "text": "hi"}]
        ends: list[Any] = []
        query: dict[str, object] = {}
        async with async_sdk(server) as sdk:
            for _ in range(2):
                async with sdk.realtime.connect(model="aoi", extra_query=query) as connection:
                    created: Any = (await connection.recv()).model_dump()
                    query = {"conversation": created["session"]["conversation"]["id"]}
                    await connection.conversation.item.create(item=item)
                    await connection.response.create(response=wish)
                    while (event := await connection.recv()).type != "response.done":
                        assert event.type != "error"
                    ends.append(event.response.model_dump())
        first, second = ends
        assert created["session"]["conversation"]["num_items"] == 2
        assert second["output"] == first["output"]
        assert (first.get("replayed"), second["replayed"]) == (None, True)

    async def test_cancel(self) -> None:
        """A cancelled reply closes its chain, and the next turn goes on."""
        with live_server("a" * 4000, step_s=0.02) as server:
            async with async_sdk(server) as sdk, sdk.realtime.connect(model="aoi") as connection:
                await connection.recv()
                await connection.response.create()
                done: Any = None
                is_cancelled = False
                async for event in connection:
                    if event.type == "response.output_text.delta" and not is_cancelled:
                        is_cancelled = True
                        await connection.response.cancel()
                    if event.type == "response.done":
                        done = event.response
                        break
                assert done.status == "cancelled"
                await _until_idle(server)

    async def test_an_unknown_event_is_one_error(self, server: LiveServer) -> None:
        """The error names our event, and the socket lives."""
        async with async_sdk(server) as sdk, sdk.realtime.connect(model="aoi") as connection:
            await connection.recv()
            unknown: Any = {"type": "no.such.event", "event_id": "mine_1"}
            await connection.send(unknown)
            error = await connection.recv()
            assert error.type == "error"
            assert error.error.event_id == "mine_1"
            assert (await _turn(connection, "hi"))[-1].type == "response.done"

    # The SDK calls a form of websockets' connect() that is on its way out.
    @pytest.mark.filterwarnings("ignore:connect:DeprecationWarning")
    def test_the_synchronous_client(self, sdk: OpenAI) -> None:
        """Threads instead of tasks, the same events."""
        with sdk.realtime.connect(model="aoi") as connection:
            assert connection.recv().type == "session.created"
            connection.response.create()
            text = ""
            for event in connection:
                if event.type == "response.output_text.delta":
                    text += event.delta
                if event.type == "response.done":
                    break
            assert text == "Hello there."


TOOL_PARAMETERS: Any = {
    "type": "object",
    "properties": {"sides": {"type": "integer"}},
    "required": ["sides"],
    "additionalProperties": False,
}
CHAT_TOOLS: Any = [
    {
        "type": "function",
        "function": {"name": "roll", "strict": True, "parameters": TOOL_PARAMETERS},
    }
]
REALTIME_TOOLS: Any = [{"type": "function", "name": "roll", "parameters": TOOL_PARAMETERS}]
CALLS = (
    'Let me roll.\n<tool_call>\n{"name": "roll", "arguments": {"sides": 6}}\n</tool_call>\n'
    '<tool_call>\n{"name": "roll", "arguments": {"sides": 20}}\n</tool_call>'
)


@pytest.fixture
def saying(server: LiveServer) -> Iterator[Callable[[str], None]]:
    """Change what the engine says, for one test."""
    before = server.engine.reply

    def say(reply: str) -> None:
        server.engine.reply = reply

    yield say
    server.engine.reply = before


class TestTools:
    """Tools and formats, as the SDK's users write them."""

    def test_calls_in_a_whole_reply(self, sdk: OpenAI, saying: Callable[[str], None]) -> None:
        """Called, answered, and told."""
        saying(CALLS)
        asked = {"model": "kaiwa-demo", "tools": CHAT_TOOLS, "max_tokens": 999}
        reply = sdk.chat.completions.create(messages=USER, **asked)
        message = reply.choices[0].message
        assert reply.choices[0].finish_reason == "tool_calls"
        assert message.content == "Let me roll."
        assert message.tool_calls is not None
        calls: list[Any] = list(message.tool_calls)
        assert [json.loads(call.function.arguments)["sides"] for call in calls] == [6, 20]
        results: list[Any] = [
            {"role": "tool", "tool_call_id": call.id, "content": "4"} for call in calls
        ]
        saying("Four.")
        history = [*USER, message.model_dump(exclude_none=True), *results]
        reply = sdk.chat.completions.create(messages=history, **asked)
        assert reply.choices[0].message.content == "Four."

    def test_calls_in_a_stream(self, sdk: OpenAI, saying: Callable[[str], None]) -> None:
        """The SDK's accumulator parses the arguments of strict tools."""
        saying(CALLS)
        with sdk.chat.completions.stream(
            model="kaiwa-demo", messages=USER, tools=CHAT_TOOLS, max_tokens=999
        ) as stream:
            kinds = {event.type for event in stream}
            choice = stream.get_final_completion().choices[0]
        assert "tool_calls.function.arguments.delta" in kinds
        assert choice.finish_reason == "tool_calls"
        calls: list[Any] = list(choice.message.tool_calls or ())
        assert [call.function.parsed_arguments for call in calls] == [{"sides": 6}, {"sides": 20}]

    def test_parsing_a_format(self, sdk: OpenAI, saying: Callable[[str], None]) -> None:
        """A model of pydantic's goes out as a schema and comes back as an object."""

        class Die(pydantic.BaseModel):
            sides: int
            label: str

        saying('{"sides": 6, "label": "[happy]"}')
        reply = sdk.chat.completions.parse(
            model="aoi", messages=USER, response_format=Die, max_tokens=999
        )
        assert reply.choices[0].message.parsed == Die(sides=6, label="[happy]")

    def test_a_contradiction_is_a_bad_request(self, sdk: OpenAI) -> None:
        """With the field at fault."""
        with pytest.raises(openai.BadRequestError) as caught:
            sdk.chat.completions.create(model="aoi", messages=USER, tool_choice="required")
        assert caught.value.param == "tool_choice"

    async def test_a_round_trip_over_realtime(
        self, server: LiveServer, saying: Callable[[str], None]
    ) -> None:
        """Called, answered with an item, and told; every event is of the SDK's own types."""
        saying(CALLS)
        async with async_sdk(server) as sdk, sdk.realtime.connect(model="aoi") as connection:
            await connection.recv()
            settings: Any = {
                "type": "realtime",
                "tools": REALTIME_TOOLS,
                "tool_choice": "auto",
                "max_output_tokens": 999,
            }
            await connection.session.update(session=settings)
            updated: Any = await connection.recv()
            assert updated.session.tools[0].name == "roll"
            events = await _turn(connection, "roll")
            calls = [item for item in events[-1].response.output if item.type == "function_call"]
            assert [json.loads(call.arguments)["sides"] for call in calls] == [6, 20]
            told = [e for e in events if e.type == "response.function_call_arguments.done"]
            assert [e.call_id for e in told] == [call.call_id for call in calls]
            deltas = [e for e in events if e.type == "response.function_call_arguments.delta"]
            assert "".join(e.delta for e in deltas) == "".join(call.arguments for call in calls)
            for call in calls:
                output: Any = {
                    "type": "function_call_output",
                    "call_id": call.call_id,
                    "output": "4",
                }
                await connection.conversation.item.create(item=output)
            saying("Four.")
            events = await _turn(connection, "well?")
            assert events[-1].response.output[0].content[0].text == "Four."


async def _turn(connection: Any, text: str) -> list[Any]:
    """Say something and collect what comes up to the reply's end."""
    await connection.conversation.item.create(
        item={
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        }
    )
    await connection.response.create(response={"metadata": {"turn": text}})
    events = []
    async for event in connection:
        events.append(event)
        if event.type == "response.done":
            break
    return events


async def _until_idle(server: LiveServer) -> None:
    """Wait, two seconds at most, until the engine has nothing to do."""
    async with asyncio.timeout(2):
        while server.engine.num_live:  # noqa: ASYNC110  (another thread's)
            await asyncio.sleep(0.01)
