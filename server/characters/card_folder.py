"""Keeps uploaded cards as files in the format they came in: a folder per owner, a file per card.

A file is written beside its place and moved there when it is on the disk, so that a crash leaves
the old one or the new one whole. Names of owners and cards are made here and never taken from a
client.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path

from server.cards.card import Container
from server.cards.read import MAX_FILE_BYTES, read_card
from server.cards.write import Format, write_card
from server.characters.card_file import character_from_card
from server.characters.character import Character
from server.characters.ids import is_id
from server.errors import CardError

logger = logging.getLogger(__name__)

SUFFIXES = (".json", ".png", ".charx")
_FORMATS: dict[Container, Format] = {
    "json": "json",
    "png": "png",
    "apng": "png",
    "charx": "charx",
}
MAX_FILES = 10_000
"""That are looked at when starting."""


class CardFolder:
    """The files below one folder, which is made when it is first needed."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def read(self, owner: str) -> Iterator[Character]:
        """Read what is kept of one owner, the oldest first; what cannot be read is told of, once.

        Args:
            owner: As it was called when the card was kept.
        """
        folder = self._root / folder_name(owner)
        found = [
            path
            for path in (folder.iterdir() if folder.is_dir() else ())
            if path.suffix in SUFFIXES and is_id(path.stem) and path.is_file()
        ]
        found.sort(key=lambda path: (path.stat().st_mtime_ns, path.name))
        for path in found[:MAX_FILES]:
            try:
                with path.open("rb") as file:
                    data = file.read(MAX_FILE_BYTES + 1)
                yield character_from_card(read_card(data, file=path.name), id=path.stem)
            except (OSError, CardError) as error:
                logger.warning("an uploaded card is left out: %s", error)

    def write(self, character: Character, owner: str) -> None:
        """Keep a character's card, in the place of one of the same id.

        Raises:
            OSError: The disk does not take it; what was there before stays.
            CardError: It cannot be written as it came.
        """
        card = character.card
        assert card is not None, "only cards are uploaded"
        format = _FORMATS[card.container]
        data = write_card(card, format)
        folder = self._root / folder_name(owner)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        place = folder / f"{character.id}.{format}"
        handle, name = tempfile.mkstemp(dir=folder, prefix=".new-")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(place)
        except OSError:
            Path(name).unlink(missing_ok=True)
            raise
        self._remove(character.id, folder, keep=place)
        _sync(folder)

    def remove(self, id: str, owner: str) -> None:
        """Forget a card.

        Raises:
            OSError: The disk does not let it go.
        """
        folder = self._root / folder_name(owner)
        if folder.is_dir():
            self._remove(id, folder)
            _sync(folder)

    def _remove(self, id: str, folder: Path, *, keep: Path | None = None) -> None:
        assert is_id(id), "ids are checked where they are made"
        for suffix in SUFFIXES:
            path = folder / f"{id}{suffix}"
            if path != keep:
                path.unlink(missing_ok=True)


def folder_name(owner: str) -> str:
    """Name an owner's folder: as much of its name as is safe, and a digest that tells all apart."""
    name = owner.partition(":")[0].lower()  # behind a colon stands what should not be shown
    short = re.sub(r"[^a-z0-9]+", "-", name).strip("-")[:32]
    return f"{short or 'owner'}-{hashlib.blake2b(owner.encode(), digest_size=8).hexdigest()}"


def _sync(folder: Path) -> None:
    """Have the folder's own entries on the disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
