"""An item of a conversation, and how the model reads a row of them.

An assistant's words are kept twice: clean for the client, and raw, with the expression tags, for
the model, so that it goes on as it began. Everything else is kept once.
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
        num_bytes: What it counts for.
        tags: Those that its raw texts may hold.
    """

    item: Item
    raw_texts: list[str] = field(default_factory=list)
    num_bytes: int = 0
    tags: TagRules = TagRules()

    @property
    def id(self) -> str:
        """The item's id."""
        return self.item.id or ""

    @property
    def is_in_progress(self) -> bool:
        """Whether a response is writing it."""
        return self.item.status == "in_progress"


def render_messages(entries: Iterable[Entry]) -> list[ChatMessage]:
    """Show items to the model: items without words and calls that broke off are left out.

    An assistant's calls belong to the message before them, if that is the assistant's too.
    """
    messages: list[ChatMessage] = []
    names: dict[str, str] = {}
    for entry in entries:
        match entry.item:
            case MessageItem(role="assistant"):
                text = "\n".join(text for text in entry.raw_texts if text)
                message = ChatMessage("assistant", text)
            case MessageItem(role=role, content=content):
                texts = [part.text or part.transcript or "" for part in content]
                message = ChatMessage(role, "\n".join(texts))
            case FunctionCallItem(name=name, arguments=arguments, call_id=call_id, status=status):
                if status != "completed":
                    continue
                names[call_id or ""] = name
                call = ToolCall(call_id or "", name, arguments)
                if messages and messages[-1].role == "assistant":
                    calls = (*messages[-1].tool_calls, call)
                    messages[-1] = msgspec.structs.replace(messages[-1], tool_calls=calls)
                    continue
                message = ChatMessage("assistant", "", (call,))
            case FunctionCallOutputItem(call_id=call_id, output=output):
                message = ChatMessage("tool", output, (), call_id, names.get(call_id))
                messages.append(message)
                continue
        if message.content or message.tool_calls:
            messages.append(message)
    return messages


def count_bytes(item: FunctionCallItem | FunctionCallOutputItem) -> int:
    """What a call or a result counts for."""
    if isinstance(item, FunctionCallItem):
        return len(f"{item.name}{item.arguments}{item.call_id}".encode())
    return len(f"{item.call_id}{item.output}".encode())
