"""What the character is doing, as idle animations want to know it; told when it changes."""

from __future__ import annotations

from msgspec import UNSET, UnsetType

from server.protocol.character_events import CharacterMood, CharacterState


class Mood:
    """Of one session's own conversation."""

    def __init__(self) -> None:
        self._state: CharacterMood = "idle"

    @property
    def state(self) -> CharacterMood:
        """What it is doing."""
        return self._state

    def change(
        self,
        state: CharacterMood,
        reason: str,
        *,
        response_id: str | UnsetType = UNSET,
    ) -> list[CharacterState]:
        """Take a new state on; nothing is told where it is the old one."""
        if state == self._state:
            return []
        self._state = state
        return [CharacterState(state=state, reason=reason, response_id=response_id)]
