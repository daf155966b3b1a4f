"""How changes get into a database: what is read first, and which rows are written.

Only what has changed is written. What has to be known for that, where items stand and what they
count for, is remembered between transactions (``Ledger``) and read again where somebody else has
changed the conversation meanwhile: each change has a number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from server.store.ask import Ask, Plan, Row, key
from server.store.interface import Write
from server.store.kept_entry import encode_entry
from server.store.layout import Layout, Pending, Place
from server.store.ledger import Ledger

_HEADS = """
SELECT id, principal, model, created_at, updated_at, changed, length(summary), length(note), writer
FROM conversations WHERE id = $1 FOR UPDATE"""
_PLACES = """
SELECT conversation, id, position, num_bytes, title FROM items
WHERE conversation = $1 ORDER BY position"""
_LAST_CHANGE = "SELECT coalesce(max(changed), 0) FROM conversations"
_TOTAL = "SELECT CAST(coalesce(sum(num_bytes), 0) AS BIGINT) FROM conversations"
_PUT_HEAD = """
INSERT INTO conversations (
    id, principal, model, created_at, updated_at, changed, title, num_items, num_bytes, writer)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (id) DO UPDATE SET
    model = excluded.model, updated_at = excluded.updated_at, changed = excluded.changed,
    title = excluded.title, num_items = excluded.num_items, num_bytes = excluded.num_bytes,
    writer = excluded.writer"""
_PUT_SUMMARY = "UPDATE conversations SET summary = $2 WHERE id = $1"
_PUT_NOTE = "UPDATE conversations SET note = $2 WHERE id = $1"
_PUT_ITEM = """
INSERT INTO items (conversation, id, position, num_bytes, title, body)
VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (conversation, id) DO UPDATE SET
    position = excluded.position, num_bytes = excluded.num_bytes,
    title = excluded.title, body = excluded.body"""
_MOVE_ITEM = "UPDATE items SET position = $3 WHERE conversation = $1 AND id = $2"
_ERASE_ITEM = "DELETE FROM items WHERE conversation = $1 AND id = $2"
_ERASE = "DELETE FROM conversations WHERE id = $1 RETURNING id, num_bytes"
_ERASE_OWN = "DELETE FROM conversations WHERE id = $1 AND principal = $2 RETURNING id, num_bytes"
_ERASE_ALL = "DELETE FROM conversations WHERE principal = $1 RETURNING id, num_bytes"
_ERASE_SURPLUS = """
DELETE FROM conversations WHERE id IN (
    SELECT id FROM conversations WHERE principal = $1
    ORDER BY changed DESC, id LIMIT 1000000 OFFSET $2)
RETURNING id, num_bytes"""
_OLDEST = "SELECT id, num_bytes FROM conversations ORDER BY changed, id LIMIT 32"


@dataclass(frozen=True, slots=True)
class Erase:
    """What is to be forgotten.

    Attributes:
        principal: Whose.
        conversation_id: Which; ``None`` for all.
    """

    principal: str
    conversation_id: str | None


@dataclass(frozen=True, slots=True)
class Claim:
    """A conversation that somebody goes on with; from here on nobody else writes to it.

    Attributes:
        principal: Whose it is.
        conversation_id: Which.
        writer: Who goes on.
    """

    principal: str
    conversation_id: str
    writer: str


Job = Write | Claim | Erase


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a job.

    Attributes:
        num_found: Conversations that were erased, or claimed.
        why: Of what failed, why; ``None`` where it did not.
        lost: Why the writer has the conversation no more: somebody else has ``taken`` it over, or
            it is ``gone``. Nothing has failed, and nothing is kept.
    """

    num_found: int = 0
    why: str | None = None
    lost: Literal["taken", "gone"] | None = None


def perform(ledger: Ledger, jobs: Sequence[Job]) -> Plan[Sequence[Outcome]]:
    """Do jobs in one transaction: writes and claims, or one erasure.

    Args:
        ledger: Changed; to be cleared where the transaction fails.
        jobs: In order.

    Returns:
        What each came to.
    """
    first = jobs[0]
    if isinstance(first, Erase):
        return [Outcome((yield from erase(ledger, first)))]
    return (yield from write_changes(ledger, [job for job in jobs if not isinstance(job, Erase)]))


def write_changes(ledger: Ledger, writes: Sequence[Write | Claim]) -> Plan[list[Outcome]]:
    """Keep changes, in order, in one transaction.

    What is written to a conversation that is not there any more is refused, and so is what is
    written to another principal's, or another writer's. The least recently changed conversations
    make room as soon as there are too many, also for later ones among these.

    Args:
        ledger: Changed; to be cleared where the transaction fails.
        writes: What to keep, and who writes from there on.

    Returns:
        What each came to.
    """
    outcomes: list[Outcome] = []
    ledger.begin()
    known = yield from _known(ledger, writes)
    (total,) = (yield Ask(_TOTAL, [()]))[0] if ledger.total is None else (ledger.total,)
    ((number,),) = yield Ask(_LAST_CHANGE, [()])
    unwritten: dict[str, Layout] = {}
    for write in writes:
        name = write.conversation_id
        layout = known.get(name)
        is_new = layout is None
        if isinstance(write, Claim):
            is_found = layout is not None and layout.principal == write.principal
            if layout is not None and is_found:
                layout.writer = write.writer
                unwritten[name] = layout
            outcomes.append(Outcome(int(is_found)))
            continue
        if layout is None and write.begins:
            layout = Layout(write.principal, write.model, write.at, write.at, 0, write.writer)
            known[name] = layout
        if layout is None or layout.principal != write.principal:
            outcomes.append(Outcome(lost="gone"))
            continue
        if layout.writer != write.writer:
            outcomes.append(Outcome(lost="taken"))
            continue
        outcomes.append(Outcome())
        before = 0 if is_new else layout.num_bytes
        for change in write.changes:
            layout.apply(change)
        number = max(number, layout.changed) + 1  # another server may have counted as far
        layout.model, layout.updated_at, layout.changed = write.model, write.at, number
        total += layout.num_bytes - before
        unwritten[name] = layout
        gone: list[Row] = []
        if is_new:
            yield from _put(unwritten)
            surplus = (key(write.principal), ledger.max_conversations)
            gone += yield Ask(_ERASE_SURPLUS, [surplus])
            total -= sum(num_bytes for _, num_bytes in gone)
        if total > ledger.max_bytes:
            yield from _put(unwritten)
            ((total,),) = yield Ask(_TOTAL, [()])
            oldest = yield from _erase_oldest(total - ledger.max_bytes)
            total -= sum(num_bytes for _, num_bytes in oldest)
            gone += oldest
        for erased, _ in gone:
            known.pop(_text(erased), None)
    yield from _put(unwritten)
    ledger.total = total
    for name, layout in known.items():
        ledger.put(name, layout)
    return outcomes


def erase(ledger: Ledger, what: Erase) -> Plan[int]:
    """Forget conversations; returns how many there were."""
    if what.conversation_id is None:
        gone = yield Ask(_ERASE_ALL, [(key(what.principal),)])
    else:
        gone = yield Ask(_ERASE_OWN, [(key(what.conversation_id), key(what.principal))])
    for name, num_bytes in gone:
        ledger.pop(_text(name))
        if ledger.total is not None:
            ledger.total -= num_bytes
    return len(gone)


def _known(ledger: Ledger, writes: Sequence[Write | Claim]) -> Plan[dict[str, Layout]]:
    """The conversations that there are, of those that are written to."""
    names = sorted({write.conversation_id for write in writes})  # locked in one order by all
    known: dict[str, Layout] = {}
    unread: list[tuple[bytes]] = []
    heads = yield Ask(_HEADS, [(key(name),) for name in names])
    for id, principal, model, created_at, updated_at, changed, *lengths, writer in heads:
        name = _text(id)
        layout = ledger.pop(name)
        if layout is None or layout.changed != changed:
            layout = Layout(
                _text(principal),
                _text(model),
                created_at,
                updated_at,
                changed,
                "",
                *lengths,
            )
            unread.append((bytes(id),))
        layout.writer = _text(writer)  # a claim is no change
        known[name] = layout
    for id, item_id, position, num_bytes, title in (yield Ask(_PLACES, unread)) if unread else ():
        layout = known[_text(id)]
        shown = None if title is None else _text(title)
        layout.places.append(Place(_text(item_id), position, num_bytes, shown))
        layout.items_bytes += num_bytes
    return known


def _put(unwritten: dict[str, Layout]) -> Plan[None]:
    """Write what was applied; empties the dictionary."""
    heads: list[Row] = []
    gone: list[Row] = []
    items: list[Row] = []
    moved: list[Row] = []
    summaries: list[Row] = []
    notes: list[Row] = []
    for name, layout in unwritten.items():
        pending, layout.pending = layout.pending, Pending()
        conversation = key(name)
        heads.append(_head(conversation, layout))
        gone += [(conversation, key(item_id)) for item_id in sorted(pending.gone)]
        if pending.is_moved:
            moved += [(conversation, key(p.item_id), p.position) for p in layout.places]
        items += _items(conversation, layout, pending)
        if pending.summary is not None:
            summaries.append((conversation, key(pending.summary)))
        if pending.note is not None:
            notes.append((conversation, key(pending.note)))
    unwritten.clear()
    statements = (_PUT_HEAD, _ERASE_ITEM, _MOVE_ITEM, _PUT_ITEM, _PUT_SUMMARY, _PUT_NOTE)
    for sql, params in zip(statements, (heads, gone, moved, items, summaries, notes), strict=True):
        if params:
            yield Ask(sql, params)


def _head(conversation: bytes, layout: Layout) -> Row:
    return (
        conversation,
        key(layout.principal),
        key(layout.model),
        layout.created_at,
        layout.updated_at,
        layout.changed,
        key(layout.title),
        len(layout.places),
        layout.num_bytes,
        key(layout.writer),
    )


def _items(conversation: bytes, layout: Layout, pending: Pending) -> Iterable[Row]:
    for item_id, entry in pending.entries.items():
        place = layout.place(item_id)
        title = None if place.title is None else key(place.title)
        body = encode_entry(entry)
        yield conversation, key(item_id), place.position, place.num_bytes, title, body


def _erase_oldest(surplus: int) -> Plan[list[Row]]:
    """Erase the least recently changed until so many bytes are free."""
    gone: list[Row] = []
    while surplus > 0:
        oldest = yield Ask(_OLDEST, [()])
        if not oldest:
            break
        leaving: list[Row] = []
        for row in oldest:
            if surplus <= 0:
                break
            leaving.append((row[0],))
            surplus -= row[1]
        gone += yield Ask(_ERASE, leaving)
    return gone


def _text(stored: bytes) -> str:
    return bytes(stored).decode("utf-8", "surrogatepass")
