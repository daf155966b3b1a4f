"""Reads what a session sends and holds it to the promises of the wire."""

from __future__ import annotations

from collections import Counter

from tests.server.talk import Event

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
PERFORMED = ("character.expression", "character.motion", "character.segment", "character.visemes")
BESIDE = (
    "character.state",
    "character.queued",
    "character.turn",
    "character.metrics",
    "character.memory",
)


class Judge:
    """Reads the wire and holds the session to its promises."""

    def __init__(self, stem: str = "t") -> None:
        self._stem = f"evt_{stem}"
        self._last_number = 0
        self._stage: dict[str, str | None] = {}
        self._texts: dict[str, str] = {}  # of each response's item in the making
        self._segments: dict[str, str] = {}  # likewise
        self._items: dict[str, list[Event]] = {}
        self._offsets: dict[str, int] = {}
        self._response_of_item: dict[str, str] = {}
        self._whole: set[str] = set()  # items of replies that have been told to their end
        self._state: str | None = None  # that was told last
        self.answers: Counter[str] = Counter()  # to each request for a reply

    def forget_state(self) -> None:
        """The client may or may not hear of states from now on."""
        self._state = None

    @property
    def open_responses(self) -> set[str]:
        """Created and not done."""
        return {key for key, stage in self._stage.items() if stage != "response.done"}

    def read(self, event: Event) -> None:
        """Check one event."""
        stem, number = event["event_id"].rsplit("_", 1)
        assert stem == self._stem
        assert int(number) == self._last_number + 1
        self._last_number += 1
        name = event["type"]
        if name == "error":
            self.answers[event["error"]["event_id"] or ""] += 1
        if name == "response.created":
            self.answers[(event["response"]["metadata"] or {}).get("asked", "")] += 1
        if name == "character.state":
            assert event["state"] != self._state
            assert event["state"] != "speaking" or self._state in (None, "thinking")
            self._state = event["state"]
        elif "response_id" in event:
            assert self._stage.get(event["response_id"]) != "response.done"
        if name in BESIDE:
            return
        if name.startswith("conversation.item."):
            response_id = self._response_of_item.get(event.get("item", {}).get("id"))
            if response_id is None or name.rsplit(".", 1)[1] not in ("added", "done"):
                return
            if event["item"]["id"] in self._whole:
                return  # told to who sends it
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
                self._whole.discard(event["item"]["id"])
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
                    self._whole.add(event["item"]["id"])
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
