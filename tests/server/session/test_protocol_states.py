"""Events that come in a state in which they cannot, or can hardly, be done: each has one answer."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engine.request import FinishReason
from tests.server.talk import Talk, of_type, only_error, text_of, types


def speaking() -> Talk:
    """Somebody in the middle of a reply."""
    talk = Talk()
    talk.user(id="u")
    talk.ask(turn_id="t")
    talk.write("Hel")
    return talk


def test_a_second_reply_is_refused_while_one_is_written() -> None:
    """The standard's way, where the client asks for no other."""
    talk = speaking()
    refused = only_error(talk.ask())
    assert refused["code"] == "conversation_already_has_active_response"
    assert "resp_t_1" in refused["message"]
    assert talk.session.running_responses == ["resp_t_1"]


def test_a_reply_that_is_unknown_cannot_be_cancelled() -> None:
    """And whoever speaks goes on."""
    talk = speaking()
    refused = only_error(talk.say("response.cancel", response_id="resp_nobody"))
    assert (refused["code"], refused["param"]) == ("response_cancel_not_active", "response_id")
    assert talk.session.running_responses == ["resp_t_1"]


def test_a_reply_that_has_ended_cannot_be_cancelled() -> None:
    """Its end was told already, and is told once."""
    talk = speaking()
    talk.write(finish=FinishReason.STOP)
    refused = only_error(talk.say("response.cancel", response_id="resp_t_1"))
    assert refused["code"] == "response_cancel_not_active"
    assert "ended" in refused["message"]


def test_a_reply_is_cancelled_once() -> None:
    """The second time there is nothing to cancel."""
    talk = speaking()
    talk.say("response.cancel")
    assert only_error(talk.say("response.cancel"))["code"] == "response_cancel_not_active"
    assert talk.aborts == ["resp_t_1"]


def test_a_reply_of_another_session_cannot_be_cancelled() -> None:
    """It is as unknown here as one that never was."""
    other, talk = Talk(session_id="sess_other"), speaking()
    other.ask()
    (theirs,) = other.session.running_responses
    refused = only_error(talk.say("response.cancel", response_id=theirs))
    assert refused["code"] == "response_cancel_not_active"
    assert other.session.running_responses == [theirs]


def test_an_item_of_another_session_is_not_found() -> None:
    """Nobody can look into a conversation by guessing ids."""
    other, talk = Talk(session_id="sess_other"), Talk()
    other.user("secret", id="theirs")
    for what in ("retrieve", "delete", "truncate"):
        refused = only_error(talk.say(f"conversation.item.{what}", item_id="theirs", text_end=0))
        assert refused["code"] == "item_not_found"


def test_a_turn_that_is_sent_twice_at_once_is_answered_once() -> None:
    """The second of the two is refused by the first one's name, and the reply is told whole."""
    talk = speaking()
    assert only_error(talk.ask(turn_id="t"))["code"] == "turn_already_running"
    done = talk.write("lo.", FinishReason.STOP)[-1]["response"]
    assert (done["status"], done["turn_id"]) == ("completed", "t")
    assert len(talk.generates) == 1


def test_a_turn_with_another_body_is_told_the_reply_that_it_has() -> None:
    """A name stands for one turn; what else the event asks for is not looked at."""
    talk = speaking()
    talk.write("lo.", FinishReason.STOP)
    again = talk.ask(turn_id="t", instructions="Shout.", temperature=9, input=[], continues="no")
    assert again[-1]["response"]["replayed"] is True
    assert text_of(again) == "Hello."
    assert len(talk.generates) == 1


def test_an_update_in_the_middle_of_a_turn_holds_from_the_next_one_on() -> None:
    """The reply goes on as it began."""
    talk = speaking()
    update = {"instructions": "Shout.", "temperature": 0.1}
    assert types(talk.say("session.update", session=update)) == ["session.updated"]
    (done,) = of_type(talk.write("lo.", FinishReason.STOP), "response.done")
    assert done["response"]["output"][0]["content"][0]["text"] == "Hello."
    talk.ask()
    assert talk.generates[-1].params.temperature == 0.1
    assert "Shout." in talk.generates[-1].messages[0].content


def test_an_update_that_is_refused_in_the_middle_of_a_turn_changes_nothing() -> None:
    """Not even the fields of it that were right."""
    talk = speaking()
    update = {"instructions": "Shout.", "max_output_tokens": 0}
    only_error(talk.say("session.update", session=update))
    talk.write("lo.", FinishReason.STOP)
    talk.ask()
    assert "Shout." not in talk.generates[-1].messages[0].content


def test_there_is_no_event_to_begin_or_to_sign_in() -> None:
    """A session has begun when its socket is there; whoever tries anew hears that once."""
    talk = Talk()
    for name in ("auth", "session.create", "session.resume", "ack"):
        refused = only_error(talk.say(name, event_id="e", seq=10**6))
        assert (refused["code"], refused["event_id"]) == ("unknown_event_type", "e")


def accept(talk: Talk) -> None:
    """The turn is taken, and nothing has come."""


def prefill(talk: Talk) -> None:
    """A step without a token."""
    talk.write("", num_output_tokens=0)


def decode(talk: Talk) -> None:
    """Some words have come."""
    talk.write("[happy] Hel")


def finish(talk: Talk) -> None:
    """All words have come."""
    talk.write("[happy] Hello.")
    talk.write(finish=FinishReason.STOP)


@pytest.mark.parametrize(
    ("phase", "status", "left"),
    [
        (accept, "cancelled", []),
        (prefill, "cancelled", []),
        (decode, "cancelled", ["Hel"]),
        (finish, "completed", ["Hello."]),
    ],
)
def test_a_session_may_end_in_any_phase_of_a_turn(
    phase: Callable[[Talk], None], status: str, left: list[str]
) -> None:
    """One end is told, the engine is called off where it writes, and what was said is kept."""
    talk = Talk()
    talk.user(id="u")
    talk.ask(turn_id="t")
    phase(talk)
    talk.carry_out(talk.session.close(talk.now))
    (done,) = of_type(talk.events, "response.done")
    assert done["response"]["status"] == status
    assert talk.aborts == (["resp_t_1"] if status == "cancelled" else [])
    assert [entry.words for entry in talk.session.conversation.entries][1:] == left
    assert talk.write("too late") == []
    assert talk.ask(turn_id="t") == []


def test_a_turn_that_waits_when_the_session_ends_is_refused() -> None:
    """Whatever was accepted has one end."""
    talk = speaking()
    talk.say("response.create", event_id="second", response={"if_active": "queue"})
    ended = talk.carry_out(talk.session.close(talk.now))
    (refused,) = of_type(ended, "error")
    assert refused["error"]["code"] == "response_superseded"
    assert refused["error"]["event_id"] == "second"
