"""Every event that the server sends passes the official SDK's own types, strictly."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.request import FinishReason
from server.protocol.codec import encode_server_event
from server.protocol.objects import RateLimit
from server.protocol.server_events import STANDARD_EVENTS, RateLimitsUpdated
from tests.server.talk import Event, Talk

pytestmark = pytest.mark.slow  # importing the SDK takes seconds


def talk_of_everything() -> list[Event]:
    """One session in which every standard event is sent."""
    talk = Talk()
    talk.open()
    tools = [{"type": "function", "name": "f", "parameters": {"type": "object"}}]
    ratio = {"type": "retention_ratio", "retention_ratio": 0.5}
    talk.say("session.update", session={"tools": tools, "truncation": ratio, "seed": 1})
    talk.user(id="u1")
    item = {"type": "function_call", "name": "f", "arguments": "{}", "call_id": "c"}
    talk.say("conversation.item.create", item=item)
    item = {"type": "function_call_output", "call_id": "c", "output": "1"}
    talk.say("conversation.item.create", item=item)
    talk.say("conversation.item.retrieve", item_id="u1")
    talk.say("conversation.item.delete", item_id="u1")
    talk.reply("[happy] Hello.")
    talk.reply('Well. <tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>')
    talk.say("conversation.item.truncate", item_id="item_t_3", text_end=2)
    talk.ask(metadata={"a": "b"})
    talk.write("Hel")
    talk.ask()
    talk.say("response.cancel")
    talk.ask()
    talk.write("x", FinishReason.LENGTH)
    talk.ask()
    talk.write(finish=FinishReason.ERROR, error_code="queue_full", error_message="x")
    talk.say("input_audio_buffer.clear")
    return talk.events


def rate_limits() -> dict[str, Any]:
    """What the gate's numbers are told in; no session says this by itself."""
    limit = RateLimit(name="tokens", limit=1000, remaining=900, reset_seconds=6.0)
    event: dict[str, Any] = json.loads(
        encode_server_event(RateLimitsUpdated(event_id="event_1", rate_limits=[limit]))
    )
    return event


def test_every_standard_event_is_what_the_sdk_expects() -> None:
    """Validated, not merely constructed: a missing or misnamed field fails here."""
    pydantic = pytest.importorskip("pydantic")
    realtime: Any = pytest.importorskip("openai.types.realtime")
    events = [*talk_of_everything(), rate_limits()]
    adapter = pydantic.TypeAdapter(realtime.RealtimeServerEvent)
    for event in events:
        parsed = adapter.validate_python(event, strict=False)
        assert parsed.type == event["type"]
    sent = {event["type"] for event in events}
    assert sent == {str(kind.__struct_config__.tag) for kind in STANDARD_EVENTS}
