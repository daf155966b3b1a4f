"""A client, an engine and a clock, played by the test: speaks with one session and notes all."""

from __future__ import annotations

import json
from typing import Any

from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.characters.catalog import Catalog
from server.characters.character import Character
from server.errors import ProtocolError
from server.protocol.character_objects import LocalizedText
from server.protocol.codec import decode_client_event, encode_server_event
from server.protocol.event_ids import EventIds
from server.session.context import SessionContext
from server.session.effects import (
    Abort,
    Compact,
    Discard,
    Effect,
    Generate,
    Prepare,
    ReportPlayback,
    Send,
    Wake,
)
from server.session.session import Session
from server.session.settings import SessionLimits

AOI = Character(
    id="aoi",
    name=LocalizedText(en="Aoi", ja="葵"),
    description=LocalizedText(en="A cheerful student."),
    greeting=LocalizedText(en="[happy] Hi!", ja="[happy] やあ！"),
    prompt="You are Aoi.",
    expressions=("happy", "sad"),
    sampling={"temperature": 0.6, "top_p": 0.9},
    max_output_tokens=120,
    avatar={"hair": "#2b3a67"},
)
HARU = Character(
    id="haru",
    name=LocalizedText(en="Haru", ja="ハル"),
    greeting=LocalizedText(en="Hey."),
    prompt="You are Haru.",
    expressions=("happy", "angry"),
)
CATALOG = Catalog("kaiwa-demo", [AOI])
V1 = frozenset({"character.v1"})
"""All of the extension."""

Event = dict[str, Any]


class Talk:
    """One session under test; ``events`` is the wire, ids and all."""

    def __init__(
        self,
        model: str = "aoi",
        *,
        granted: frozenset[str] = frozenset(),
        limits: SessionLimits | None = None,
        context: SessionContext | None = None,
        session_id: str = "sess_t",
    ) -> None:
        self.session = Session(
            session_id,
            choice=CATALOG.resolve(model),
            limits=limits or SessionLimits(),
            granted_events=granted,
            context=context,
        )
        self._ids = EventIds(session_id)
        self.now = 100.0
        self.events: list[Event] = []
        self.generates: list[Generate] = []
        self.aborts: list[str] = []
        self.ahead: list[Prepare | Discard | Compact] = []
        self.heard: list[tuple[str, int]] = []
        self.wakes_at: float | None = None
        self._num_tokens: dict[str, int] = {}

    def carry_out(self, effects: list[Effect]) -> list[Event]:
        """Do what the session wants; return the events that it sent."""
        sent: list[Event] = []
        for effect in effects:
            match effect:
                case Send(event):
                    event_id = self._ids.name(len(self.events) + len(sent) + 1)
                    sent.append(json.loads(encode_server_event(event, event_id)))
                case Generate():
                    self.generates.append(effect)
                case Abort(request_id):
                    self.aborts.append(request_id)
                case ReportPlayback(request_id, num_chars):
                    self.heard.append((request_id, num_chars))
                case Wake(at):
                    self.wakes_at = at
                case _:
                    self.ahead.append(effect)
        self.events += sent
        return sent

    def open(self) -> list[Event]:
        """Connect."""
        return self.carry_out(self.session.open(self.now))

    def say(self, type: str, **fields: Any) -> list[Event]:
        """Send an event, through the codec."""
        frame = json.dumps({"type": type, **fields})
        try:
            event = decode_client_event(frame)
        except ProtocolError as error:
            return self.carry_out(self.session.refuse(error, self.now))
        return self.carry_out(self.session.receive(event, self.now))

    def user(self, text: str = "hello", **fields: Any) -> list[Event]:
        """Put a user's message in."""
        item = {
            "type": "message",
            "role": "user",
            "content": [{"type": "input_text", "text": text}],
        }
        return self.say("conversation.item.create", item={**item, **fields})

    def ask(self, **response: Any) -> list[Event]:
        """Ask for a reply."""
        return self.say("response.create", response=response)

    def write(
        self,
        text: str = "",
        finish: FinishReason | None = None,
        *,
        request_id: str | None = None,
        after: float = 0.01,
        **fields: Any,
    ) -> list[Event]:
        """Have the engine bring a token's worth of text, for the newest request."""
        self.now += after
        request_id = request_id or self.generates[-1].request_id
        count = self._num_tokens[request_id] = self._num_tokens.get(request_id, 0) + 1
        delta = RequestDelta(
            request_id,
            text,
            [7],
            finish,
            **{"num_output_tokens": count, "num_prompt_tokens": 20, **fields},
        )
        return self.carry_out(self.session.receive_delta(delta, self.now))

    def wait(self) -> list[Event]:
        """Let time pass until the session wants to be woken; it must want that."""
        assert self.wakes_at is not None
        self.now, self.wakes_at = self.wakes_at, None
        return self.carry_out(self.session.wake(self.now))

    def reply(self, *texts: str) -> list[Event]:
        """Ask, and have the engine write all of it."""
        sent = self.ask()
        for text in texts:
            sent += self.write(text)
        return sent + self.write(finish=FinishReason.STOP)


def of_type(events: list[Event], kind: str) -> list[Event]:
    """Those of one type."""
    return [event for event in events if event["type"] == kind]


def room(**fields: Any) -> Talk:
    """Aoi and Haru, with all events."""
    people = {"aoi": AOI, "haru": HARU}
    talk = Talk(granted=V1, context=SessionContext(find_character=people.get, **fields))
    talk.say("session.update", session={"character": {"group": ["aoi", "haru"]}})
    return talk


def types(events: list[Event]) -> list[str]:
    """The events' names."""
    return [event["type"] for event in events]


def text_of(events: list[Event]) -> str:
    """All deltas, joined."""
    return "".join(event.get("delta", "") for event in events)


def only_error(events: list[Event]) -> Event:
    """Check that one ``error`` and nothing else was sent; return what it says."""
    assert types(events) == ["error"], events
    error: Event = events[0]["error"]
    return error
