"""What a client tells a character while they talk: ``character.context``.

A game or a stream says what has happened, under a key. It is read behind the user's next message,
once, or behind so many of them. What is said again under the same key stands in the place of what
was; an empty text forgets it. What the model has read already cannot be taken back, so that is
said: one line, behind the next message.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.errors import InvalidValue, LimitExceeded, shorten

MAX_KEYS = 64
"""That wait or are repeated at a time."""
MAX_KEY_LENGTH = 128
MAX_BYTES = 16 * 1024
"""Of all texts together."""
MAX_TURNS = 1000
"""For which one text is repeated."""
MAX_REMEMBERED = MAX_KEYS
"""Keys whose last text was read, so that it can be taken back; the oldest go."""
MAX_TAKEN_BACK = 160
"""Characters of it that are read then."""


@dataclass(frozen=True, slots=True)
class _Note:
    """What is to be said, behind how many messages, and whether it takes back what was said."""

    text: str
    turns: int
    takes_back: bool = False


class ContextNotes:
    """What waits to be said."""

    def __init__(self) -> None:
        self._notes: dict[str, _Note] = {}
        self._said: dict[str, str] = {}  # oldest first

    def __len__(self) -> int:
        return len(self._notes)

    def put(self, key: str, text: str, ttl_turns: int | None = None) -> None:
        """Take in what a client says.

        Args:
            key: Its name.
            text: What is to be read; empty to forget what was said under the key.
            ttl_turns: Behind how many of the user's messages; ``None`` for the next one alone.

        Raises:
            InvalidValue: The key is empty or too long, or the number of turns is out of range.
            LimitExceeded: There are too many keys or bytes; nothing is changed.
        """
        if not 1 <= len(key) <= MAX_KEY_LENGTH:
            raise InvalidValue(
                "key", f"key is {shorten(key)}; it must have 1 to {MAX_KEY_LENGTH} characters"
            )
        if ttl_turns is not None and not 1 <= ttl_turns <= MAX_TURNS:
            raise InvalidValue(
                "ttl_turns",
                f"ttl_turns is {ttl_turns}; it must be 1 to {MAX_TURNS}, or be left out",
            )
        text = text.strip()
        if not text:
            self._forget(key)
            return
        others = [note.text for name, note in self._notes.items() if name != key]
        if len(others) >= MAX_KEYS:
            raise LimitExceeded(
                "the number of context keys",
                len(others) + 1,
                MAX_KEYS,
                "forget some with an empty text, or send the user's next message first",
                param="key",
            )
        num_bytes = sum(len(one.encode()) for one in (*others, text))
        if num_bytes > MAX_BYTES:
            raise LimitExceeded(
                "the size of all context in bytes",
                num_bytes,
                MAX_BYTES,
                "send less, or forget some with an empty text",
                param="text",
            )
        self._notes.pop(key, None)  # it is said last, as the newest
        self._notes[key] = _Note(text, ttl_turns or 1)

    def say(self) -> str:
        """Return what is to be read behind the user's message that is sent now, by lines."""
        lines: list[str] = []
        for key, note in list(self._notes.items()):
            lines.append(note.text)
            self._said.pop(key, None)
            if not note.takes_back:
                self._remember(key, note.text)
            if note.turns > 1:
                self._notes[key] = _Note(note.text, note.turns - 1)
            else:
                del self._notes[key]
        return "\n".join(lines)

    def _forget(self, key: str) -> None:
        waiting = self._notes.pop(key, None)
        said = self._said.pop(key, "")
        if waiting is not None and waiting.takes_back:
            self._notes[key] = waiting
        elif said:
            shown = said if len(said) <= MAX_TAKEN_BACK else f"{said[:MAX_TAKEN_BACK]}…"
            self._notes[key] = _Note(f"No longer so: {shown}", 1, takes_back=True)

    def _remember(self, key: str, text: str) -> None:
        self._said[key] = text
        if len(self._said) > MAX_REMEMBERED:
            del self._said[next(iter(self._said))]
