"""Chat completions, whole and as events."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp

from server.config.limits import LimitsConfig
from server.http.app import build_http_app
from server.http.completion_reply import KEEP_ALIVE_S
from server.http.event_stream import STALL_S
from server.state import ServerState
from tests.server.http.rooms import AsgiCall, SpellingEngine, chat_body, make_state, parse_events
from tests.support.fake_engine import FakeEngine

PATH = "/v1/chat/completions"


async def post(client: httpx.AsyncClient, text: str = "hi", **fields: Any) -> httpx.Response:
    """Ask ``aoi``."""
    return await client.post(PATH, json=chat_body(text, **fields))


def prompt_of(engine: FakeEngine) -> str:
    """The only prompt that the engine was given, as text."""
    (prompt,) = engine.prompts.values()
    return "".join(map(chr, prompt))


class TestWhole:
    """Without ``stream``."""

    async def test_the_answer_has_openais_shape(self, client: httpx.AsyncClient) -> None:
        """Id, object, one choice and the usage are all there."""
        answer = (await post(client)).json()
        assert answer["id"].startswith("chatcmpl-")
        assert answer["object"] == "chat.completion"
        assert answer["model"] == "aoi"
        assert answer["system_fingerprint"].startswith("fp_")
        (choice,) = answer["choices"]
        assert choice["message"] == {
            "role": "assistant",
            "content": "Hello there.",
            "refusal": None,
        }
        assert choice["finish_reason"] == "stop"
        usage = answer["usage"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]

    async def test_max_tokens_cuts_with_length(self, client: httpx.AsyncClient) -> None:
        """A reply that reaches its limit says so."""
        answer = (await post(client, max_tokens=11)).json()
        assert answer["choices"][0]["finish_reason"] == "length"
        assert answer["choices"][0]["message"]["content"] == "Hel"

    async def test_tags_are_kept_for_aituber(self, client: httpx.AsyncClient) -> None:
        """An avatar front end gets the tag right before its words."""
        answer = (await post(client, tag_dialect="aituber")).json()
        assert answer["choices"][0]["message"]["content"] == "[happy]Hello there."

    @pytest.mark.parametrize(
        ("dialect", "shown"),
        [
            ("strip", "Hello there."),
            ("olv", "[happy]Hello there."),
            ("face", "[face:joy]Hello there."),
            ("act", '<|ACT {"emotion":"happy"}|>Hello there.'),
        ],
    )
    async def test_each_front_end_gets_its_tags(
        self, client: httpx.AsyncClient, dialect: str, shown: str
    ) -> None:
        """By a field, or behind the model's name where no field can be set; the field wins."""
        for fields in (
            {"tag_dialect": dialect},
            {"model": f"aoi+{dialect}"},
            {"model": f"tiny@aoi+{dialect}"},
            {"model": "aoi+aituber", "tag_dialect": dialect},
        ):
            answer = (await post(client, **fields)).json()
            assert answer["choices"][0]["message"]["content"] == shown

    async def test_a_stream_is_translated_too(self, client: httpx.AsyncClient) -> None:
        """A tag comes whole, in one chunk."""
        body = (await post(client, model="aoi+face", stream=True)).content
        chunks = [event for event in parse_events(body) if event != "[DONE]"]
        texts = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
        assert "[face:joy]" in "".join(text or "" for text in texts[:3])
        assert "".join(text or "" for text in texts) == "[face:joy]Hello there."

    async def test_leaving_calls_the_request_off(self, app: ASGIApp, engine: FakeEngine) -> None:
        """A client that hangs up costs no more steps."""
        engine.step_s = 1.0
        call = AsgiCall(app, PATH, content=chat_body())
        await asyncio.sleep(3.5)
        assert engine.num_live == 1
        await call.hang_up()
        assert len(engine.cancelled) == 1
        await asyncio.sleep(1.5)
        assert engine.num_live == 0

    async def test_the_metrics_hear_of_it(
        self, client: httpx.AsyncClient, state: ServerState
    ) -> None:
        """A reply is counted under how it ended."""
        await post(client)
        assert b'kaiwa_request_success_total{finished_reason="stop"} 1.0' in state.metrics.expose()


class TestTags:
    """How a model is held to them, and what it is told."""

    async def test_who_wants_tags_gets_them_enforced(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """And the model is told of them, as this persona does not."""
        await post(client, tag_dialect="face")
        (params,) = engine.params.values()
        assert params.grammar is not None
        assert "happy" in params.grammar.source
        assert prompt_of(engine).startswith(
            "<system>You are Aoi.\n\nBegin each sentence with a tag"
        )

    async def test_who_does_not_ask_changes_nothing(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """Tags are only taken out."""
        await post(client)
        (params,) = engine.params.values()
        assert params.grammar is None
        assert prompt_of(engine).startswith("<system>You are Aoi.<user>")

    async def test_the_mode_can_be_chosen(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """Prompt alone is enough for models that do it well."""
        await post(client, tag_dialect="face", tag_mode="prompt", tag_every="reply")
        (params,) = engine.params.values()
        assert params.grammar is None
        assert "Begin each reply with a tag" in prompt_of(engine)

    async def test_off_leaves_the_text_alone(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """Nothing is told, nothing is looked for."""
        answer = (await post(client, tag_mode="off", tag_dialect="face")).json()
        assert answer["choices"][0]["message"]["content"] == "[happy] Hello there."
        assert "tag" not in prompt_of(engine)

    async def test_a_form_goes_before_tags(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """JSON is not held to tags."""
        await post(client, tag_dialect="face", response_format={"type": "json_object"})
        (params,) = engine.params.values()
        assert params.grammar is not None
        assert params.grammar.kind == "json_schema"

    async def test_an_unknown_dialect_behind_a_name_is_an_unknown_model(
        self, client: httpx.AsyncClient
    ) -> None:
        """Which is told as it was written."""
        answer = await post(client, model="aoi+emoji")
        assert answer.status_code == 404
        assert "aoi+emoji" in answer.json()["error"]["message"]


class TestPrompt:
    """What the model reads."""

    async def test_the_persona_comes_before_the_clients_system_text(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """A character stays itself, and the client may add to it."""
        messages = [
            {"role": "developer", "content": "Be brief."},
            {
                "role": "user",
                "content": [{"type": "text", "text": "hi "}, {"type": "text", "text": "you"}],
            },
        ]
        await client.post(PATH, json={"model": "aoi", "messages": messages})
        assert prompt_of(engine) == ("<system>You are Aoi.<system>Be brief.<user>hi you<assistant>")

    async def test_the_bare_engine_has_no_persona(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """The engine's own name gives the model as it is, tags and all."""
        answer = (await post(client, model="tiny")).json()
        assert prompt_of(engine) == "<user>hi<assistant>"
        assert answer["choices"][0]["message"]["content"] == "[happy] Hello there."

    async def test_a_character_on_an_engine_is_the_character(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """``<engine>@<character>`` names both."""
        assert (await post(client, model="tiny@aoi")).status_code == 200
        assert prompt_of(engine).startswith("<system>You are Aoi.")

    async def test_a_long_prompt_is_built_too(self, client: httpx.AsyncClient) -> None:
        """What is tokenised in a thread comes out the same."""
        state = make_state(
            FakeEngine(max_model_len=2**16), limits=LimitsConfig(inline_prompt_chars=10)
        )
        transport = httpx.ASGITransport(build_http_app(state, web_files={}))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as other:
            assert (await post(other, "x" * 20_000)).json()["usage"]["prompt_tokens"] > 20_000

    @pytest.mark.parametrize("num_chars", [5000, 500_000])
    async def test_a_prompt_beyond_the_context_is_refused(
        self, client: httpx.AsyncClient, num_chars: int
    ) -> None:
        """Nothing is cut away behind the client's back; a giant is not even tokenised."""
        answer = await post(client, "x" * num_chars)
        assert answer.status_code == 400
        assert answer.json()["error"]["code"] == "context_length_exceeded"


class TestService:
    """How a request is served beside its sampling."""

    async def test_it_takes_its_turn_among_those_of_its_address(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """Without a key that is all there is to tell clients apart; nobody's pace is assumed."""
        await post(client)
        (service,) = engine.services.values()
        assert service.tenant == "127.0.0.1"
        assert service.cache_salt == ""
        assert service.listener is None
        assert service.num_pinned_tokens > 0

    async def test_a_listener_is_taken_at_its_word(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """An extension field, as for a session."""
        await post(client, listener={"kind": "reading", "rate": 20})
        (service,) = engine.services.values()
        assert service.listener is not None
        assert service.listener.tokens_per_s == pytest.approx(5)


class TestSampling:
    """What reaches the sampler."""

    async def test_a_limit_beyond_the_context_is_lowered(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """A client that asks for very much gets what there is room for."""
        await post(client, max_tokens=10**6)
        (params,), (prompt,) = engine.params.values(), engine.prompts.values()
        assert params.max_tokens == engine.max_model_len - len(prompt)

    async def test_the_character_is_the_default_and_the_client_the_exception(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """A client's field wins, the rest stays as the character has it."""
        await post(client, temperature=1.5, seed=11, logit_bias={"5": -2}, stop="\n")
        (params,) = engine.params.values()
        assert (params.temperature, params.top_k, params.max_tokens) == (1.5, 7, 32)
        assert (params.seed, params.logit_bias, params.stop) == (11, {5: -2.0}, ["\n"])

    async def test_logprobs_carry_text_and_bytes(self) -> None:
        """Each token is shown with its text, its bytes and the alternatives."""
        engine = SpellingEngine(reply="日a")
        transport = httpx.ASGITransport(build_http_app(make_state(engine), web_files={}))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            answer = (await post(client, model="tiny", logprobs=True, top_logprobs=1)).json()
        content = answer["choices"][0]["logprobs"]["content"]
        assert [entry["token"] for entry in content] == ["日", "a"]
        assert content[0]["bytes"] == list("日".encode())
        assert content[0]["top_logprobs"] == [
            {"token": "日", "logprob": -0.5, "bytes": list("日".encode())}
        ]


class TestRefusals:
    """What is not done says why."""

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            ("queue_full", 503),
            ("engine_dead", 503),
            ("kv_budget_exceeded", 400),
            ("invalid_parameter", 400),
            ("whatever", 500),
        ],
    )
    @pytest.mark.parametrize("stream", [False, True])
    async def test_a_refusal_of_the_engine_keeps_its_status(
        self, client: httpx.AsyncClient, engine: FakeEngine, code: str, status: int, *, stream: bool
    ) -> None:
        """Also for a stream, as long as nothing has been sent."""
        engine.refuse_with = code
        answer = await post(client, stream=stream)
        assert answer.status_code == status
        assert answer.json()["error"]["code"] == code
        assert ("retry-after" in answer.headers) == (status == 503)

    async def test_a_full_queue_says_when_to_come_back(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """As the engine reckons, in whole seconds, rounded up."""
        engine.refuse_with, engine.retry_after_s = "queue_full", 3.2
        assert (await post(client)).headers["retry-after"] == "4"

    @pytest.mark.parametrize(
        ("listener", "param"),
        [({"kind": "deaf"}, "listener.kind"), ({"kind": "speech", "rate": 0}, "listener.rate")],
    )
    async def test_a_listener_that_cannot_be_is_refused(
        self, client: httpx.AsyncClient, listener: dict[str, Any], param: str
    ) -> None:
        """With the field's path."""
        answer = await post(client, listener=listener)
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == param

    async def test_a_dead_engine_is_unavailable(
        self, client: httpx.AsyncClient, engine: FakeEngine
    ) -> None:
        """Its own sentence stays inside."""
        engine.is_alive = False
        answer = await post(client)
        assert answer.status_code == 503
        assert answer.json()["error"]["type"] == "server_error"

    async def test_a_draining_server_takes_no_more(
        self, client: httpx.AsyncClient, state: ServerState
    ) -> None:
        """Whoever comes now is told to come again."""
        state.is_draining = True
        answer = await post(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (503, "draining")
        assert answer.headers["retry-after"]

    async def test_a_loading_server_takes_none_yet(
        self, client: httpx.AsyncClient, state: ServerState
    ) -> None:
        """Before the engine is there, requests are turned away."""
        state.engine = None
        assert (await post(client)).json()["error"]["code"] == "loading"

    async def test_an_unknown_model_is_not_found(self, client: httpx.AsyncClient) -> None:
        """The message lists what there is."""
        answer = await post(client, model="nobody")
        assert answer.status_code == 404
        error = answer.json()["error"]
        assert (error["code"], error["param"]) == ("model_not_found", "model")
        assert "aoi, haru, tiny" in error["message"]

    @pytest.mark.parametrize(
        ("field", "value"),
        [
            ("temperature", -1),
            ("top_p", 0),
            ("top_k", -2),
            ("min_p", 2),
            ("repetition_penalty", 0),
            ("max_tokens", 0),
            ("stop", [""]),
            ("stop", ["x"] * 1000),
            ("stop", "x" * 65536),
            ("logit_bias", {"5": 1000}),
            ("logit_bias", {"9999999": 1}),
            ("stop_token_ids", [9999999]),
            ("seed", 2**63),
        ],
    )
    async def test_a_value_out_of_range_is_named(
        self, client: httpx.AsyncClient, engine: FakeEngine, field: str, value: object
    ) -> None:
        """``param`` says which, and the engine never hears of it."""
        answer = await client.post(PATH, json=chat_body("hi", **{field: value}))
        assert answer.status_code == 400
        assert answer.json()["error"]["param"] == field
        assert not engine.prompts


class TestStream:
    """With ``stream``."""

    async def test_the_events_spell_the_reply(self, client: httpx.AsyncClient) -> None:
        """First the role, then the words, then the reason, then the end."""
        answer = await post(client, stream=True)
        assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
        *chunks, end = parse_events(answer.content)
        assert end == "[DONE]"
        assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
        assert spelled(chunks) == "Hello there."
        assert chunks[-1]["choices"][0] == {
            "index": 0,
            "delta": {},
            "logprobs": None,
            "finish_reason": "stop",
        }
        assert len({chunk["id"] for chunk in chunks}) == 1
        assert all("usage" not in chunk for chunk in chunks)

    async def test_usage_comes_last_when_asked_for(self, client: httpx.AsyncClient) -> None:
        """The other chunks say null."""
        answer = await post(client, stream=True, stream_options={"include_usage": True})
        chunks = parse_events(answer.content)[:-1]
        assert chunks[-1]["choices"] == []
        assert chunks[-1]["usage"]["completion_tokens"] > 0
        assert all(chunk["usage"] is None for chunk in chunks[:-1])

    async def test_each_step_leaves_at_once(self, app: ASGIApp, engine: FakeEngine) -> None:
        """A token does not wait for the next one."""
        engine.step_s, engine.reply = 1.0, "abc"
        call = AsgiCall(app, PATH, content=chat_body(stream=True))
        loop = asyncio.get_running_loop()
        started, times = loop.time(), []
        for count in (2, 3, 4):
            await call.until(count)
            times.append(round(loop.time() - started))
        assert times == [1, 2, 3]
        await call.task

    async def test_leaving_calls_the_request_off(self, app: ASGIApp, engine: FakeEngine) -> None:
        """A client that hangs up costs no more steps."""
        engine.step_s = 1.0
        call = AsgiCall(app, PATH, content=chat_body(stream=True))
        await call.until(2)
        await call.hang_up()
        assert len(engine.cancelled) == 1

    async def test_a_stalled_reader_is_let_go(self, app: ASGIApp, engine: FakeEngine) -> None:
        """A socket that takes nothing does not hold its request for ever."""
        engine.step_s = 1.0
        engine.reply = "a" * 1000
        call = AsgiCall(app, PATH, content=chat_body(stream=True, max_tokens=900))
        await call.until(2)
        call.is_stalled = True
        await asyncio.wait_for(call.task, STALL_S + 3)
        assert len(engine.cancelled) == 1

    async def test_a_late_failure_is_an_event(self, app: ASGIApp, engine: FakeEngine) -> None:
        """After the head has gone out, the error comes in its place, and then the end."""
        engine.step_s = 1.0
        call = AsgiCall(app, PATH, content=chat_body(stream=True))
        await call.until(2)
        engine.die()
        await call.task
        assert call.status == 200
        assert call.events[-2]["error"]["code"] == "engine_dead"
        assert call.events[-1] == "[DONE]"

    async def test_waiting_in_the_queue_keeps_the_connection_warm(
        self, app: ASGIApp, engine: FakeEngine
    ) -> None:
        """Comments go out while nothing else does."""
        engine.step_s = 2.5 * KEEP_ALIVE_S
        engine.reply = ""
        call = AsgiCall(app, PATH, content=chat_body(stream=True))
        await call.task
        assert call.body.count(b": waiting\n\n") == 2
        assert call.events[-1] == "[DONE]"


def spelled(events: list[Any]) -> str:
    """What the deltas of a stream spell."""
    chunks = [event for event in events if event != "[DONE]"]
    return "".join(
        choice["delta"].get("content", "") for chunk in chunks for choice in chunk["choices"]
    )


async def test_a_request_that_finds_the_engine_gone_says_so_to_the_server(
    client: httpx.AsyncClient, engine: FakeEngine, state: ServerState
) -> None:
    """Whoever watches need not wait for the next look."""
    engine.is_alive = False
    answer = await client.post(PATH, json=chat_body())
    assert answer.status_code == 503
    assert state.engine_lost.is_set()
