"""Writes down what one session's conversation becomes, if anybody wants it kept."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from server.session.session import Session
from server.store.interface import ConversationStore, Write


class History:
    """Hands a session's changes to the store, in order."""

    def __init__(
        self,
        session: Session,
        store: ConversationStore | None,
        principal: str,
        *,
        is_known: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Start; nothing is written before something has changed.

        Args:
            session: Whose conversation it is.
            store: ``None`` keeps nothing.
            principal: Whose key it is.
            is_known: The store has the conversation already.
            clock: Unix time.
        """
        self._session = session
        self._store = store
        self._principal = principal
        self._has_begun = is_known
        self._clock = clock

    def keep(self) -> asyncio.Future[None] | None:
        """Write down what has changed since the last time; cheap where nothing has.

        Returns:
            Done when that is safe; ``None`` where there is nothing to wait for.
        """
        changes = self._session.take_changes()
        if not changes or self._store is None:
            return None
        written = self._store.append(
            Write(
                principal=self._principal,
                conversation_id=self._session.conversation.id,
                model=self._session.choice.model,
                at=self._clock(),
                begins=not self._has_begun,
                changes=changes,
                writer=self._session.id,
            )
        )
        self._has_begun = True
        return written

    def stop(self) -> None:
        """Keep nothing any more."""
        self._store = None
