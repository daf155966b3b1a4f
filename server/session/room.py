"""Several characters in one conversation: whose turn it is, and how the model is told."""

from __future__ import annotations

import re
from collections.abc import Sequence

from server.characters.character import Character
from server.conversation.conversation import Conversation
from server.protocol.character_events import CharacterTurn
from server.protocol.items import MessageItem
from server.protocol.server_events import ServerEvent


def next_speaker(characters: Sequence[Character], conversation: Conversation) -> Character:
    """Choose who answers where nobody was named: whom the user spoke to, else the next in turn.

    Args:
        characters: In the room, in order; at least one.
        conversation: So far.
    """
    spoken = conversation.last_message("user")
    last = conversation.last_message("assistant")
    text = "" if spoken is None else _text(spoken).casefold()
    called = [
        (place, character)
        for character in characters
        for name in (character.name.en, character.name.ja or "")
        if name and (place := _find(name.casefold(), text)) >= 0
    ]
    if called:
        return min(called, key=lambda one: one[0])[1]
    ids = [character.id for character in characters]
    if last is None or last.character_id not in ids:
        return characters[0]
    return characters[(ids.index(str(last.character_id)) + 1) % len(characters)]


def tell_turn(speaker: Character | None, response_id: str) -> list[ServerEvent]:
    """Tell a room whose turn it is; nothing where nobody is named."""
    if speaker is None:
        return []
    return [CharacterTurn(response_id=response_id, character_id=speaker.id, name=speaker.name.en)]


def speaker_note(character: Character) -> str:
    """Tell the model who speaks next; it stands before those words for good."""
    return f"{character.name.en} speaks now."


def _find(name: str, text: str) -> int:
    """Where a name stands, and not another word that holds it; -1 for nowhere."""
    letters = "[a-z0-9]"  # no other script has spaces where one could be sure of them
    found = re.search(f"(?<!{letters}){re.escape(name)}(?!{letters})", text)
    return found.start() if found else -1


def _text(item: MessageItem) -> str:
    return " ".join(part.text or part.transcript or "" for part in item.content)
