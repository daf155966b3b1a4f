"""What a client, and a store, know of a conversation by what they are told of it alone."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from server.conversation.changes import Change, ItemGone, ItemKept, SummaryKept
from server.conversation.entries import Entry
from server.protocol.items import Item
from tests.server.judge import PERFORMED
from tests.server.talk import Event


def as_told(item: Item) -> Event:
    """An item in JSON."""
    told: Event = msgspec.json.decode(msgspec.json.encode(item))
    return told


class Mirror:
    """A client's picture of the conversation and its turns, drawn from the wire."""

    def __init__(self) -> None:
        self.items: list[Event] = []
        self.responses: set[str] = set()
        self.running_turns: dict[str, str] = {}  # responses by the turns that they answer
        self.answered: dict[str, list[str]] = {}  # ids of items by the turns that they answer
        self._performed: dict[str, frozenset[str]] = {}  # what each reply may be performed with
        self._retold: str | None = None
        self.ever: set[str] = set()  # ids of items that were announced

    @property
    def ids(self) -> list[str]:
        """Of the items, in order."""
        return [item["id"] for item in self.items]

    def item(self, item_id: str) -> Event:
        """One of them."""
        return self.items[self.ids.index(item_id)]

    def alive(self, turn_id: str) -> list[str]:
        """What is there of a turn's answer."""
        return [item_id for item_id in self.ids if item_id in self.answered.get(turn_id, ())]

    def read(self, event: Event, granted: frozenset[str]) -> None:
        """Take an event in.

        Args:
            event: From the wire.
            granted: The extension's events that the client gets now.
        """
        name: str = event["type"]
        if name in PERFORMED or name == "character.metrics":
            assert name in self._performed[event["response_id"]]
        elif name.startswith("character."):
            assert name in granted
        match name:
            case "conversation.item.added":
                self._add(event)
            case "conversation.item.done":
                self._finish(event)
            case "conversation.item.deleted":
                self._remove(event["item_id"])
            case "conversation.item.truncated":
                self._truncate(event)
            case "conversation.item.retrieved":
                self._compare(event["item"])
            case "response.created":
                self._begin(event["response"], granted)
            case "response.done":
                self._end(event["response"])

    def _add(self, event: Event) -> None:
        item, previous = event["item"], event["previous_item_id"]
        if item["id"] in self.ids:
            assert previous == self._before(item["id"])
            assert self._retold is not None or item == self.item(item["id"])
            return
        assert self._retold is None
        place = 0 if previous is None else self.ids.index(previous) + 1
        self.items.insert(place, item)
        self.ever.add(item["id"])

    def _finish(self, event: Event) -> None:
        item = event["item"]
        assert event["previous_item_id"] == self._before(item["id"])
        place = self.ids.index(item["id"])
        if self.items[place]["status"] != "in_progress":
            assert item == self.items[place]
        self.items[place] = item

    def _remove(self, item_id: str) -> None:
        del self.items[self.ids.index(item_id)]
        for items in self.answered.values():
            if item_id in items:
                items.remove(item_id)

    def _truncate(self, event: Event) -> None:
        item, index = self.item(event["item_id"]), event["content_index"]
        part = dict(item["content"][index])
        if "text" in part:
            part["text"] = part["text"][: event["text_end"]]
        else:
            part["transcript"] = ""
        place = self.ids.index(item["id"])
        self.items[place] = {**item, "content": [*item["content"][:index], part]}

    def _compare(self, item: Event) -> None:
        known = self.item(item["id"])
        if known["status"] == "in_progress":
            known = {**known, "content": item.get("content")}
            known |= {"arguments": item["arguments"]} if "arguments" in item else {}
            known = {key: value for key, value in known.items() if value is not None}
        assert item == known

    def _before(self, item_id: str) -> str | None:
        place = self.ids.index(item_id)
        return self.ids[place - 1] if place else None

    def _begin(self, response: Event, granted: frozenset[str]) -> None:
        assert response["id"] not in self.responses
        self.responses.add(response["id"])
        self._performed[response["id"]] = granted
        turn_id = response.get("turn_id")
        if response.get("replayed"):
            self._retold = response["id"]
        elif turn_id is not None:
            assert turn_id not in self.running_turns
            self.running_turns[turn_id] = response["id"]

    def _end(self, response: Event) -> None:
        turn_id = response.get("turn_id")
        if response.get("replayed"):
            self._retold = None
            assert response["output"] == [self.item(one) for one in self.alive(turn_id or "")]
        elif turn_id is not None:
            del self.running_turns[turn_id]
            if response["status"] == "completed":
                self.answered[turn_id] = [item["id"] for item in response["output"]]


class Notebook:
    """A store's picture, drawn from ``Session.take_changes``."""

    def __init__(self, entries: Iterable[Entry] = (), summary: str = "") -> None:
        self.entries = list(entries)
        self.summary = summary

    def apply(self, changes: Iterable[Change]) -> None:
        """Write changes down."""
        for change in changes:
            match change:
                case ItemKept(entry, after):
                    self._keep(entry, after)
                case ItemGone(item_id):
                    self.entries = [entry for entry in self.entries if entry.id != item_id]
                case SummaryKept(summary):
                    self.summary = summary

    def _keep(self, entry: Entry, after: str | None) -> None:
        ids = [known.id for known in self.entries]
        if entry.id in ids:
            self.entries[ids.index(entry.id)] = entry
        else:
            self.entries.insert(0 if after is None else ids.index(after) + 1, entry)
