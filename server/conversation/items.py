"""Checks the items that clients send, and makes them the conversation's own."""

from __future__ import annotations

import msgspec

from server.conversation.conversation import ROOT
from server.conversation.entries import Entry, count_bytes
from server.errors import ErrorCode, InvalidValue, LimitExceeded, Unsupported, shorten
from server.protocol.items import (
    ContentPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    Item,
    MessageItem,
)
from server.text.tag_rules import TagRules
from server.text.tags import strip_tags

MAX_ID_LENGTH = 128
MAX_PARTS = 64


def accept_item(item: Item, *, item_id: str, tags: TagRules, max_bytes: int, path: str) -> Entry:
    """Make an entry of a client's item.

    Args:
        item: As it was sent; not changed.
        item_id: Its id where the client chose none.
        tags: What is taken out of an assistant's words.
        max_bytes: Most bytes of text in one item.
        path: Where it stands in the client's event, for messages.

    Raises:
        ProtocolError: It cannot be taken: audio or images, a part that the role cannot have, a
            bad id, or too large.
    """
    if item.id is not None:
        _check_id(item.id, path)
        item_id = item.id
    match item:
        case MessageItem():
            entry = _accept_message(item, item_id, tags, path)
            num_bytes = sum(_num_bytes(part) for part in item.content)
        case FunctionCallItem():
            call_id = item.call_id or f"call_{item_id}"
            entry = Entry(
                FunctionCallItem(
                    id=item_id, name=item.name, arguments=item.arguments, call_id=call_id
                )
            )
            num_bytes = count_bytes(item)
        case FunctionCallOutputItem():
            entry = Entry(
                FunctionCallOutputItem(id=item_id, call_id=item.call_id, output=item.output)
            )
            num_bytes = count_bytes(item)
    if num_bytes > max_bytes:
        raise LimitExceeded(
            "the item's size in bytes", num_bytes, max_bytes, "send less at once", param=path
        )
    entry.num_bytes = num_bytes
    return entry


def _check_id(item_id: str, path: str) -> None:
    if not 1 <= len(item_id) <= MAX_ID_LENGTH or item_id == ROOT:
        raise InvalidValue(
            f"{path}.id",
            f"{path}.id is {shorten(item_id)}; it must have 1 to {MAX_ID_LENGTH} characters "
            f"and not be {ROOT!r}",
        )


def _accept_message(item: MessageItem, item_id: str, tags: TagRules, path: str) -> Entry:
    if len(item.content) > MAX_PARTS:
        raise LimitExceeded(
            "the number of parts",
            len(item.content),
            MAX_PARTS,
            "join texts into one part",
            param=f"{path}.content",
        )
    content = [
        _accept_part(part, item.role, f"{path}.content[{index}]")
        for index, part in enumerate(item.content)
    ]
    raw_texts: list[str] = []
    if item.role == "assistant":
        raw_texts = [part.text or part.transcript or "" for part in content]
        content = [_clean(part, tags) for part in content]
    accepted = MessageItem(id=item_id, role=item.role, content=content)
    return Entry(accepted, raw_texts, tags=tags)


def _accept_part(part: ContentPart, role: str, path: str) -> ContentPart:
    """Check one part against its role; audio is taken for its transcript alone."""
    direction = "output" if role == "assistant" else "input"
    match part.type:
        case "text" | "input_text" | "output_text":
            if part.type not in ("text", f"{direction}_text"):
                raise InvalidValue(
                    f"{path}.type",
                    f"{path}.type is {part.type!r}; a message of role {role!r} has "
                    f"'{direction}_text'",
                )
            if part.text is None:
                raise InvalidValue(
                    f"{path}.text",
                    f"{path}.text is missing",
                    code=ErrorCode.MISSING_REQUIRED_PARAMETER,
                )
            return ContentPart(type=f"{direction}_text", text=part.text)  # type: ignore[arg-type]
        case "input_image":
            raise Unsupported(
                f"{path}: this server reads text only, no images; describe the picture in words",
                code=ErrorCode.UNSUPPORTED_MODALITY,
                param=f"{path}.type",
            )
        case _:
            if part.transcript is None or role == "system":
                raise Unsupported(
                    f"{path}: this server reads text only; send text, or audio with its transcript",
                    code=ErrorCode.UNSUPPORTED_MODALITY,
                    param=f"{path}.type",
                )
            return ContentPart(type=f"{direction}_audio", transcript=part.transcript)  # type: ignore[arg-type]


def _clean(part: ContentPart, tags: TagRules) -> ContentPart:
    text = strip_tags(
        part.text or part.transcript or "", tags.shown_expressions, tags.shown_motions
    )
    if part.text is not None:
        return msgspec.structs.replace(part, text=text)
    return msgspec.structs.replace(part, transcript=text)


def _num_bytes(part: ContentPart) -> int:
    return len((part.text or "").encode()) + len((part.transcript or "").encode())
