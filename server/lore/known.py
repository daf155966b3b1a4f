"""An entry of a lorebook, and what has become of it in one session."""

from __future__ import annotations

from dataclasses import dataclass

from server.cards.lorebook import LoreEntry
from server.lore.rules import Rules
from server.lore.scene import Scene

REPEAT_AFTER_TURNS = 30
"""An entry that stands further back may be written again when it comes up."""


@dataclass(slots=True, eq=False)
class Known:
    """An entry, and what has become of it in this session.

    Attributes:
        entry: As the book has it.
        rules: What it asks for.
        book: Its book's place.
        place: Its own, among all.
        item_id: The message behind which it stands.
        turn: When it was written there.
        has_matched: It has come up before, written or not.
        sticky_until: The last message for which it needs no key.
        cooldown_until: The last message for which it stays away.
    """

    entry: LoreEntry
    rules: Rules
    book: int
    place: int
    item_id: str = ""
    turn: int = 0
    has_matched: bool = False
    sticky_until: int = 0
    cooldown_until: int = 0

    def is_standing(self, scene: Scene) -> bool:
        """Whether the model reads it, and not too far back."""
        is_near = scene.turn - self.turn < REPEAT_AFTER_TURNS
        return bool(self.item_id) and is_near and self.item_id in scene.standing

    def is_sticky(self, scene: Scene) -> bool:
        """Whether it goes on without a key."""
        return scene.message_number <= self.sticky_until

    def matched(self, number: int) -> None:
        """Note that it has come up with the message of this number."""
        rules = self.rules
        if number > self.sticky_until:
            self.sticky_until = number + rules.sticky if rules.sticky else 0
            if rules.cooldown:
                self.cooldown_until = number + rules.sticky + rules.cooldown
        self.has_matched = True
