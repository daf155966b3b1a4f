"""What is said over a socket is written where its user agreed, and comes back as a script."""

from __future__ import annotations

import json
import stat
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import InvalidStatus

from clients.replay.script import Session
from clients.replay.traces.read import parse_trace
from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import Running, running_server
from tests.support.realtime import breathe, receive, receive_until, say

pytestmark = pytest.mark.wire

MARKER = "xylophone"
DELTA = "response.output_text.delta"


def logs(folder: Path) -> list[str]:
    """The texts of all logs."""
    return [file.read_text() for file in sorted(folder.glob("*"))]


async def hear(client: ClientConnection, num_chars: int) -> dict[str, Any]:
    """Listen until so many characters have come; returns the last event."""
    while num_chars > 0:
        event = (await receive_until(client, DELTA))[-1]
        num_chars -= len(event["delta"])
    return event


async def converse(server: Running, query: str) -> None:
    """Three turns: a whole one, one that is broken off, one over a socket that drops."""
    async with connect(server.socket_url(query)) as client:
        greeting = await receive(client)
        await say(client, f"My {MARKER} is red.")
        await receive_until(client, "response.done")
        await say(client, f"Tell me of your {MARKER}, Aoi!")
        await hear(client, 5)
        await client.send(json.dumps({"type": "response.cancel"}))
        await receive_until(client, "response.done")
        await say(client, "And then?")
        last = await hear(client, 3)
        client.transport.abort()
    token = greeting["session"]["resume"]["token"]
    back = f"{query}&resume={token}&last_event_id={last['event_id']}"
    async with connect(server.socket_url(back)) as client:
        await receive_until(client, "response.done")


def script(session: Session) -> list[tuple[str, int | None, str]]:
    """What of a session is the same in each run: words, lengths, faults."""
    return [
        (turn.text, turn.output_tokens, ",".join(fault.kind for fault in turn.faults))
        for turn in session.turns
    ]


async def test_a_recorded_conversation_is_read_back(tmp_path: Path) -> None:
    """Words, lengths, the barge-in and the drop."""
    folder = tmp_path / "logs"
    engine = FakeEngine(reply="0123456789" * 4, step_s=0.002, obeys_max_tokens=False)
    async with running_server(engine, record__dir=str(folder), record__text="full") as server:
        await converse(server, "model=aoi&record=yes")
    (file,) = folder.iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (session,) = parse_trace(file.read_text(), name=file.name)
    assert session.session_id == file.stem
    assert session.persona == "aoi"
    assert script(session) == [
        (f"My {MARKER} is red.", 40, ""),
        (f"Tell me of your {MARKER}, Aoi!", 120, ""),  # its limit
        ("And then?", 40, "drop"),
    ]
    first, second, third = session.turns
    assert second.barge_in_s is not None
    assert session.persona_tokens > 0
    # a token is a character, and the template's marks are some
    assert second.input_tokens == len(second.text) + len("<user><assistant>")
    assert (first.barge_in_s, third.barge_in_s) == (None, None)


async def test_without_consent_there_is_no_file(tmp_path: Path) -> None:
    """Neither for silence nor for a no; and the client is told nothing."""
    folder = tmp_path / "logs"
    async with running_server(record__dir=str(folder)) as server:
        for query in ("model=aoi", "model=aoi&record=no"):
            async with connect(server.socket_url(query)) as client:
                assert "recording" not in (await receive(client))["session"]
                await say(client, MARKER)
                await receive_until(client, "response.done")
    assert logs(folder) == []


async def test_the_operators_word_counts_for_who_says_nothing(tmp_path: Path) -> None:
    """A client's no counts more."""
    folder = tmp_path / "logs"
    async with running_server(record__dir=str(folder), record__consent="operator") as server:
        for query in ("model=aoi", "model=aoi&record=no"):
            async with connect(server.socket_url(query)) as client:
                await say(client, MARKER)
                await receive_until(client, "response.done")
    (text,) = logs(folder)
    assert json.loads(text.splitlines()[0])["consent"] == "operator"


@pytest.mark.parametrize("mode", ["none", "redacted"])
async def test_no_word_that_was_said_is_in_a_file(tmp_path: Path, mode: str) -> None:
    """Nor a reply's, a key's or a token's; lengths and times are."""
    folder = tmp_path / "logs"
    engine = FakeEngine(reply=f"I like the {MARKER} too.", step_s=0.002)
    async with running_server(engine, record__dir=str(folder), record__text=mode) as server:
        query = "model=aoi&record=yes&events=character.v1"
        async with connect(server.socket_url(query)) as client:
            greeting = await receive(client)
            assert greeting["session"]["recording"] == {"text": mode}
            token = greeting["session"]["resume"]["token"]
        await converse(server, query)
        async with connect(server.socket_url(query)) as client:
            for event in (
                {"type": "session.update", "session": {"instructions": MARKER}},
                {"type": "character.draft", "text": f"{MARKER} draft"},
                {"type": "character.context", "key": MARKER, "text": MARKER},
                {"type": "character.trigger", "name": MARKER, "params": {MARKER: MARKER}},
                {"type": "conversation.item.delete", "item_id": MARKER, "event_id": MARKER},
                {"type": MARKER},
                {"type": "response.create", "response": {"max_output_tokens": MARKER}},
            ):
                await client.send(json.dumps(event))
            await breathe(client)
    texts = logs(folder)
    assert len(texts) == 3
    for text in texts:
        assert MARKER not in text.lower()
        assert token not in text
        assert token.partition(".")[0] not in text
        assert "127.0.0.1" not in text
    session = max(parse_trace("".join(texts)), key=lambda one: len(one.turns))
    spoken = [turn.text for turn in session.turns]
    assert [len(words) for words in spoken] == ([0, 0, 0] if mode == "none" else [20, 31, 9])


async def test_an_answer_that_is_none_is_refused() -> None:
    """Whoever wants to agree learns how."""
    async with running_server() as server:
        with pytest.raises(InvalidStatus) as caught:
            await connect(server.socket_url("model=aoi&record=true"))
        assert caught.value.response.status_code == 400
        assert b"must be yes or no" in caught.value.response.body
