"""What a client sends once more, because it never heard what became of it."""

from __future__ import annotations

from collections.abc import Sequence

from server.conversation.entries import Entry
from server.protocol.items import FunctionCallItem, FunctionCallOutputItem, MessageItem


def is_sent_again(known: Entry, sent: Entry) -> bool:
    """Whether a client's item is the one that is here under its id.

    What was accepted is compared: where it stands and how it ended are the server's to say. An
    assistant's words are the same with their tags or, as clients hear them, without.

    Args:
        known: Of the conversation. What is still being written is nobody's to send.
        sent: As ``accept_item`` made it.
    """
    if known.is_in_progress:
        return False
    match known.item, sent.item:
        case MessageItem() as here, MessageItem() as there:
            if here.role != there.role:
                return False
            if here.content == there.content:
                return True
            # Clean text that is cleaned again may become another one.
            told = [part.text or part.transcript or "" for part in here.content]
            kinds = [part.type for part in here.content]
            return (
                here.role == "assistant"
                and sent.raw_texts in (known.raw_texts, told)
                and kinds == [part.type for part in there.content]
            )
        case FunctionCallItem() as here, FunctionCallItem() as there:
            return (here.name, here.arguments, here.call_id) == (
                there.name,
                there.arguments,
                there.call_id,
            )
        case FunctionCallOutputItem() as here, FunctionCallOutputItem() as there:
            return (here.call_id, here.output) == (there.call_id, there.output)
    return False


def reply_of(entries: Sequence[Entry], turn_id: str) -> list[Entry]:
    """What is here of the reply that answered a turn, in order; nothing where none did."""
    return [entry for entry in entries if entry.turn_id == turn_id]
