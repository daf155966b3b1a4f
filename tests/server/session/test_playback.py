"""What was heard: reported by the client, told to the engine, and all that is remembered."""

from __future__ import annotations

from typing import Any

import pytest

from tests.server.talk import Event, Talk, only_error, types

ITEM = "item_t_2"


def speaking(*texts: str) -> Talk:
    """A character in the middle of a reply."""
    talk = Talk()
    talk.user("hello")
    talk.ask()
    for text in texts:
        talk.write(text)
    return talk


def play(talk: Talk, text_end: int, state: str = "started", item_id: str = ITEM) -> list[Event]:
    """Report."""
    return talk.say("character.playback", item_id=item_id, text_end=text_end, state=state)


def remembered(talk: Talk) -> str:
    """What the model will read of the reply."""
    return talk.session.conversation.entry(ITEM).raw_texts[0]


def test_a_position_is_told_to_the_engine_in_its_own_text() -> None:
    """The tags that were cut out count there."""
    talk = speaking("[happy] ", "Hello ", "there.")
    assert play(talk, 5) == []
    assert talk.heard == [("resp_t_1", len("[happy] Hello"))]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"item_id": "nowhere"}, "item_id"),
        ({"item_id": "item_t_1"}, "item_id"),
        ({"text_end": 99}, "text_end"),
        ({"text_end": -1}, "text_end"),
        ({"state": "paused"}, "state"),
    ],
)
def test_a_report_that_cannot_be_is_refused(fields: dict[str, Any], param: str) -> None:
    """Of nobody's words, of words that were not said, or in no known state."""
    talk = speaking("Hello")
    report = {"item_id": ITEM, "text_end": 1, "state": "started", **fields}
    assert only_error(talk.say("character.playback", **report))["param"] == param
    assert talk.heard == []


def test_speaking_over_a_reply_keeps_what_was_heard() -> None:
    """Without a word of the client about it in the same breath."""
    talk = speaking("[happy] Hello ", "there. How are you?")
    play(talk, 5)
    talk.user("stop")
    sent = talk.ask(if_active="interrupt")
    assert "conversation.item.truncated" in types(sent)
    assert remembered(talk) == "[happy] Hello"


def test_speaking_over_the_playback_of_a_whole_reply_keeps_what_was_heard() -> None:
    """The engine is far ahead of the voice; what counts is the voice."""
    talk = Talk()
    talk.user("hello")
    talk.reply("Hello there.")
    play(talk, 5, "finished")
    talk.user("stop")
    talk.ask(if_active="interrupt")
    assert remembered(talk) == "Hello"


def test_what_was_heard_to_the_end_is_kept_whole() -> None:
    """And so is a reply of which nothing was reported, or that nobody speaks over."""
    for text_end, if_active in ((12, "interrupt"), (None, "interrupt"), (5, "error")):
        talk = Talk()
        talk.user("hello")
        talk.reply("Hello there.")
        if text_end is not None:
            play(talk, text_end, "finished")
        sent = talk.ask(if_active=if_active)
        assert "conversation.item.truncated" not in types(sent)
        assert remembered(talk) == "Hello there."


def test_what_the_client_says_itself_counts_more() -> None:
    """``heard`` is the newer word."""
    talk = speaking("Hello there.")
    play(talk, 5)
    talk.ask(if_active="interrupt", heard={"item_id": ITEM, "text_end": 2})
    assert remembered(talk) == "He"


def test_an_interrupted_playback_truncates() -> None:
    """At once where the reply is whole."""
    talk = Talk()
    talk.user("hello")
    talk.reply("Hello there.")
    (event,) = play(talk, 5, "interrupted")
    assert (event["type"], event["text_end"]) == ("conversation.item.truncated", 5)
    assert remembered(talk) == "Hello"


def test_an_interrupted_playback_truncates_a_reply_in_the_making_when_it_ends() -> None:
    """However it ends."""
    for end in ("response.cancel", None):
        talk = speaking("Hello ", "there.")
        assert play(talk, 5, "interrupted") == []
        sent = talk.say(end) if end else talk.ask(if_active="interrupt")
        assert types(sent).count("conversation.item.truncated") == 1
        assert remembered(talk) == "Hello"
