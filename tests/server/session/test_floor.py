"""Who has the floor: what is heard of it, who goes on, and whose turn it is."""

from __future__ import annotations

from typing import Any

import pytest

from engine.request import FinishReason
from server.session.context import SessionContext
from tests.server.talk import HARU, V1, Talk, of_type, only_error, room, text_of

STOP = FinishReason.STOP


def test_the_state_is_told_as_it_changes() -> None:
    """For idle animations."""
    talk = Talk(granted=V1)
    talk.ask()
    talk.write("[happy] Hi.")
    talk.write(finish=STOP)
    talk.ask()
    talk.say("response.cancel")
    told = [(one["state"], one["reason"]) for one in of_type(talk.events, "character.state")]
    assert told == [
        ("thinking", "asked"),
        ("speaking", "words"),
        ("idle", "finished"),
        ("thinking", "asked"),
        ("interrupted", "cancelled"),
    ]


def test_a_room_is_told_whose_turn_it_is() -> None:
    """On the wire, in the item and in the prompt, for good."""
    talk = room()
    talk.user("Haru, hello.")
    sent = talk.ask()
    [turn] = of_type(sent, "character.turn")
    assert (turn["character_id"], turn["name"]) == ("haru", "Haru")
    assert talk.generates[-1].messages[-1].content == "Haru speaks now."
    talk.write("Hey.")
    [done] = of_type(talk.write(finish=STOP), "response.done")
    assert done["response"]["output"][0]["character_id"] == "haru"
    before = talk.generates[-1].messages
    talk.user("And you?")
    talk.ask(character_id="aoi")
    assert talk.generates[-1].messages[: len(before)] == before


def test_both_personas_are_in_every_prompt_of_a_room() -> None:
    """Whoever speaks, the head is the same."""
    talk = room()
    heads = set()
    for name in ("aoi", "haru"):
        talk.ask(character_id=name)
        heads.add(talk.generates[-1].messages[0].content)
        talk.write("x", STOP)
    [head] = heads
    assert "You are Aoi." in head
    assert "You are Haru." in head


def test_somebody_who_is_not_in_the_room_cannot_speak() -> None:
    """With who is."""
    error = only_error(room().ask(character_id="zoe"))
    assert error["param"] == "response.character_id"
    assert "aoi, haru" in error["message"]


@pytest.mark.parametrize(
    ("character", "param"),
    [
        ({"group": ["aoi", "zoe"]}, "session.character.group[1]"),
        ({"group": ["aoi", "aoi"]}, "session.character.group"),
        ({"group": []}, "session.character.group"),
        ({"id": "zoe"}, "session.character.id"),
        ({"id": "aoi", "group": ["aoi"]}, "session.character.group"),
        ({"user_name": "x" * 65}, "session.character.user_name"),
        ({"greeting_index": 7}, "session.character.greeting_index"),
        ({"expressions": ["two words"]}, "session.character.expressions[0]"),
        ({"motions": ["wave", "WAVE"]}, "session.character.motions[1]"),
        ({"tags": {"mode": "maybe"}}, "session.character.tags.mode"),
        ({"tags": {"every": "word"}}, "session.character.tags.every"),
        ({"tag_dialect": "face"}, "session.character.tag_dialect"),
        ({"segment": {"min": 0}}, "session.character.segment.min"),
        ({"segment": {"max": 1}}, "session.character.segment.min"),
        ({"segment": {"langs": ["fr"]}}, "session.character.segment.langs"),
        ({"visemes": {"scheme": "arkit"}}, "session.character.visemes.scheme"),
        ({"proactive": {"idle_ms": 1}}, "session.character.proactive.idle_ms"),
        (
            {"proactive": {"idle_ms": 5000, "max_per_hour": 0}},
            "session.character.proactive.max_per_hour",
        ),
        (
            {"proactive": {"idle_ms": 5000, "instructions": "x" * 5000}},
            "session.character.proactive.instructions",
        ),
        ({"card": {"spec": 7}}, "session.character.card"),
    ],
)
def test_a_bad_setting_changes_nothing(character: dict[str, Any], param: str) -> None:
    """It is named, and the session is as before."""
    talk = room()
    before = talk.say("session.update", session={})[0]["session"]
    error = only_error(talk.say("session.update", session={"character": character}))
    assert error["param"] == param
    assert talk.say("session.update", session={})[0]["session"] == before


def test_a_reply_that_was_broken_off_can_be_gone_on_with() -> None:
    """The model goes on behind what was heard, and reads both as one afterwards."""
    talk = Talk()
    talk.user("Tell me.")
    talk.ask()
    talk.write("[happy] I like cats, and dogs too.")
    item_id = talk.session.conversation.item_ids[-1]
    talk.say("response.cancel")
    talk.say("conversation.item.truncate", item_id=item_id, text_end=12)
    talk.ask(continues=item_id)
    asked = talk.generates[-1]
    assert asked.begun == "[happy] I like cats,"
    assert asked.params.grammar is None
    assert [message.content for message in asked.messages][-1] == "Tell me."
    talk.write(" and birds.")
    talk.write(finish=STOP)
    talk.ask()
    assert talk.generates[-1].messages[-1].content == "[happy] I like cats, and birds."


@pytest.mark.parametrize("which", ["i1", "zzz"])
def test_only_the_last_reply_can_be_gone_on_with(which: str) -> None:
    """Anything else is refused by its field."""
    talk = Talk()
    talk.user("hello", id="i1")
    assert only_error(talk.ask(continues=which))["param"] == "response.continues"


def test_going_on_needs_no_tag_where_every_reply_begins_with_one() -> None:
    """Its grammar is another, as it begins in the middle of a sentence."""
    talk = Talk(granted=V1)
    talk.user("Tell me.")
    talk.ask()
    talk.write("[happy] I like cats,")
    talk.say("response.cancel")
    talk.ask(continues=talk.session.conversation.item_ids[-1])
    begun, goes_on = (asked.params.grammar for asked in talk.generates)
    assert begun is not None
    assert goes_on is not None
    assert begun.source != goes_on.source


def test_what_a_client_says_was_heard_outweighs_what_it_reported_before() -> None:
    """The last word counts; neither refuses the other."""
    talk = Talk()
    talk.ask()
    talk.write("Hello there.")
    item_id = talk.session.conversation.item_ids[-1]
    talk.say("character.playback", item_id=item_id, text_end=2, state="interrupted")
    sent = talk.ask(if_active="interrupt", heard={"item_id": item_id, "text_end": 5})
    assert of_type(sent, "error") == []
    assert talk.aborts == ["resp_t_1"]
    assert talk.session.conversation.messages()[-1].content == "Hello"


def test_behind_a_note_no_reply_goes_on() -> None:
    """What was noted is not what the character said."""
    talk = Talk()
    talk.user("Tell me.")
    talk.reply("I like cats")
    talk.say("character.trigger", name="gift")
    talk.say("response.cancel")
    error = only_error(talk.ask(continues=talk.session.conversation.item_ids[-1]))
    assert error["param"] == "response.continues"
    assert "has happened since" in error["message"]


def test_a_reply_of_which_nothing_was_heard_begins_anew() -> None:
    """The user's words before it stay in the prompt."""
    talk = Talk()
    talk.user("Tell me.")
    talk.reply("I like cats")
    item_id = talk.session.conversation.item_ids[-1]
    talk.ask(continues=item_id, heard={"item_id": item_id, "text_end": 0})
    assert talk.generates[-1].begun == ""
    assert talk.generates[-1].messages[-1].content == "Tell me."


def test_in_a_room_the_one_who_was_broken_off_goes_on() -> None:
    """Though it would be somebody else's turn; nobody else may go on for it."""
    talk = room()
    talk.user("Haru, hello.")
    talk.ask()
    talk.write("Hey, I")
    talk.say("response.cancel")
    item_id = talk.session.conversation.item_ids[-1]
    error = only_error(talk.ask(continues=item_id, character_id="aoi"))
    assert error["param"] == "response.character_id"
    [turn] = of_type(talk.ask(continues=item_id), "character.turn")
    assert turn["character_id"] == "haru"
    assert talk.generates[-1].begun == "Hey, I"


def test_nobody_leaves_a_room_of_one() -> None:
    """``group: null`` then changes nothing, not even which greeting is said."""
    talk = Talk(context=SessionContext(find_character={"haru": HARU}.get))
    card = {"name": "Mio", "first_mes": "Hi.", "alternate_greetings": ["Hello again."]}
    character = {"card": {"spec": "chara_card_v2", "data": card}, "greeting_index": 1}
    talk.say("session.update", session={"character": character})
    talk.say("session.update", session={"character": {"group": None}})
    assert text_of(talk.say("character.greet")) == "Hello again."
