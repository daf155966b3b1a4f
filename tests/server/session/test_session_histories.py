"""Random histories of one session, with every promise of the wire checked after each step.

The client creates, deletes, truncates, asks and cancels; the engine writes, ends, fails and aborts,
also after it was told to stop. Whatever the order: a created response is done exactly once, its
events come in the order of the chain, its deltas add up to its text, and ids rise by one.
"""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from engine.request import FinishReason
from server.errors import ProtocolError
from server.protocol.codec import decode_client_event
from server.session.context import SessionContext
from server.session.settings import SessionLimits
from tests.server.frames import spoilt_frame
from tests.server.talk import Event, Talk

ORDER = {
    None: {"response.created"},
    "response.created": {"response.output_item.added", "response.done"},
    "response.output_item.added": {
        "conversation.item.added",
        "response.content_part.added",
        "arguments",
        "response.function_call_arguments.done",
    },
    "conversation.item.added": {
        "response.content_part.added",
        "arguments",
        "response.function_call_arguments.done",
    },
    "arguments": {"arguments", "response.function_call_arguments.done"},
    "response.function_call_arguments.done": {
        "conversation.item.done",
        "response.output_item.done",
    },
    "response.content_part.added": {"text", "response.output_text.done"},
    "text": {"text", "response.output_text.done"},
    "response.output_text.done": {"response.content_part.done"},
    "response.content_part.done": {"conversation.item.done", "response.output_item.done"},
    "conversation.item.done": {"response.output_item.done"},
    "response.output_item.done": {"response.output_item.added", "response.done"},
    "response.done": set(),
}
PLAYED = ["started", "finished", "interrupted", "elsewhere"]
PIECES = ["[happy] ", "[sad]", "[ha", "ppy]", "Hello", " there", ". ", "葵", "[", "\n", ""]
PIECES += [
    "<tool_call>",
    '{"name": "f", ',
    '"arguments": {"a": ',
    '"[sad]"}}',
    "</tool_call>",
    "<to",
]
TOOLS = [{"type": "function", "name": "f"}]


PERFORMED = ("character.expression", "character.motion", "character.segment", "character.visemes")
BESIDE = ("character.state", "character.queued", "character.turn", "character.metrics")


class Judge:
    """Reads the wire and holds the session to its promises."""

    def __init__(self) -> None:
        self._last_number = 0
        self._stage: dict[str, str | None] = {}
        self._texts: dict[str, str] = {}  # of each response's item in the making
        self._segments: dict[str, str] = {}  # likewise
        self._items: dict[str, list[Event]] = {}
        self._offsets: dict[str, int] = {}
        self._response_of_item: dict[str, str] = {}

    @property
    def open_responses(self) -> set[str]:
        """Created and not done."""
        return {key for key, stage in self._stage.items() if stage != "response.done"}

    def read(self, event: Event) -> None:
        """Check one event."""
        stem, number = event["event_id"].rsplit("_", 1)
        assert stem == "evt_t"
        assert int(number) == self._last_number + 1
        self._last_number += 1
        name = event["type"]
        if name in BESIDE:
            return
        if name.startswith("conversation.item."):
            response_id = self._response_of_item.get(event.get("item", {}).get("id"))
            if response_id is None or name.rsplit(".", 1)[1] not in ("added", "done"):
                return
        elif name == "response.created" or name == "response.done":
            response_id = event["response"]["id"]
        else:
            response_id = event.get("response_id")
        if response_id is not None:
            self._advance(response_id, name, event)

    def _advance(self, response_id: str, name: str, event: Event) -> None:
        is_text = name == "response.output_text.delta" or name in PERFORMED
        is_arguments = name == "response.function_call_arguments.delta"
        stage = "text" if is_text else "arguments" if is_arguments else name
        assert stage in ORDER[self._stage.get(response_id)], (self._stage.get(response_id), name)
        self._stage[response_id] = stage
        text = self._texts.setdefault(response_id, "")
        match name:
            case "response.output_item.added":
                self._response_of_item[event["item"]["id"]] = response_id
                assert event["output_index"] == len(self._items.setdefault(response_id, []))
                self._texts[response_id] = self._segments[response_id] = ""
            case "response.function_call_arguments.done":
                assert event["arguments"] == text
            case "response.output_text.delta" | "response.function_call_arguments.delta":
                assert event["delta"]
                self._texts[response_id] = text + event["delta"]
            case "character.expression":
                spaces = len(text) - len(text.rstrip())
                assert len(text) - spaces <= event["text_offset"] <= len(text)
            case "character.segment":
                told = self._segments[response_id]
                assert event["text_start"] == len(told)
                self._segments[response_id] = told + event["text"]
                assert text.startswith(self._segments[response_id])
            case "response.output_text.done":
                assert event["text"] == text
                assert self._segments[response_id] in ("", text)
            case "response.content_part.done":
                assert event["part"]["text"] == text
            case "conversation.item.done" | "response.output_item.done":
                if event["item"]["type"] == "message":
                    assert event["item"]["content"] == [{"type": "output_text", "text": text}]
                else:
                    assert event["item"]["arguments"] == text
                if name == "response.output_item.done":
                    self._items[response_id].append(event["item"])
            case "response.done":
                self._check_end(event["response"], self._items.get(response_id, []))

    def _check_end(self, response: Event, items: list[Event]) -> None:
        status = response["status"]
        assert status in ("completed", "cancelled", "failed", "incomplete")
        assert (response["status_details"] is None) == (status == "completed")
        assert response["output"] == items
        for item in items[:-1]:
            assert item["status"] == "completed" or item["type"] == "function_call"
        if status == "completed":
            assert all(item["status"] == "completed" for item in items if item["type"] == "message")


class History:
    """One random life of one session."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        granted = frozenset({"character.v1"} if seed % 2 else set())
        self.talk = Talk(
            "aoi" if seed % 3 else "kaiwa-demo",
            granted=granted,
            limits=SessionLimits(max_items=8, max_parallel_responses=3),
            context=SessionContext(eager_prefill=seed % 2 == 0, high_water_tokens=20),
        )
        self.judge = Judge()
        self.accepted: set[str] = set()
        self.finished: set[str] = set()

    def step(self) -> None:
        """Let somebody do something, and judge what follows."""
        rng, talk = self.rng, self.talk
        ids = [*talk.session.conversation.item_ids, "nowhere"]
        requests = [generate.request_id for generate in talk.generates]
        before = len(talk.events)
        match rng.randrange(14):
            case 0:
                talk.user("hi", **({"id": rng.choice(ids)} if rng.random() < 0.3 else {}))
            case 1:
                talk.say("conversation.item.delete", item_id=rng.choice(ids))
            case 2:
                place = {"content_index": 0, "text_end": rng.randrange(6)}
                talk.say("conversation.item.truncate", item_id=rng.choice(ids), **place)
            case 3:
                talk.say("conversation.item.retrieve", item_id=rng.choice(ids))
            case 4:
                events = rng.choice([[], ["character.expression"]])
                talk.say("session.update", session={"character": {"events": events}})
                talk.say("session.update", session={"tools": rng.choice([[], TOOLS, TOOLS])})
            case 5 | 6:
                talk.ask(
                    conversation=rng.choice(["auto", "auto", "none"]),
                    if_active=rng.choice(["error", "interrupt"]),
                    heard=rng.choice([None, {"item_id": rng.choice(ids), "text_end": 2}]),
                )
            case 7:
                target: dict[str, Any] = {"response_id": rng.choice(requests)} if requests else {}
                talk.say("response.cancel", **(target if rng.random() < 0.5 else {}))
            case 8 if requests:
                self.end(rng.choice(requests))
            case 9:
                played = {"text_end": rng.randrange(6), "state": rng.choice(PLAYED)}
                talk.say("character.playback", item_id=rng.choice(ids), **played)
            case 10:
                talk.say("character.draft", text=rng.choice(["", "Hello", "葵"]))
            case _ if requests:
                request_id = rng.choice(requests)
                if request_id not in self.finished:
                    talk.write(rng.choice(PIECES), request_id=request_id)
        self.check(talk.events[before:])

    def end(self, request_id: str) -> None:
        """Have the engine end a request, once, in one way or another."""
        if request_id in self.finished:
            return
        self.finished.add(request_id)
        reason = self.rng.choice(list(FinishReason))
        self.talk.write(self.rng.choice(PIECES), reason, request_id=request_id)

    def check(self, sent: list[Event]) -> None:
        """Judge the new events, and the session's own books."""
        for event in sent:
            self.judge.read(event)
        session = self.talk.session
        assert self.judge.open_responses == set(session.running_responses)
        assert len(self.talk.generates) == sum(
            event["type"] == "response.created" for event in self.talk.events
        )
        assert len(self.talk.aborts) == len(set(self.talk.aborts))
        session.conversation.check_integrity()
        for entry in session.conversation.messages():
            assert entry.content or entry.tool_calls


@pytest.mark.parametrize("seed", range(40))
def test_any_history_keeps_the_promises_of_the_wire(seed: int) -> None:
    """Sixty steps of client and engine, and then the socket goes."""
    history = History(seed)
    history.talk.open()
    history.check(history.talk.events)
    for _ in range(60):
        history.step()
    before = len(history.talk.events)
    history.talk.carry_out(history.talk.session.close(history.talk.now))
    history.check(history.talk.events[before:])
    assert history.judge.open_responses == set()


@pytest.mark.slow
def test_no_frame_whatever_it_holds_breaks_a_session() -> None:
    """Spoilt frames end as events or errors; the engine's parameters can always be sent on."""
    rng = random.Random(17)
    talk, judge = Talk(), Judge()
    for _ in range(10_000):
        before = len(talk.events)
        now = talk.now
        try:
            event = decode_client_event(spoilt_frame(rng))
        except ProtocolError as error:
            talk.carry_out(talk.session.refuse(error, now))
        else:
            talk.carry_out(talk.session.receive(event, now))
        for sent in talk.events[before:]:
            judge.read(sent)
        while talk.generates:
            msgspec.msgpack.encode(talk.generates.pop())


@pytest.mark.slow
def test_many_long_histories_keep_the_promises_of_the_wire() -> None:
    """As above, many more and longer."""
    for seed in range(100, 250):
        history = History(seed)
        for _ in range(200):
            history.step()
