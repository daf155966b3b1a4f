"""Characters that were sent while serving: whose they are, and how many there may be.

Each belongs to whoever sent it, and nobody else sees it; where no key is needed, that is everybody.
So two may have one id, as long as two have sent them.
"""

from __future__ import annotations

from dataclasses import dataclass

from server.characters.character import Character
from server.errors import LimitExceeded

_OBJECT_BYTES = 64
"""Of one value of JSON, about; texts come on top."""
_BYTES_PER_CHARACTER = 2
"""Of a text, which is held as it was read and as it is used."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One character and what it takes."""

    owner: str
    character: Character
    num_bytes: int


class Uploads:
    """All of them.

    Args:
        max_characters: Of one owner.
        max_bytes: Of all together, estimated.
    """

    def __init__(self, *, max_characters: int = 64, max_bytes: int = 256 * 1024 * 1024) -> None:
        self._max_characters = max_characters
        self._max_bytes = max_bytes
        self._uploads: dict[tuple[str, str], Upload] = {}

    def __len__(self) -> int:
        return len(self._uploads)

    @property
    def num_bytes(self) -> int:
        """What all take."""
        return sum(upload.num_bytes for upload in self._uploads.values())

    def of(self, owner: str) -> list[Character]:
        """What somebody has sent, the oldest first."""
        return [one.character for one in self._uploads.values() if one.owner == owner]

    def find(self, id: str, owner: str) -> Character | None:
        """Look one up; ``None`` where this owner has none of that id."""
        upload = self._uploads.get((owner, id))
        return None if upload is None else upload.character

    def check_room(self, character: Character, owner: str, num_bytes: int | None = None) -> None:
        """Find out whether there is room for one more, or for it in its namesake's place.

        Args:
            character: To be taken in.
            owner: Whose it is.
            num_bytes: Its ``footprint``, where that is known already.

        Raises:
            LimitExceeded: There is not.
        """
        way_out = "delete one with DELETE /v1/characters/{id}, or ask the server's operator"
        number = len({one.id for one in self.of(owner)} | {character.id})
        if number > self._max_characters:
            raise LimitExceeded(
                "the number of uploaded characters", number, self._max_characters, way_out
            )
        old = self._uploads.get((owner, character.id))
        own = footprint(character) if num_bytes is None else num_bytes
        total = self.num_bytes - (old.num_bytes if old else 0) + own
        if total > self._max_bytes:
            raise LimitExceeded(
                "the memory of all uploaded characters in bytes",
                total,
                self._max_bytes,
                way_out,
            )

    def put(self, character: Character, owner: str, num_bytes: int | None = None) -> bool:
        """Take one in, in the place of this owner's of the same id.

        Args:
            character: To be taken in.
            owner: Whose it is.
            num_bytes: See ``check_room``.

        Returns:
            Whether there was one.

        Raises:
            LimitExceeded: There is no room; nothing is changed.
        """
        num_bytes = footprint(character) if num_bytes is None else num_bytes
        self.check_room(character, owner, num_bytes)
        key = (owner, character.id)
        is_other = key in self._uploads
        self._uploads[key] = Upload(owner, character, num_bytes)
        return is_other

    def remove(self, id: str, owner: str) -> bool:
        """Forget one; returns whether there was one."""
        return self._uploads.pop((owner, id), None) is not None


def footprint(character: Character) -> int:
    """Estimate the bytes of memory that a character takes; of a large one, not in an instant."""
    card = character.card
    if card is None:
        return len(character.prompt.encode())
    files = sum(len(data) for data in card.files.values())
    chunks = card.picture.chunks if card.picture is not None else ()
    shown = len(character.picture.content) if character.picture is not None else 0
    return files + sum(len(one.data) for one in chunks) + shown + _length(card.raw)


def _length(value: object) -> int:
    """Estimate the bytes that a JSON value takes as Python's objects."""
    waiting, length = [value], 0
    while waiting:
        one = waiting.pop()
        length += _OBJECT_BYTES
        if isinstance(one, str):
            length += _BYTES_PER_CHARACTER * len(one)
        elif isinstance(one, dict):
            waiting += [*one.keys(), *one.values()]
        elif isinstance(one, list):
            waiting += one
    return length
