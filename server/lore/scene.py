"""What a user's turn is decided by: what was said, and what the model still reads."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

from engine.chat_template import ChatMessage
from server.lore.keys import Scanned

Fill = Callable[[str], str]
"""Puts macros' values into a text of a card."""


def as_written(text: str) -> str:
    """A ``Fill`` for texts without macros."""
    return text


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """One turn of the user, at the moment its message is put into the conversation.

    Attributes:
        said: Clean words of user and assistant in order, the user's new message last; no notes.
        item_id: Of the new message.
        turn: How many messages the user has sent, this one among them; from 1, never falling.
        standing: Ids of the user's messages that the model still reads.
        num_replies: What the assistant has said, the greeting among it; ``None`` to count
            ``said``.
        greeting: Index of the greeting that opened the conversation; ``None`` if none did.
        hidden: Keys that are not to be read, but found.
        fill: For the keys and contents of entries.
    """

    said: Sequence[ChatMessage]
    item_id: str
    turn: int
    standing: Collection[str]
    num_replies: int | None = None
    greeting: int | None = None
    hidden: Sequence[str] = ()
    fill: Fill = as_written

    @property
    def message_number(self) -> int:
        """Of the new message among all, as SillyTavern counts; each turn has two."""
        return max(2 * self.turn - 1, len(self.said))

    @property
    def replies(self) -> int:
        """What the assistant has said so far."""
        if self.num_replies is not None:
            return self.num_replies
        return sum(message.role == "assistant" for message in self.said)


class Window:
    """The newest words of a scene, prepared once for each depth.

    Args:
        scene: The turn.
    """

    def __init__(self, scene: Scene) -> None:
        self._said = scene.said
        self._hidden = scene.hidden
        self._depths: dict[int, Scanned] = {}

    def newest(self, depth: int) -> Scanned:
        """What so many of the newest messages say, and the hidden keys behind them."""
        depth = min(depth, len(self._said))
        if depth not in self._depths:
            texts = [message.content for message in self._said[len(self._said) - depth :]]
            self._depths[depth] = Scanned.of("\n".join([*texts, *self._hidden]))
        return self._depths[depth]
