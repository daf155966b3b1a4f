"""C: the JSON around an event, 25 cases. Each costs one ``error``; the session goes on."""

from __future__ import annotations

import json

import pytest
from websockets.exceptions import ConnectionClosedError

from tests.attacks.harness import SECRET, Target, error_to, message, reply_of, session, still_talks
from tests.attacks.target import ECHO
from tests.support.realtime import receive_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.wire(only="uvloop"),
    pytest.mark.asyncio(loop_scope="module"),
]

MAX_MESSAGE_BYTES = 2 * 2**20
"""More than the usual, so that 100,000 keys fit into one message."""

SETTINGS = {"limits__max_message_bytes": MAX_MESSAGE_BYTES}

_UPDATE = '{"type":"session.update","session":{"type":"realtime"}'


def padded(size: int) -> str:
    """An event of exactly so many bytes."""
    text = _UPDATE + "}"
    return text + " " * (size - len(text))


@pytest.mark.parametrize(
    ("sent", "code", "param"),
    [
        pytest.param("", "invalid_json", None, id="C01-empty"),
        pytest.param(" \t\r\n", "invalid_json", None, id="C02-whitespace"),
        pytest.param("null", "invalid_event", None, id="C03-null"),
        pytest.param("42", "invalid_event", None, id="C04-number"),
        pytest.param("[]", "invalid_event", None, id="C05-array"),
        pytest.param(f'"{SECRET}"', "invalid_event", None, id="C06-bare-string"),
        pytest.param(_UPDATE, "invalid_json", None, id="C07-truncated"),
        pytest.param(_UPDATE + "}}", "invalid_json", None, id="C08-trailing-garbage"),
        pytest.param("\ufeff" + _UPDATE + "}", "invalid_json", None, id="C09-BOM"),
        pytest.param(
            '{"type":"session.update","type":"response.create"}',
            *("invalid_json", None),
            id="C10-a-key-twice",
        ),
        pytest.param('{"type":"response.create","x":NaN}', "invalid_json", None, id="C11a-NaN"),
        pytest.param(
            '{"type":"response.create","x":-Infinity}', "invalid_json", None, id="C11b-Infinity"
        ),
        pytest.param('{"type":"response.create","x":1e400}', "invalid_json", None, id="C12-1e400"),
        pytest.param(
            f'{{"type":"response.create","event_id":{2**64}}}',
            *("invalid_value", "event_id"),
            id="C13-2-to-the-64-as-id",
        ),
        pytest.param("[" * 10_000, "invalid_json", None, id="C14a-depth-of-arrays"),
        pytest.param('{"type":' * 10_000, "invalid_json", None, id="C14b-depth-of-objects"),
        pytest.param(
            '{"type":"response.create","x":' + "[" * 10_000 + "]" * 10_000 + "}",
            *("invalid_json", None),
            id="C14c-depth-well-closed",
        ),
        pytest.param(
            json.dumps({"type": SECRET * 1000}), "unknown_event_type", "type", id="C17-unknown-type"
        ),
        pytest.param('{"session":{}}', "invalid_event", "type", id="C18-no-type"),
        pytest.param('{"type":7}', "invalid_event", "type", id="C19-type-is-a-number"),
        pytest.param(
            '{"type":"session.update","session":[]}',
            *("invalid_value", "session"),
            id="C21-wrong-type-of-a-field",
        ),
        pytest.param(
            '{"type":"conversation.item.create","item":{"type":"message","role":"user",'
            '"content":[{"type":"input_text","text":"\\ud800"}]}}',
            *("invalid_json", None),
            id="C22-half-a-surrogate-pair",
        ),
    ],
)
async def test_a_bad_envelope_costs_one_error(
    kaiwa: Target, sent: str, code: str, param: str | None
) -> None:
    """One ``error`` with the code and the field, short whatever was sent; the session goes on."""
    async with kaiwa.attacked(), session(kaiwa) as client:
        error = await error_to(client, sent)
        assert (error["code"], error["param"]) == (code, param)
        assert len(error["message"]) < 400
        await still_talks(client)


@pytest.mark.parametrize(
    "extra",
    [
        pytest.param({f"k{number}": 1 for number in range(100_000)}, id="C15-100000-keys"),
        pytest.param({"k" * 60 * 1024: 1}, id="C16-a-key-of-60-KiB"),
        pytest.param({"x_unknown": {"a": [SECRET]}}, id="C20-an-unknown-field"),
    ],
)
async def test_fields_that_nobody_knows_are_ignored(
    kaiwa: Target, extra: dict[str, object]
) -> None:
    """However many and however long, as long as the message fits; the rest of the event holds."""
    event = {"type": "session.update", "session": {"type": "realtime", "temperature": 0.5, **extra}}
    async with kaiwa.attacked(), session(kaiwa) as client:
        await client.send(json.dumps(event))
        updated = (await receive_until(client, "session.updated"))[-1]["session"]
        assert updated["temperature"] == 0.5
        assert not set(extra) & set(updated)


async def test_c23_a_nul_character_is_a_character(kaiwa: Target) -> None:
    """C23: it goes to the model and comes back as it is, and cuts nothing off."""
    said = f"one\0two {SECRET}"
    async with kaiwa.attacked(), session(kaiwa) as client:
        response = await reply_of(client, ECHO + said)
    assert response["output"][0]["content"][0]["text"] == said


async def test_c24_a_message_of_the_largest_size_is_read(kaiwa: Target) -> None:
    """C24: the limit belongs to what is allowed."""
    async with kaiwa.attacked(), session(kaiwa) as client:
        await client.send(padded(MAX_MESSAGE_BYTES))
        await receive_until(client, "session.updated")


async def test_c25_one_byte_more_closes_the_socket(kaiwa: Target) -> None:
    """C25: 1009, and the message is never looked at."""
    async with kaiwa.attacked():
        async with session(kaiwa) as client:
            await client.send(padded(MAX_MESSAGE_BYTES + 1))
            with pytest.raises(ConnectionClosedError):
                await receive_until(client, "session.updated")
        assert client.close_code == 1009


async def test_ten_unreadable_messages_in_a_row_close_the_socket(kaiwa: Target) -> None:
    """Who never makes sense is sent away with 4400."""
    async with kaiwa.attacked():
        async with session(kaiwa) as client:
            for _ in range(10):
                await client.send(f"{{{SECRET}")
            with pytest.raises(ConnectionClosedError):
                await receive_until(client, "session.updated")
        assert client.close_code == 4400
        async with session(kaiwa) as client:
            await client.send(json.dumps(message("hi")))
            await receive_until(client, "conversation.item.done")
