"""An item of a conversation as bytes on a disk, and back.

The form is JSON and has a shape of its own, so that what was written by an older server can be
read by a newer one: fields may be added with a default, and are never renamed or taken out.
"""

from __future__ import annotations

import msgspec

from server.conversation.entries import Entry
from server.protocol.items import Item, MessageItem
from server.text.tag_rules import Every, TagMode, TagRules

MAX_TITLE = 60
"""Characters."""


class _KeptTags(msgspec.Struct, kw_only=True, omit_defaults=True):
    expressions: list[str] = []
    motions: list[str] = []
    mode: TagMode = "prompt"
    every: Every = "segment"


class _KeptEntry(msgspec.Struct, kw_only=True, omit_defaults=True):
    item: Item
    raw_texts: list[str] = []
    num_bytes: int = 0
    note: str = ""
    tags: _KeptTags | None = None
    continues: str = ""
    turn_id: str = ""


_decoder = msgspec.json.Decoder(_KeptEntry)


def encode_entry(entry: Entry) -> bytes:
    """Write an entry down."""
    tags = entry.tags
    kept = _KeptTags(
        expressions=list(tags.expressions),
        motions=list(tags.motions),
        mode=tags.mode,
        every=tags.every,
    )
    return msgspec.json.encode(
        _KeptEntry(
            item=entry.item,
            raw_texts=entry.raw_texts,
            num_bytes=entry.num_bytes,
            note=entry.note,
            tags=None if tags == TagRules() else kept,
            continues=entry.continues,
            turn_id=entry.turn_id,
        )
    )


def decode_entry(body: bytes) -> Entry:
    """Read an entry.

    Raises:
        msgspec.DecodeError: It is none.
    """
    kept = _decoder.decode(body)
    tags = TagRules()
    if kept.tags is not None:
        tags = TagRules(
            expressions=tuple(kept.tags.expressions),
            motions=tuple(kept.tags.motions),
            mode=kept.tags.mode,
            every=kept.tags.every,
        )
    return Entry(
        item=kept.item,
        raw_texts=kept.raw_texts,
        num_bytes=kept.num_bytes,
        note=kept.note,
        tags=tags,
        continues=kept.continues,
        turn_id=kept.turn_id,
    )


def title_of(entry: Entry) -> str | None:
    """How a conversation is called that begins with this; ``None`` where the user did not speak."""
    if not isinstance(entry.item, MessageItem) or entry.item.role != "user":
        return None
    text = " ".join(part.text or part.transcript or "" for part in entry.item.content)
    text = " ".join(text.split())
    return text if len(text) <= MAX_TITLE else text[: MAX_TITLE - 1] + "…"
