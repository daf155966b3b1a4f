"""Takes in the cards that clients sent before this start, for principals as they become known."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from pathlib import Path

from server.characters.card_folder import CardFolder
from server.characters.catalog import Catalog
from server.characters.character import Character
from server.errors import ProtocolError

logger = logging.getLogger(__name__)

KeptCards = list[tuple[str, Character]]
"""Principals and what they have sent."""


def read_kept_cards(folder: Path, principals: Iterable[str]) -> KeptCards:
    """Read the cards of some principals; touches the disk."""
    cards = CardFolder(folder)
    return [(owner, character) for owner in principals for character in cards.read(owner)]


def take_in(kept: KeptCards, catalog: Catalog) -> None:
    """Put them into the catalog; what has no room there is left out, and said."""
    for owner, character in kept:
        try:
            catalog.put_upload(character, owner)
        except ProtocolError as error:
            logger.warning("an uploaded card is left out: %s", error.message)
