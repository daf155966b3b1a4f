"""Messages in, the prompt's messages out."""

from __future__ import annotations

import random
from typing import Any

from engine.chat_template import ChatMessage, Role
from server.cards.lorebook import MAX_ENTRIES
from server.characters.card_file import character_from_card
from server.characters.persona import Persona, read_persona
from server.http.persona_messages import MAX_LOOKUPS, with_persona
from tests.support.cards import book, entry, make_card


def persona(*entries: dict[str, Any], **data: Any) -> Persona:
    """Of a card with lore."""
    card = make_card(system_prompt="HEAD", character_book=book(*entries), **data)
    return read_persona(character_from_card(card))


def written(who: Persona, *texts: str) -> list[str]:
    """What the model reads of a conversation, the user's words first; system texts as ``(…)``."""
    roles: list[Role] = ["user", "assistant"]
    messages = [ChatMessage(roles[n % 2], text) for n, text in enumerate(texts)]
    return [
        f"({one.content})" if one.role == "system" else one.content
        for one in with_persona(messages, who, lambda: 0.0)
    ]


def test_the_head_comes_first_and_last_words_last() -> None:
    """Around what the client sends."""
    who = persona(post_history_instructions="Be brief.")
    assert written(who, "hi", "yes?", "tea") == ["(HEAD)", "hi", "yes?", "tea", "(Be brief.)"]


def test_a_reply_that_was_begun_is_gone_on_with() -> None:
    """Nothing comes between it and what the model writes."""
    who = persona(post_history_instructions="Be brief.")
    assert written(who, "hi", "Once") == ["(HEAD)", "hi", "(Be brief.)", "Once"]


def test_a_bare_persona_adds_nothing() -> None:
    """No empty system text."""
    bare = Persona(name="x", head="", post_history="", greetings=(), books=())
    assert written(bare, "hi") == ["hi"]


def test_lore_stands_behind_the_message_that_wakes_it() -> None:
    """Once, with values for its macros, also for keys in what was said before."""
    who = persona(entry("{{char}}'s lamp is old.", "lamp"), entry("Salt.", "sea"))
    assert written(who, "the lamp", "ok", "lamp!", "ok", "the sea") == [
        *("(HEAD)", "the lamp", "(Mika's lamp is old.)", "ok", "lamp!", "ok", "the sea", "(Salt.)")
    ]


def test_each_prompt_begins_with_the_one_before() -> None:
    """Over random conversations: what was computed of a prompt is good for the next."""
    chance = random.Random(5)
    words = ["lamp", "sea", "tea", "storm", "map"]
    entries = [
        entry(f"About {word}.", word, extensions={"probability": 60, "useProbability": True})
        for word in words
    ]
    for _ in range(20):
        who = persona(*entries)
        said: list[str] = []
        before: list[str] = []
        for _turn in range(8):
            said.append(" ".join(chance.choices(words, k=2)))
            now = written(who, *said)
            assert now[: len(before)] == before
            before = now
            said.append(chance.choice(words))


def test_a_huge_book_looks_at_the_newest_messages_alone() -> None:
    """The work of one request is bounded; the newest message always counts."""
    who = persona(*(entry(f"E{n}.", f"key{n}x") for n in range(MAX_ENTRIES)))
    turns = MAX_LOOKUPS // MAX_ENTRIES + 1
    told = written(who, "key1x", "ok", *(["-", "ok"] * turns), "key2x")
    assert "(E1.)" not in told
    assert told[-1] == "(E2.)"
