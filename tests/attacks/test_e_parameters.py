"""E: sampling and prompt parameters, 40 cases, on both wires where both have the field."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import ConnectionClosedError

from tests.attacks.harness import (
    SECRET,
    Target,
    error_to,
    get,
    message,
    post,
    reply_of,
    session,
    still_talks,
)
from tests.attacks.target import MAX_MODEL_LEN
from tests.support.raw_http import Answer
from tests.support.realtime import receive_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire(only="uvloop"),
    pytest.mark.asyncio(loop_scope="module"),
]

CHAT = "/v1/chat/completions"

REFUSED, NOT_JSON, TAKEN = "invalid_value", "invalid_json", ""

_WIRE_NAMES = {"max_tokens": "max_output_tokens"}


async def complete(there: Target, messages: str, **fields: object) -> Answer:
    """A completion of the bare engine; ``messages`` is JSON."""
    more = "".join(f',"{name}":{json.dumps(value)}' for name, value in fields.items())
    return await post(there, CHAT, f'{{"model":"kaiwa-demo","messages":{messages}{more}}}')


def said(*turns: tuple[str, object]) -> str:
    """Messages as JSON."""
    return json.dumps([{"role": role, "content": content} for role, content in turns])


@pytest.mark.parametrize(
    ("field", "value", "code_http", "code_ws"),
    [
        pytest.param("temperature", "-1", REFUSED, REFUSED, id="E01-temperature-negative"),
        pytest.param("temperature", "NaN", NOT_JSON, NOT_JSON, id="E02-temperature-NaN"),
        pytest.param("temperature", "1e999", REFUSED, NOT_JSON, id="E03-temperature-infinite"),
        pytest.param("temperature", "1e9", REFUSED, REFUSED, id="E04-temperature-1e9"),
        pytest.param("temperature", '"1"', REFUSED, REFUSED, id="E05-temperature-as-text"),
        pytest.param("top_p", "0", REFUSED, REFUSED, id="E06-top_p-zero"),
        pytest.param("top_p", "-1", REFUSED, REFUSED, id="E07-top_p-negative"),
        pytest.param("top_p", "1.1", REFUSED, REFUSED, id="E08-top_p-above-1"),
        pytest.param("top_k", "-2", REFUSED, REFUSED, id="E09-top_k-below-off"),
        pytest.param("top_k", "0", TAKEN, TAKEN, id="E10-top_k-off"),
        pytest.param("top_k", str(2**31), REFUSED, REFUSED, id="E11-top_k-2-to-the-31"),
        pytest.param("min_p", "2", REFUSED, REFUSED, id="E12-min_p-above-1"),
        pytest.param("max_tokens", "0", REFUSED, REFUSED, id="E13-max_tokens-zero"),
        pytest.param("max_tokens", "-1", REFUSED, REFUSED, id="E14-max_tokens-negative"),
        pytest.param("max_tokens", str(2**63), REFUSED, REFUSED, id="E15-max_tokens-huge"),
        pytest.param(
            "max_tokens", str(MAX_MODEL_LEN * 2), TAKEN, REFUSED, id="E16-max_tokens-over-context"
        ),
        pytest.param("seed", "-1", TAKEN, TAKEN, id="E17-seed-negative"),
        pytest.param("seed", str(2**64), REFUSED, REFUSED, id="E18-seed-2-to-the-64"),
        pytest.param("n", "0", REFUSED, TAKEN, id="E19-n-zero"),
        pytest.param("n", "1000000", REFUSED, TAKEN, id="E20-n-a-million"),
        pytest.param("stop", json.dumps(["x"] * 1000), REFUSED, REFUSED, id="E21-1000-stops"),
        pytest.param("stop", '[""]', REFUSED, REFUSED, id="E22-empty-stop"),
        pytest.param("stop", json.dumps("x" * 65536), REFUSED, REFUSED, id="E23-stop-of-64-KiB"),
        pytest.param("repetition_penalty", "0", REFUSED, REFUSED, id="E24-repetition-zero"),
        pytest.param("repetition_penalty", "-1", REFUSED, REFUSED, id="E25-repetition-negative"),
        pytest.param("repetition_penalty", "1e999", REFUSED, NOT_JSON, id="E26-repetition-inf"),
        pytest.param("logit_bias", '{"2000000":1}', REFUSED, REFUSED, id="E27a-bias-of-no-token"),
        pytest.param("logit_bias", '{"-1":1}', REFUSED, REFUSED, id="E27b-bias-of-minus-1"),
        pytest.param("logit_bias", '{"a":1}', REFUSED, REFUSED, id="E27c-bias-of-a-word"),
        pytest.param("presence_penalty", "NaN", NOT_JSON, NOT_JSON, id="E31a-presence-NaN"),
        pytest.param("frequency_penalty", "NaN", NOT_JSON, NOT_JSON, id="E31b-frequency-NaN"),
    ],
)
async def test_a_parameter_out_of_range_is_named(
    kaiwa: Target, field: str, value: str, code_http: str, code_ws: str
) -> None:
    """400 or one ``error`` with the field's name; what is taken gets its whole reply."""
    messages = said(("user", SECRET))
    async with kaiwa.attacked():
        answer = await post(
            kaiwa, CHAT, f'{{"model":"aoi","messages":{messages},"{field}":{value}}}'
        )
        if code_http == TAKEN:
            assert answer.status == 200
        else:
            assert (answer.status, answer.error["code"]) == (400, code_http)
            assert answer.error["param"] == (field if code_http == REFUSED else None)
            assert len(answer.error["message"]) < 400
        async with session(kaiwa) as client:
            wire_name = _WIRE_NAMES.get(field, field)
            event = f'{{"type":"response.create","response":{{"{wire_name}":{value}}}}}'
            if code_ws == TAKEN:
                await client.send(event)
                done = (await receive_until(client, "response.done"))[-1]
                assert done["response"]["status"] == "completed"
            else:
                error = await error_to(client, event)
                named = f"response.{wire_name}" if code_ws == REFUSED else None
                assert (error["code"], error["param"]) == (code_ws, named)
                assert len(error["message"]) < 400
            await still_talks(client)


async def test_e28_a_bias_for_everything_is_too_large(kaiwa: Target) -> None:
    """E28: 100,000 entries are more than a body or a message may hold."""
    bias = json.dumps({str(token): 1 for token in range(100_000)})
    async with kaiwa.attacked():
        answer = await post(
            kaiwa, CHAT, f'{{"model":"aoi","messages":{said(("user", "x"))},"logit_bias":{bias}}}'
        )
        assert (answer.status, answer.error["code"]) == (413, "request_too_large")
        async with session(kaiwa) as client:
            await client.send(f'{{"type":"response.create","response":{{"logit_bias":{bias}}}}}')
            with pytest.raises(ConnectionClosedError):
                await receive_until(client, "error")
        assert client.close_code == 1009


async def test_e28_a_long_bias_is_refused_by_its_length(kaiwa: Target) -> None:
    """E28: and of those that fit, only so many are looked at."""
    bias = {str(token): 1 for token in range(10_000)}
    async with kaiwa.attacked():
        answer = await complete(kaiwa, said(("user", "x")), logit_bias=bias)
        assert (answer.status, answer.error["param"]) == (400, "logit_bias")
        async with session(kaiwa) as client:
            error = await error_to(
                client, {"type": "response.create", "response": {"logit_bias": bias}}
            )
            assert (error["code"], error["param"]) == ("invalid_value", "response.logit_bias")


async def test_e29_an_unknown_model_is_404_with_those_there_are(kaiwa: Target) -> None:
    """E29: on both wires, and nothing is made up in its place."""
    async with kaiwa.attacked():
        answer = await post(kaiwa, CHAT, f'{{"model":"gpt","messages":{said(("user", "x"))}}}')
        refused = await get(kaiwa, "/v1/models/gpt")
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")
    assert "aoi" in answer.error["message"]
    assert refused is not None
    assert refused.status == 404


@pytest.mark.parametrize("model", ["nobody@kaiwa-demo", "aoi@gpt", "@", "../aoi", "aoi/../x"])
async def test_e30_an_unknown_character_is_404(kaiwa: Target, model: str) -> None:
    """E30: also with a known half, and whatever it looks like."""
    async with kaiwa.attacked():
        answer = await post(
            kaiwa, CHAT, json.dumps({"model": model, "messages": [{"role": "user", "content": ""}]})
        )
    assert (answer.status, answer.error["code"]) == (404, "model_not_found")


_AROUND = len("<user><assistant>")
_MOST = MAX_MODEL_LEN - 1 - _AROUND


@pytest.mark.parametrize(
    ("length", "status"),
    [
        pytest.param(_MOST, 200, id="E32-exactly-at-the-limit"),
        pytest.param(_MOST + 1, 400, id="E33-one-over"),
        pytest.param(MAX_MODEL_LEN * 10, 400, id="E34-ten-times-over"),
    ],
)
async def test_the_longest_prompt_has_room_for_one_token(
    kaiwa: Target, length: int, status: int
) -> None:
    """What fits is answered, one token more is refused with both numbers."""
    async with kaiwa.attacked():
        answer = await complete(kaiwa, said(("user", "x" * length)))
    assert answer.status == status
    if status == 400:
        assert answer.error["code"] == "context_length_exceeded"
        assert str(MAX_MODEL_LEN - 1) in answer.error["message"]


async def test_e34_a_message_beyond_the_context_is_refused_on_the_socket(kaiwa: Target) -> None:
    """E34: the reply ends with a failure that says why, and the item can be deleted."""
    async with kaiwa.attacked(), session(kaiwa) as client:
        response = await reply_of(client, f"{SECRET} " + "x" * (MAX_MODEL_LEN + 10))
        assert response["status"] == "failed"
        error = response["status_details"]["error"]
        assert error["code"] == "context_length_exceeded"


@pytest.mark.parametrize(
    "text", [pytest.param("", id="E35-empty"), pytest.param(" \n\t\u3000", id="E36-whitespace")]
)
async def test_a_prompt_of_nothing_is_answered(kaiwa: Target, text: str) -> None:
    """Silence is something to speak to; no messages at all are refused."""
    async with kaiwa.attacked():
        answer = await complete(kaiwa, said(("user", text)))
        assert answer.status == 200
        none = await complete(kaiwa, "[]")
        assert (none.status, none.error["param"]) == (400, "messages")
        async with session(kaiwa) as client:
            assert (await reply_of(client, text))["status"] == "completed"


async def test_e37_a_history_of_a_thousand_messages_is_read(kaiwa: Target) -> None:
    """E37: a thousand short ones are a prompt like any other; 5,000 are refused by number."""
    turns = [("user" if at % 2 == 0 else "assistant", "x") for at in range(999)]
    async with kaiwa.attacked():
        answer = await post(
            kaiwa, CHAT, f'{{"model":"kaiwa-demo","messages":{said(*turns)},"max_tokens":4}}'
        )
        assert answer.status == 200
        many = await complete(kaiwa, said(*(turns * 6)[:5000]))
        assert (many.status, many.error["param"]) == (400, "messages")
        async with session(kaiwa) as client:
            for _ in range(100):
                await client.send(json.dumps(message("x")))
            await still_talks(client)


async def test_e38_a_system_message_is_the_clients_own(kaiwa: Target) -> None:
    """E38: whoever may call may instruct, on both wires; the canary's persona is untouched."""
    item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]}
    async with kaiwa.attacked():
        answer = await complete(kaiwa, said(("system", SECRET), ("user", "x")))
        assert answer.status == 200
        async with session(kaiwa) as client:
            await client.send(json.dumps({"type": "conversation.item.create", "item": item}))
            done = (await receive_until(client, "conversation.item.done"))[-1]
            assert done["item"]["role"] == "system"
            await still_talks(client)


async def test_e39_a_tools_message_needs_its_call(kaiwa: Target) -> None:
    """E39: a result of no call is refused by the field that is missing."""
    async with kaiwa.attacked():
        answer = await complete(kaiwa, said(("tool", SECRET)))
        assert answer.status == 400
        assert answer.error["code"] == "missing_required_parameter"
        assert answer.error["param"] == "messages[0].tool_call_id"
        async with session(kaiwa) as client:
            item = {"type": "function_call_output", "output": SECRET}
            error = await error_to(client, {"type": "conversation.item.create", "item": item})
            assert error["param"] == "item.call_id"
            await still_talks(client)


async def test_e40_an_unknown_role_is_refused(kaiwa: Target) -> None:
    """E40: with the roles that there are."""
    async with kaiwa.attacked():
        answer = await complete(kaiwa, said(("root", SECRET)))
        assert (answer.status, answer.error["param"]) == (400, "messages[0].role")
        async with session(kaiwa) as client:
            event = message(SECRET)
            event["item"]["role"] = "root"
            error = await error_to(client, event)
            assert (error["code"], error["param"]) == ("invalid_value", "item.role")
            await still_talks(client)
