"""What the model reads behind a user's message, through a session."""

from __future__ import annotations

from typing import Any

from server.session.context import SessionContext
from tests.server.talk import AOI, V1, Talk, only_error, types

CARD: dict[str, Any] = {
    "spec": "chara_card_v3",
    "spec_version": "3.0",
    "data": {
        "name": "Mugi",
        "description": "{{char}} is a cat of {{user}}.",
        "first_mes": "[happy] Meow, {{user}}!",
        "alternate_greetings": ["Purr."],
        "creator_notes": "Not for the model.",
        "post_history_instructions": "Answer as a cat.",
        "character_book": {
            "entries": [
                {"keys": ["fish"], "content": "{{char}} loves mackerel.", "name": "food"},
                {"keys": ["x"], "content": "The house is in Kamakura.", "constant": True},
            ]
        },
    },
}


def cat(**character: Any) -> Talk:
    """A session with the card."""
    context = SessionContext(find_character={"aoi": AOI}.get)
    talk = Talk(granted=V1, context=context)
    talk.say("session.update", session={"character": {"card": CARD, **character}})
    return talk


def prompt(talk: Talk) -> list[tuple[str, str]]:
    """What the model reads now."""
    talk.ask()
    messages: list[tuple[str, str]] = [
        (one.role, one.content) for one in talk.generates[-1].messages
    ]
    talk.say("response.cancel")
    return messages


def test_a_card_is_the_head_of_the_prompt() -> None:
    """With macros filled in and constant lore; the creator's notes are not."""
    head = prompt(cat(user_name="Mio"))[0][1]
    assert "Mugi is a cat of Mio." in head
    assert "The house is in Kamakura." in head
    assert "mackerel" not in head
    assert "Not for the model" not in head


def test_lore_stands_behind_the_message_that_woke_it() -> None:
    """For good: the next prompt begins with the whole one before."""
    talk = cat()
    talk.user("Hello.")
    sent = talk.user("I bought a fish.")
    before = prompt(talk)
    assert before[-2:] == [("user", "I bought a fish."), ("system", "Mugi loves mackerel.")]
    noted = [event for event in sent if event["type"] == "character.memory"]
    assert [(event["op"], event["entries"]) for event in noted] == [("noted", ["food"])]
    talk.user("A big fish.")
    after = prompt(talk)
    assert after[: len(before)] == before
    assert after[-1] == ("user", "A big fish.")


def test_lore_can_be_switched_off() -> None:
    """Nothing comes up then."""
    talk = cat(lore=False)
    talk.user("fish")
    assert "mackerel" not in str(prompt(talk))


def test_instructions_for_the_end_stand_behind_the_first_message() -> None:
    """And are not moved."""
    talk = cat()
    talk.user("Hello.")
    assert prompt(talk)[-1] == ("system", "Answer as a cat.")
    talk.user("Hm.")
    assert [text for _, text in prompt(talk)][-2:] == ["Answer as a cat.", "Hm."]


def test_context_is_read_behind_the_next_message() -> None:
    """As often as was asked for."""
    talk = cat()
    assert talk.say("character.context", key="sky", text="It rains.", ttl_turns=2) == []
    for words in ("One.", "Two.", "Three."):
        talk.user(words)
    said = [text for role, text in prompt(talk) if role == "system"][1:]
    assert sum("It rains." in text for text in said) == 2


def test_a_context_without_a_name_is_refused() -> None:
    """By its field."""
    assert only_error(cat().say("character.context", key="", text="x"))["param"] == "key"


def test_a_greeting_of_a_card_is_chosen_by_its_number() -> None:
    """Of the session, or of the event."""
    talk = cat(greeting_index=1)
    assert "Purr." in str(talk.say("character.greet"))
    assert "Meow, User!" in str(talk.say("character.greet", index=0))


def test_what_is_put_in_the_middle_wakes_nothing() -> None:
    """Only what is said now."""
    talk = cat()
    talk.user("Hello.", id="u1")
    frame = {
        "type": "message",
        "role": "user",
        "content": [{"type": "input_text", "text": "fish"}],
    }
    sent = talk.say("conversation.item.create", item=frame, previous_item_id="root")
    assert "character.memory" not in types(sent)


def test_lore_that_the_model_has_forgotten_comes_up_again() -> None:
    """Once its turn is not read any more."""
    talk = cat()
    for words in ("fish", "Hm.", "fish"):
        talk.user(words)
    assert str(prompt(talk)).count("mackerel") == 1
    talk.session.note_read(1)
    talk.user("fish")
    assert str(prompt(talk)).count("mackerel") == 2
