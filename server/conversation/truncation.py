"""Whether an item can be cut to what was heard of it."""

from __future__ import annotations

from server.errors import ErrorCode, InvalidValue, ProtocolError
from server.protocol.items import Item, MessageItem


def check_truncation(item: Item, content_index: int, text_end: int | None) -> MessageItem:
    """Find out whether an item can be truncated so.

    Args:
        item: Which; not changed.
        content_index: See ``Conversation.truncate``.
        text_end: See there.

    Raises:
        ProtocolError: It cannot; the field at fault is named.
    """
    if not isinstance(item, MessageItem) or item.role != "assistant":
        raise InvalidValue("item_id", "only an assistant's message can be truncated")
    refuse_in_progress(item)
    if not 0 <= content_index < len(item.content):
        raise InvalidValue(
            "content_index",
            f"content_index is {content_index}; the item has {len(item.content)} parts, "
            "counted from 0",
        )
    text = item.content[content_index].text
    if text is None:
        return item
    if text_end is None:
        raise InvalidValue(
            "audio_end_ms",
            "the part is text, which has no milliseconds; "
            "send text_end, the number of code points that were heard",
        )
    if not 0 <= text_end <= len(text):
        raise InvalidValue(
            "text_end", f"text_end is {text_end}; the text has {len(text)} code points"
        )
    return item


def refuse_in_progress(item: Item) -> None:
    """Let nobody change an item that a response is writing.

    Raises:
        ProtocolError: ``item_in_progress``.
    """
    if item.status == "in_progress":
        raise ProtocolError(
            ErrorCode.ITEM_IN_PROGRESS,
            "the item is being written; wait for its response.done, or send response.cancel first",
            param="item_id",
        )
