"""What a session has done before and after a turn: prompts read ahead, memory made shorter."""

from __future__ import annotations

import pytest

from engine.request import FinishReason
from server.session.context import SessionContext
from server.session.effects import Compact, Discard, Prepare
from tests.server.talk import Talk, only_error, types


def eager(**fields: object) -> Talk:
    """A session that reads ahead."""
    context = SessionContext(eager_prefill=True, **fields)  # type: ignore[arg-type]
    return Talk(context=context)


def test_what_the_user_says_is_prepared() -> None:
    """It is what a plain ``response.create`` asks for afterwards."""
    talk = eager()
    talk.user("hello")
    talk.ask()
    (prepare,) = talk.ahead
    assert isinstance(prepare, Prepare)
    assert prepare.generate.messages == talk.generates[0].messages
    assert prepare.generate.conversation_id == talk.generates[0].conversation_id
    assert prepare.draft == ""


def test_nothing_is_prepared_while_a_reply_is_written() -> None:
    """Nor where the server is set so."""
    talk = eager()
    talk.ask()
    talk.user("hello")
    assert talk.ahead == []
    idle = Talk()
    idle.user("hello")
    idle.say("character.draft", text="hel")
    assert idle.ahead == []


def test_a_draft_is_prepared_behind_the_conversation() -> None:
    """It is in no item, and giving it up discards what was prepared."""
    talk = eager()
    talk.user("hello")
    assert talk.say("character.draft", text="How are") == []
    prepare = talk.ahead[-1]
    assert isinstance(prepare, Prepare)
    assert prepare.draft == "How are"
    assert [message.content for message in prepare.generate.messages][1:] == ["hello"]
    assert len(talk.session.conversation) == 1
    talk.say("character.draft", text="")
    assert talk.ahead[-1] == Discard()


def test_a_draft_that_is_too_long_is_refused() -> None:
    """Like the message that it would become."""
    error = only_error(eager().say("character.draft", text="x" * 70_000))
    assert (error["code"], error["param"]) == ("limit_exceeded", "text")


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("session.update", {"session": {"instructions": "Be brief."}}),
        ("conversation.item.delete", {"item_id": "item_t_1"}),
    ],
)
def test_what_changes_the_prompt_discards_what_was_prepared(
    kind: str, fields: dict[str, object]
) -> None:
    """Once, and only where something was."""
    talk = eager()
    talk.user("hello")
    talk.say(kind, **fields)
    assert talk.ahead[1:] == [Discard()]
    talk.say("session.update", session={"instructions": "Be very brief."})
    assert len(talk.ahead) == 2


def test_other_settings_leave_it_alone() -> None:
    """Sampling is no part of the prompt."""
    talk = eager()
    talk.user("hello")
    talk.say("session.update", session={"temperature": 0.1})
    assert len(talk.ahead) == 1


def test_a_long_conversation_is_compacted_once_nobody_waits() -> None:
    """After the reply, with the summary that the client gave."""
    talk = Talk(context=SessionContext(high_water_tokens=100))
    talk.say("session.update", session={"character": {"memory": {"summary": "They met."}}})
    talk.user("hello")
    talk.ask()
    talk.write("Hi.")
    talk.write(finish=FinishReason.STOP, num_prompt_tokens=99)
    (compact,) = talk.ahead
    assert isinstance(compact, Compact)
    assert compact.generate.summary == "They met."
    assert not compact.writes_summary
    assert [message.content for message in compact.generate.messages][-1] == "Hi."


def test_below_the_mark_and_where_the_client_forbids_it_nothing_is_compacted() -> None:
    """``truncation: disabled`` says that the model reads everything."""
    for truncation, num_prompt_tokens in (("auto", 90), ("disabled", 200)):
        talk = Talk(context=SessionContext(high_water_tokens=100))
        talk.say("session.update", session={"truncation": truncation})
        talk.user("hello")
        talk.ask()
        talk.write("Hi.", FinishReason.STOP, num_prompt_tokens=num_prompt_tokens)
        assert talk.ahead == []


def test_compacting_is_told_to_whom_it_may_concern() -> None:
    """R2: an extension event comes only to those who have asked."""
    talk = Talk(granted=frozenset({"character.v1"}))
    (event,) = talk.carry_out(talk.session.compacted(100, 60))
    assert event["type"] == "character.memory"
    assert (event["op"], event["tokens_before"], event["tokens_after"]) == ("compacted", 100, 60)
    assert Talk().session.compacted(100, 60) == []


@pytest.mark.parametrize(
    ("server", "client", "expected"),
    [(True, {}, True), (True, {"auto": False}, False), (False, {"auto": True}, True)],
)
def test_who_writes_the_summary_is_for_the_client_to_say(
    server: bool, client: dict[str, bool], expected: bool
) -> None:
    """The server's own choice holds where it does not; what holds is shown."""
    talk = Talk(context=SessionContext(high_water_tokens=1, writes_summaries=server))
    (updated,) = talk.say("session.update", session={"character": {"memory": client}})
    assert updated["session"]["character"]["memory"] == {"auto": expected}
    talk.user("hello")
    talk.reply("Hi.")
    (compact,) = talk.ahead
    assert isinstance(compact, Compact)
    assert compact.writes_summary is expected


def test_a_new_summary_is_told_kept_and_shown() -> None:
    """It is part of what is asked for next; the event comes only to those who have asked."""
    talk = Talk(granted=frozenset({"character.v1"}))
    (event,) = talk.carry_out(talk.session.summarised("They met.", 100, 60))
    assert (event["type"], event["op"]) == ("character.memory", "summarised")
    assert (event["summary"], event["tokens_before"], event["tokens_after"]) == (
        "They met.",
        100,
        60,
    )
    talk.ask()
    assert talk.generates[-1].summary == "They met."
    quiet = Talk()
    assert quiet.carry_out(quiet.session.summarised("They met.", 100, 60)) == []
    (created,) = quiet.open()
    assert created["session"]["character"]["memory"]["summary"] == "They met."


def test_a_summary_can_be_edited_and_removed() -> None:
    """What is left out of the update stays; ``null`` takes all of it back."""
    talk = Talk()
    talk.carry_out(talk.session.summarised("They met.", 100, 60))

    def update(memory: object) -> object:
        (updated,) = talk.say("session.update", session={"character": {"memory": memory}})
        talk.ask(if_active="interrupt")
        assert talk.generates[-1].summary == updated["session"]["character"]["memory"].get(
            "summary", ""
        )
        return updated["session"]["character"]["memory"]

    assert update({"auto": True}) == {"summary": "They met.", "auto": True}
    assert update({"summary": "They fell out."}) == {"summary": "They fell out.", "auto": True}
    assert update({"summary": ""}) == {"auto": True}
    assert update({"summary": "Anew."}) == {"summary": "Anew.", "auto": True}
    assert update(None) == {"auto": False}


def test_a_summary_that_is_too_long_is_refused() -> None:
    """By its path and its bound."""
    memory = {"summary": "x" * 70_000}
    error = only_error(Talk().say("session.update", session={"character": {"memory": memory}}))
    assert (error["code"], error["param"]) == (
        "limit_exceeded",
        "session.character.memory.summary",
    )


def test_an_edit_calls_off_a_summary_that_is_being_written() -> None:
    """It has not read the edit, and would take its place."""
    talk = Talk(context=SessionContext(high_water_tokens=1, writes_summaries=True))
    talk.user("hello")
    talk.reply("Hi.")
    talk.say("session.update", session={"character": {"memory": {"summary": "Mine."}}})
    assert [type(effect) for effect in talk.ahead] == [Compact, Discard]


def test_a_reply_beside_the_conversation_has_no_summary() -> None:
    """It may be about anything."""
    talk = Talk()
    talk.carry_out(talk.session.summarised("They met.", 100, 60))
    talk.ask(conversation="none")
    assert talk.generates[-1].summary == ""


def test_a_listener_is_set_and_shown() -> None:
    """The server's own comes back with ``null``."""
    talk = Talk()
    listener = {"kind": "speech", "rate": 12.0}
    (updated,) = talk.say("session.update", session={"character": {"listener": listener}})
    assert updated["session"]["character"]["listener"] == listener
    talk.ask()
    assert talk.generates[0].listener is not None
    assert talk.generates[0].listener.rate == 12.0
    (updated,) = talk.say("session.update", session={"character": {"listener": None}})
    assert updated["session"]["character"]["listener"] == {"kind": "reading"}


@pytest.mark.parametrize(
    ("listener", "field"),
    [({"kind": "deaf"}, "kind"), ({"kind": "speech", "rate": 0.0}, "rate")],
)
def test_a_listener_that_cannot_be_is_refused(listener: dict[str, object], field: str) -> None:
    """With the field's path."""
    error = only_error(Talk().say("session.update", session={"character": {"listener": listener}}))
    assert error["param"] == f"session.character.listener.{field}"


def test_a_reply_belongs_to_its_tenant_and_its_conversation() -> None:
    """One beside the conversation has no conversation, but a tenant."""
    talk = Talk(context=SessionContext(tenant="mio", cache_salt="mio"))
    talk.ask()
    talk.ask(conversation="none")
    assert [generate.tenant for generate in talk.generates] == ["mio", "mio"]
    assert [generate.conversation_id for generate in talk.generates] == ["conv_t", ""]
    assert talk.generates[0].persona == "You are Aoi."


def test_a_refusal_for_want_of_room_says_when_to_come_back() -> None:
    """In milliseconds, rounded up, beside the standard's fields."""
    talk = Talk()
    talk.ask()
    sent = talk.write(
        finish=FinishReason.ERROR, error_code="queue_full", error_message="x", retry_after_s=1.2345
    )
    assert types(sent) == ["response.done"]
    error = sent[0]["response"]["status_details"]["error"]
    assert (error["code"], error["retry_after_ms"]) == ("queue_full", 1235)
