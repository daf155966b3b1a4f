"""Replies that wait, take over, are triggered, or come by themselves."""

from __future__ import annotations

from engine.request import FinishReason
from server.errors import RateLimited
from server.session.context import SessionContext
from server.session.requests import MAX_GREETING
from server.session.settings import SessionLimits
from server.session.waiting_line import MAX_WAITING
from tests.server.talk import V1, Talk, of_type, only_error, room, text_of, types

STOP = FinishReason.STOP


def test_a_queued_reply_begins_when_the_one_before_has_ended() -> None:
    """With what was said until then in its prompt, and its metadata."""
    talk = Talk(granted=V1)
    talk.ask()
    [queued] = talk.ask(if_active="queue", metadata={"n": "2"})
    assert (queued["type"], queued["position"]) == ("character.queued", 1)
    talk.write("First.")
    sent = talk.write(finish=STOP)
    created = of_type(sent, "response.created")
    assert [event["response"]["metadata"] for event in created] == [{"n": "2"}]
    assert [message.content for message in talk.generates[-1].messages] == [
        talk.generates[0].messages[0].content,
        "First.",
    ]


def test_a_client_without_the_extension_waits_in_silence() -> None:
    """The event is the extension's; the waiting is not."""
    talk = Talk()
    talk.ask()
    assert talk.ask(if_active="queue") == []
    assert len(of_type(talk.write("x", STOP), "response.created")) == 1


def test_a_queued_reply_follows_a_failed_one_too() -> None:
    """However the floor becomes free."""
    talk = Talk()
    talk.ask()
    talk.ask(if_active="queue")
    request_id = talk.generates[0].request_id
    sent = talk.carry_out(talk.session.fail_generation(request_id, OSError(), talk.now))
    assert types(sent)[-1] == "response.created"


def test_too_many_do_not_wait() -> None:
    """The bound is told, and the error carries the client's id."""
    talk = Talk()
    talk.ask()
    for _ in range(MAX_WAITING):
        talk.ask(if_active="queue")
    sent = talk.say("response.create", event_id="e9", response={"if_active": "queue"})
    error = only_error(sent)
    assert (error["param"], error["event_id"]) == ("response.if_active", "e9")
    assert str(MAX_WAITING) in error["message"]


def test_who_speaks_over_it_sends_those_who_wait_home() -> None:
    """Each hears of it by its own event."""
    talk = Talk()
    talk.ask()
    talk.say("response.create", event_id="e2", response={"if_active": "queue"})
    sent = talk.ask(if_active="interrupt")
    [error] = of_type(sent, "error")
    assert (error["error"]["code"], error["error"]["event_id"]) == ("response_superseded", "e2")
    assert len(of_type(talk.write("x", STOP), "response.created")) == 0


def test_a_cancel_without_an_id_stops_all_that_was_asked_for() -> None:
    """One by id stops that reply alone."""
    talk = Talk()
    for response_id, goes_on in ((None, False), ("resp_t_2", True)):
        talk.ask()
        talk.ask(if_active="queue")
        named = {} if response_id is None else {"response_id": response_id}
        sent = talk.say("response.cancel", **named)
        assert ("response.created" in types(sent)) is goes_on


def test_an_unknown_way_to_wait_is_refused() -> None:
    """With the ways that there are."""
    error = only_error(Talk().ask(if_active="later"))
    assert error["param"] == "response.if_active"
    assert "'queue'" in error["message"]


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


def test_a_greeting_that_is_too_long_to_be_said_at_once_is_refused() -> None:
    """With the bound; the longest one is said."""
    talk = Talk()
    for length in (MAX_GREETING, MAX_GREETING + 1):
        card = {"spec": "chara_card_v2", "data": {"name": "Mio", "first_mes": "x" * length}}
        talk.say("session.update", session={"character": {"card": card}})
        sent = talk.say("character.greet")
        if length == MAX_GREETING:
            assert len(text_of(sent)) == length
    assert (only_error(sent)["code"], only_error(sent)["param"]) == ("limit_exceeded", "index")


def test_a_greeting_in_an_unknown_language_is_refused() -> None:
    """With those that there are."""
    error = only_error(Talk().say("character.greet", language="fr"))
    assert error["param"] == "language"
    assert "'en' or 'ja'" in error["message"]


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


def test_a_reply_that_finds_no_room_interrupts_nobody() -> None:
    """It is refused before anything else happens."""
    talk = Talk(limits=SessionLimits(max_conversation_bytes=80))
    talk.user("x" * 60)
    talk.ask()
    talk.write("Hel")
    sent = talk.say("character.trigger", name="gift", if_active="interrupt", event_id="e1")
    assert only_error(sent)["code"] == "limit_exceeded"
    assert talk.session.running_responses == ["resp_t_1"]
    assert talk.aborts == []


def test_a_trigger_makes_room_for_itself() -> None:
    """As a message does, and the client is told what is gone."""
    talk = Talk(limits=SessionLimits(max_conversation_bytes=80))
    talk.user("x" * 30, id="u1")
    talk.user("x" * 30, id="u2")
    sent = talk.say("character.trigger", name="gift", if_active="interrupt")
    assert [event["item_id"] for event in of_type(sent, "conversation.item.deleted")] == ["u1"]


def test_greetings_make_room_for_each_other() -> None:
    """However often one is asked for, the conversation is bounded."""
    talk = Talk(limits=SessionLimits(max_items=3))
    for _ in range(10):
        talk.say("character.greet")
    assert len(talk.session.conversation) == 4


def test_those_who_wait_when_the_session_ends_are_told() -> None:
    """Each by its own event."""
    talk = Talk()
    talk.ask()
    talk.say("response.create", event_id="e2", response={"if_active": "queue"})
    sent = talk.carry_out(talk.session.close(talk.now))
    assert [event["error"]["event_id"] for event in of_type(sent, "error")] == ["e2"]
    assert talk.session.wake(talk.now + 1e6) == []


def test_a_greeting_is_talk_whatever_form_replies_have() -> None:
    """Its tags are not shown, and in a room it is the first one's."""
    talk = room()
    talk.say("session.update", session={"response_format": {"type": "json_object"}})
    talk.user("Haru!")
    sent = talk.say("character.greet")
    assert text_of(sent) == "Hi!"
    assert of_type(sent, "character.turn")[0]["character_id"] == "aoi"


def test_a_silence_begins_when_a_greeting_has_been_spoken() -> None:
    """As after any reply whose playback nobody reports."""
    talk = Talk(granted=V1)
    talk.say("session.update", session={"character": {"proactive": {"idle_ms": 5000}}})
    talk.say("character.greet")
    assert talk.wakes_at is not None
    assert talk.wakes_at > talk.now + 5


def test_a_refused_message_takes_nothing_from_what_waits() -> None:
    """What the client told of the world is read behind the next one."""
    talk = Talk(limits=SessionLimits(max_conversation_bytes=40))
    talk.say("character.context", key="sky", text="It rains.")
    assert only_error(talk.user("x" * 50))["code"] == "limit_exceeded"
    talk.say("session.update", session={"truncation": "disabled"})
    talk.user("x" * 25, id="u1")
    assert talk.session.conversation.messages()[-1].content == "It rains."
    talk.say("character.context", key="sky", text="It pours.")
    assert only_error(talk.user("x" * 25))["code"] == "limit_exceeded"
    talk.say("conversation.item.delete", item_id="u1")
    talk.user("hi")
    assert talk.session.conversation.messages()[-1].content == "It pours."


class Full:
    """Lets replies begin as long as it is told to, and notes what it was asked."""

    def __init__(self) -> None:
        self.is_full = False
        self.asked: list[tuple[int | None, bool]] = []

    def __call__(self, max_tokens: int | None, now: float, *, takes_over: bool) -> None:
        """Note and judge."""
        self.asked.append((max_tokens, takes_over))
        if self.is_full:
            raise RateLimited("rate_limit_exceeded", "Try again in 2s.", retry_after_s=2.0)


def test_a_reply_that_is_too_much_is_refused_before_anything_changes() -> None:
    """One error with the wait in it, and the client's own id; nobody is asked to write."""
    full = Full()
    talk = Talk(context=SessionContext(check_reply=full))
    talk.open()
    talk.user()
    full.is_full = True
    (event,) = talk.say("response.create", event_id="mine")
    error = event["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert (error["event_id"], error["retry_after_ms"]) == ("mine", 2000)
    assert error["message"].startswith("response.create was refused")
    assert talk.generates == []
    full.is_full = False
    assert talk.ask()[0]["type"] == "response.created"


def test_a_reply_that_may_not_take_over_leaves_the_other_one_alone() -> None:
    """Who is interrupted is only stopped when somebody else begins."""
    full = Full()
    talk = Talk(context=SessionContext(check_reply=full))
    talk.open()
    talk.user()
    talk.ask()
    talk.write("Well")
    full.is_full = True
    (event,) = talk.ask(if_active="interrupt")
    assert event["type"] == "error"
    assert talk.aborts == []
    assert [takes_over for _, takes_over in full.asked] == [False, True]


def test_a_reply_that_waited_is_asked_about_when_its_turn_comes() -> None:
    """Waiting is free; what cannot begin then is refused with its own id."""
    full = Full()
    talk = Talk(context=SessionContext(check_reply=full))
    talk.open()
    talk.user()
    talk.ask()
    talk.say("response.create", event_id="second", response={"if_active": "queue"})
    assert len(full.asked) == 1
    full.is_full = True
    events = talk.write("Done.", FinishReason.STOP)
    assert events[-1]["error"]["event_id"] == "second"
    assert len(talk.generates) == 1
