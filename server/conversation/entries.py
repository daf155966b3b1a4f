"""An item of a conversation, and how the model reads a row of them.

An assistant's words are kept twice: clean for the client, and raw, with the expression tags, for
the model, so that it goes on as it began. Everything else is kept once.

An item may carry a *note*: what the model, and nobody else, reads right behind it as system text.
It is written once and never moved, so that each prompt begins with the one before.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import msgspec

from engine.chat_template import ChatMessage
from engine.tool_dialect import ToolCall
from server.protocol.items import FunctionCallItem, FunctionCallOutputItem, Item, MessageItem
from server.text.tag_rules import TagRules


@dataclass(slots=True)
class Entry:
    """One item.

    Attributes:
        item: As the client knows it; an assistant's text is clean.
        raw_texts: Of an assistant's message, part by part, as the model reads them.
        num_bytes: What it counts for, its note included.
        note: What the model reads right behind it; empty for nothing.
        tags: Those that its raw texts may hold.
        continues: Id of the assistant's message that it goes on with. While that is read right
            before it, the model reads both as one.
        turn_id: The client's name of the turn that it answers; only of replies that completed, so
            that a turn which is asked for again finds its answer.
    """

    item: Item
    raw_texts: list[str] = field(default_factory=list)
    num_bytes: int = 0
    note: str = ""
    tags: TagRules = TagRules()
    continues: str = ""
    turn_id: str = ""

    @property
    def id(self) -> str:
        """The item's id."""
        return self.item.id or ""

    @property
    def is_in_progress(self) -> bool:
        """Whether a response is writing it."""
        return self.item.status == "in_progress"

    @property
    def words(self) -> str:
        """What a message says, without tags; empty for a call or a result."""
        if not isinstance(self.item, MessageItem):
            return ""
        return "\n".join(part.text or part.transcript or "" for part in self.item.content)

    def add_note(self, text: str) -> None:
        """Put text behind the item, and behind what stands there."""
        before = len(self.note.encode())
        self.note = join_notes(self.note, text)
        self.num_bytes += len(self.note.encode()) - before

    def recount(self, num_bytes: int) -> None:
        """Let the item itself count for so many bytes."""
        self.num_bytes = num_bytes + len(self.note.encode())


def join_notes(*texts: str) -> str:
    """Texts as one, an empty line between them."""
    return "\n\n".join(text for text in texts if text)


def render_messages(entries: Iterable[Entry]) -> list[ChatMessage]:
    """Show items to the model: items without words and calls that broke off are left out.

    An assistant's calls belong to the message before them, if that is the assistant's too. A note
    is read behind its item, also where the item itself has no words. A reply that goes on with the
    one before it is one with it.
    """
    messages: list[ChatMessage] = []
    names: dict[str, str] = {}
    before = ""  # whose words are the last message
    for entry in entries:
        num_messages = len(messages)
        _render_item(entry, messages, names, before=before)
        if entry.note:
            messages.append(ChatMessage("system", entry.note))
            before = ""
        elif isinstance(entry.item, MessageItem) and any(entry.raw_texts):
            before = entry.id
        elif len(messages) > num_messages:
            before = ""
    return messages


def _render_item(
    entry: Entry, messages: list[ChatMessage], names: dict[str, str], *, before: str
) -> None:
    """Append what the model reads of one item.

    Args:
        entry: The item.
        messages: Those before it; grows.
        names: Of tools, by their calls; grows.
        before: Id of the assistant's message that is read right before it, if there is one.
    """
    match entry.item:
        case MessageItem(role="assistant"):
            text = "\n".join(text for text in entry.raw_texts if text)
            if text and before and entry.continues == before:
                text = messages.pop().content + text
            message = ChatMessage("assistant", text)
        case MessageItem(role=role):
            message = ChatMessage(role, entry.words)
        case FunctionCallItem(name=name, arguments=arguments, call_id=call_id, status=status):
            if status != "completed":
                return
            names[call_id or ""] = name
            call = ToolCall(call_id or "", name, arguments)
            if messages and messages[-1].role == "assistant":
                calls = (*messages[-1].tool_calls, call)
                messages[-1] = msgspec.structs.replace(messages[-1], tool_calls=calls)
                return
            message = ChatMessage("assistant", "", (call,))
        case FunctionCallOutputItem(call_id=call_id, output=output):
            message = ChatMessage("tool", output, (), call_id, names.get(call_id))
            messages.append(message)
            return
    if message.content or message.tool_calls:
        messages.append(message)


def count_bytes(item: FunctionCallItem | FunctionCallOutputItem) -> int:
    """What a call or a result counts for."""
    if isinstance(item, FunctionCallItem):
        return len(f"{item.name}{item.arguments}{item.call_id}".encode())
    return len(f"{item.call_id}{item.output}".encode())
