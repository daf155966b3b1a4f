"""A session's character speaks unasked: it greets, speaks of what happens, and breaks a silence."""

from __future__ import annotations

from engine.request import FinishReason
from tests.server.talk import V1, Talk, of_type, only_error, text_of, types

STOP = FinishReason.STOP


def test_a_greeting_is_a_reply_that_needs_no_engine() -> None:
    """The whole chain, with its face, and the model reads it later with its tag."""
    talk = Talk(granted=V1)
    sent = talk.say("character.greet", language="ja")
    assert types(sent)[0] == "response.created"
    assert types(sent)[-1] == "response.done"
    assert text_of(sent) == "やあ！"
    assert [face["name"] for face in of_type(sent, "character.expression")] == ["happy"]
    assert talk.generates == []
    talk.user()
    talk.ask()
    assert talk.generates[-1].messages[1].content == "[happy] やあ！"


def test_a_greeting_that_is_not_there_is_refused() -> None:
    """With how many there are."""
    error = only_error(Talk().say("character.greet", index=1))
    assert error["param"] == "index"
    assert "1 greetings" in error["message"]


def test_nobody_greets_into_a_reply() -> None:
    """The usual refusal."""
    talk = Talk()
    talk.ask()
    error = only_error(talk.say("character.greet"))
    assert error["code"] == "conversation_already_has_active_response"


def test_a_trigger_makes_the_character_speak_of_it() -> None:
    """The model is told behind what was said, and the client's items stay as they are."""
    talk = Talk(granted=V1)
    talk.user("hello", id="u1")
    sent = talk.say("character.trigger", name="gift", params={"what": "cake"})
    last = talk.generates[-1].messages[-1]
    assert last.role == "system"
    assert '"what": "cake"' in last.content
    assert of_type(sent, "character.state")[0]["reason"] == "trigger"
    assert talk.session.conversation.item_ids == ["u1"]


def test_a_trigger_may_wait_its_turn() -> None:
    """The note is put there when it begins, not before."""
    talk = Talk()
    talk.ask()
    talk.say("character.trigger", name="gift", if_active="queue")
    talk.write("Hi.")
    talk.write(finish=STOP)
    assert "gift" in talk.generates[-1].messages[-1].content
    assert talk.generates[-1].messages[-2].content == "Hi."


def test_after_a_silence_the_character_speaks() -> None:
    """With what it is told, after the time that was set; a user who speaks ends the silence."""
    talk = Talk(granted=V1)
    talk.say(
        "session.update",
        session={"character": {"proactive": {"idle_ms": 5000, "instructions": "Sing."}}},
    )
    assert talk.wakes_at == talk.now + 5
    sent = talk.wait()
    assert of_type(sent, "character.state")[0]["reason"] == "proactive"
    assert talk.generates[-1].messages[-1].content == "Sing."
    assert talk.wakes_at is None
    talk.write("La.")
    talk.write(finish=STOP)
    assert talk.wakes_at is not None
    talk.user("Nice!")
    assert talk.wakes_at is None


def test_waking_too_early_does_nothing() -> None:
    """A timer that was set for something else may still ring."""
    talk = Talk()
    talk.say("session.update", session={"character": {"proactive": {"idle_ms": 5000}}})
    assert talk.carry_out(talk.session.wake(talk.now + 1)) == []
    assert talk.wakes_at == talk.now + 5


def test_what_the_model_remembers_is_told() -> None:
    """To those who want to know, and to nobody after the end; a summary is a setting from then."""
    talk = Talk(granted=V1)
    (told,) = talk.carry_out(talk.session.compacted(900, 400))
    assert (told["op"], told["tokens_before"], told["tokens_after"]) == ("compacted", 900, 400)
    (told,) = talk.carry_out(talk.session.summarised("They met.", 900, 500))
    assert (told["op"], told["summary"]) == ("summarised", "They met.")
    talk.ask()
    assert "They met." in talk.generates[-1].summary
    talk.session.close(talk.now)
    assert talk.session.compacted(900, 400) == talk.session.summarised("x", 900, 400) == []
    assert Talk().session.compacted(900, 400) == []
