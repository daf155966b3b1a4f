"""How what is kept is read from a database."""

from __future__ import annotations

import msgspec

from server.errors import ConversationNotFound, StoreUnavailable
from server.store.ask import Ask, Plan, Row, key
from server.store.interface import ConversationHead, Page, StoredConversation
from server.store.kept_entry import decode_entry

_HEAD = "id, model, created_at, updated_at, title, num_items"
_FIRST_PAGE = f"""
SELECT {_HEAD} FROM conversations WHERE principal = $1
ORDER BY changed DESC, id DESC LIMIT $2"""
_NEXT_PAGE = f"""
SELECT {_HEAD} FROM conversations WHERE principal = $1 AND (changed, id) < ($3, $4)
ORDER BY changed DESC, id DESC LIMIT $2"""
_CHANGED = "SELECT changed FROM conversations WHERE id = $1 AND principal = $2"
_CONVERSATION = f"""
SELECT {_HEAD}, summary, note FROM conversations WHERE id = $1 AND principal = $2"""
_BODIES = "SELECT body FROM items WHERE conversation = $1 ORDER BY position"
_NAMES = """
SELECT id FROM conversations WHERE principal = $1 AND id > $2 ORDER BY id LIMIT $3"""


def read_page(principal: str, limit: int, after: str | None) -> Plan[Page]:
    """As ``ConversationStore.list``."""
    if after is None:
        rows = yield Ask(_FIRST_PAGE, [(key(principal), limit + 1)])
    else:
        found = yield Ask(_CHANGED, [(key(after), key(principal))])
        if not found:
            raise ConversationNotFound(after)
        rows = yield Ask(_NEXT_PAGE, [(key(principal), limit + 1, found[0][0], key(after))])
    return Page(tuple(_head(row) for row in rows[:limit]), len(rows) > limit)


def read_conversation(principal: str, conversation_id: str) -> Plan[StoredConversation]:
    """As ``ConversationStore.load``."""
    found = yield Ask(_CONVERSATION, [(key(conversation_id), key(principal))])
    if not found:
        raise ConversationNotFound(conversation_id)
    *head, summary, note = found[0]
    bodies = yield Ask(_BODIES, [(key(conversation_id),)])
    try:
        entries = tuple(decode_entry(body) for (body,) in bodies)
    except msgspec.DecodeError:
        raise StoreUnavailable("an item of it was written in a way that is not known") from None
    return StoredConversation(
        head=_head(head), entries=entries, summary=_text(summary), note=_text(note)
    )


def read_names(principal: str, after: str, limit: int) -> Plan[list[str]]:
    """Names of somebody's conversations, in alphabetical order, beginning behind one."""
    rows = yield Ask(_NAMES, [(key(principal), key(after), limit)])
    return [_text(name) for (name,) in rows]


def _head(row: Row) -> ConversationHead:
    id, model, created_at, updated_at, title, num_items = row
    return ConversationHead(
        id=_text(id),
        model=_text(model),
        created_at=created_at,
        updated_at=updated_at,
        title=_text(title),
        num_items=num_items,
    )


def _text(stored: bytes) -> str:
    return bytes(stored).decode("utf-8", "surrogatepass")
