"""All that is written behind one message of the user, in an order that never changes."""

from __future__ import annotations

from server.lore.context_notes import ContextNotes
from server.lore.lore import Lore, Woken
from server.lore.post_history import PostHistory
from server.lore.scene import Scene


class NoteWriter:
    """Composes the notes of one session.

    Args:
        lore: What may come up; ``None`` where lore is off.

    Attributes:
        context: What the client tells; filled by whoever receives its events.
        post_history: Where the instructions stand.
        woken: What came up with the last message.
    """

    def __init__(self, lore: Lore | None = None) -> None:
        self.lore = lore
        self.context = ContextNotes()
        self.post_history = PostHistory()
        self.woken: list[Woken] = []

    def compose(
        self, scene: Scene, *, instructions: str = "", num_read_since: int | None = None
    ) -> str:
        """Return the note behind the user's new message; empty for none.

        It is remembered as standing there: call it once for each message, and put what it returns
        behind that message. What the character knows comes first, then what has happened, then how
        to reply, as nearest to the reply.

        Args:
            scene: The turn.
            instructions: The card's post-history instructions, macros filled in.
            num_read_since: See ``PostHistory.say``.
        """
        self.woken = self.lore.wake(scene) if self.lore is not None else []
        parts = ["\n".join(entry.text for entry in self.woken), self.context.say()]
        parts.append(
            self.post_history.say(
                instructions,
                item_id=scene.item_id,
                standing=scene.standing,
                num_read_since=num_read_since,
            )
        )
        return "\n\n".join(part for part in parts if part)
