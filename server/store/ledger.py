"""What a store's writer remembers from one transaction to the next, so as not to read it again."""

from __future__ import annotations

from collections import OrderedDict

from server.store.layout import Layout

MAX_PLACES = 50_000
"""Items whose places are remembered, about 15 MB; those of the least recently changed go first.

One that is not is read again, with an index, before its conversation is next written to."""
RECOUNT_AFTER = 64
"""Transactions after which all bytes are counted anew, for other servers write too."""


class Ledger:
    """What the writer remembers from one transaction to the next.

    Attributes:
        total: Bytes of all conversations, about; ``None`` where they have to be counted.
    """

    def __init__(self, *, max_conversations: int, max_bytes: int) -> None:
        """Know nothing yet.

        Args:
            max_conversations: Of one principal.
            max_bytes: Of all together, about.
        """
        self.max_conversations = max_conversations
        self.max_bytes = max_bytes
        self.total: int | None = None
        self._layouts: OrderedDict[str, Layout] = OrderedDict()
        self._num_places = 0
        self._age = 0

    def clear(self) -> None:
        """Forget everything: a transaction has failed, or may have."""
        self.total = None
        self._layouts.clear()
        self._num_places = 0

    def begin(self) -> None:
        """Another transaction begins."""
        self._age += 1
        if self._age >= RECOUNT_AFTER:
            self._age, self.total = 0, None

    def pop(self, conversation_id: str) -> Layout | None:
        """Take a conversation out, if it is known."""
        layout = self._layouts.pop(conversation_id, None)
        if layout is not None:
            self._num_places -= 1 + len(layout.places)
        return layout

    def put(self, conversation_id: str, layout: Layout) -> None:
        """Remember a conversation as it is written now; others may make room."""
        self._layouts[conversation_id] = layout
        self._num_places += 1 + len(layout.places)
        while self._num_places > MAX_PLACES and len(self._layouts) > 1:
            self.pop(next(iter(self._layouts)))
