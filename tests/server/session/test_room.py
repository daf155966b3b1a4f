"""Whose turn it is among several."""

from __future__ import annotations

from server.characters.character import Character
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.protocol.character_objects import LocalizedText
from server.protocol.items import ContentPart, MessageItem
from server.session.room import next_speaker, speaker_note

AOI = Character(id="aoi", name=LocalizedText(en="Aoi", ja="葵"))
HARU = Character(id="haru", name=LocalizedText(en="Haru", ja="ハル"))
ROOM = (AOI, HARU)


def talk(*said: tuple[str, str]) -> Conversation:
    """A conversation of ``(who, words)``; ``user``, or a character's id."""
    conversation = Conversation("conv_t", max_items=99, max_bytes=9999)
    for index, (who, words) in enumerate(said):
        is_user = who == "user"
        part = ContentPart(type="input_text" if is_user else "output_text", text=words)
        item = MessageItem(id=f"i{index}", role="user" if is_user else "assistant", content=[part])
        item.character_id = item.character_id if is_user else who
        conversation.insert(Entry(item, [words]), None)
    return conversation


def test_the_first_begins() -> None:
    """Where nobody has spoken and nobody was named."""
    assert next_speaker(ROOM, talk(("user", "Hello, you two."))) is AOI


def test_they_take_turns() -> None:
    """Around the room."""
    assert next_speaker(ROOM, talk(("user", "hi"), ("aoi", "Hi!"), ("user", "so?"))) is HARU
    assert next_speaker(ROOM, talk(("user", "hi"), ("haru", "Hi!"), ("user", "so?"))) is AOI


def test_whom_the_user_speaks_to_answers() -> None:
    """By any of its names; the first that is named."""
    assert next_speaker(ROOM, talk(("user", "What do you think, haru?"))) is HARU
    assert next_speaker(ROOM, talk(("user", "ハルはどう？葵は？"))) is HARU


def test_a_name_within_another_word_is_nobody() -> None:
    """Where words have spaces around them; in Japanese they have none."""
    al = Character(id="al", name=LocalizedText(en="Al", ja="アル"))
    assert next_speaker((HARU, al), talk(("user", "Also, who are you?"))) is HARU
    assert next_speaker((HARU, al), talk(("user", "Tell me, Al!"))) is al
    assert next_speaker((HARU, al), talk(("user", "alさんはどう？"))) is al


def test_the_model_is_told_by_name() -> None:
    """The note is the same each time."""
    assert speaker_note(HARU) == "Haru speaks now."
