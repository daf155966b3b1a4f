"""Which responses a session starts, with what, and which it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from engine.chat_template import ChatMessage
from engine.request import FinishReason
from server.protocol.objects import RetentionRatio
from server.session.context import SessionContext
from server.session.settings import SessionLimits
from tests.server.talk import Talk, only_error, types

PERSONA = ChatMessage("system", "You are Aoi.")


def test_the_prompt_is_persona_and_conversation() -> None:
    """The system text comes first, and the model's own words keep their tags."""
    talk = Talk(context=SessionContext(cache_salt="tenant"))
    talk.user("hi")
    talk.reply("[happy] Hello.")
    talk.user("bye")
    talk.ask()
    generate = talk.generates[-1]
    assert generate.messages == [
        PERSONA,
        ChatMessage("user", "hi"),
        ChatMessage("assistant", "[happy] Hello."),
        ChatMessage("user", "bye"),
    ]
    assert generate.request_id == "resp_t_2"
    assert generate.cache_salt == "tenant"


def test_instructions_follow_the_persona() -> None:
    """A client adds to a character; only a response's own instructions replace the session's."""
    talk = Talk()
    talk.say("session.update", session={"instructions": "It is night."})
    talk.ask()
    assert talk.generates[-1].messages == [ChatMessage("system", "You are Aoi.\n\nIt is night.")]
    talk.say("response.cancel")
    talk.ask(instructions="It is day.")
    assert talk.generates[-1].messages == [ChatMessage("system", "You are Aoi.\n\nIt is day.")]


def test_without_a_character_instructions_are_the_system_text() -> None:
    """And without those there is none."""
    talk = Talk("kaiwa-demo")
    talk.user("hi")
    talk.ask()
    assert talk.generates[-1].messages == [ChatMessage("user", "hi")]
    talk.say("response.cancel")
    talk.ask(instructions="Be kind.")
    assert talk.generates[-1].messages[0] == ChatMessage("system", "Be kind.")


def test_a_character_may_speak_first() -> None:
    """A response without any item is allowed."""
    talk = Talk()
    assert types(talk.say("response.create")) == ["response.created"]
    assert talk.generates[-1].messages == [PERSONA]


def test_sampling_is_the_characters_the_sessions_and_the_responses() -> None:
    """Each lays over the one before, and the response's only once."""
    talk = Talk()
    talk.say("session.update", session={"top_p": 0.5, "logit_bias": {"5": -1}})
    talk.ask(temperature=0, seed=4, stop="END", max_output_tokens=9)
    params = talk.generates[-1].params
    assert (params.temperature, params.top_p, params.seed) == (0, 0.5, 4)
    assert (params.stop, params.max_tokens, params.logit_bias) == (["END"], 9, {5: -1})
    talk.say("response.cancel")
    talk.ask()
    generate = talk.generates[-1]
    assert (generate.params.temperature, generate.params.seed) == (0.6, None)
    assert (generate.params.max_tokens, generate.max_output_tokens) == (120, 120)


def test_inf_is_no_limit() -> None:
    """``None`` for the engine, ``inf`` on the wire."""
    talk = Talk()
    (created,) = talk.ask(max_output_tokens="inf")
    assert created["response"]["max_output_tokens"] == "inf"
    assert talk.generates[-1].max_output_tokens is None
    assert talk.generates[-1].params.max_tokens is None


def test_truncation_goes_to_whoever_builds_the_prompt() -> None:
    """The session knows no tokens."""
    talk = Talk()
    ratio = {"type": "retention_ratio", "retention_ratio": 0.5}
    talk.say("session.update", session={"truncation": ratio})
    talk.ask()
    assert talk.generates[-1].truncation == RetentionRatio(retention_ratio=0.5)


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"temperature": -1}, "response.temperature"),
        ({"max_output_tokens": 5000}, "response.max_output_tokens"),
        ({"min_tokens": 121}, "response.min_tokens"),
        ({"conversation": "mine"}, "response.conversation"),
        ({"tool_choice": "required"}, "response.tool_choice"),
        ({"metadata": {str(n): "" for n in range(17)}}, "response.metadata"),
        ({"metadata": {"k" * 65: ""}}, "response.metadata"),
        ({"metadata": {"k": "v" * 513}}, "response.metadata"),
        ({"metadata": {"k": 1}}, None),
        ({"input": [{"type": "item_reference", "id": "no"}]}, "response.input[0].id"),
        ({"input": [{"type": "item_reference", "id": "u"}] * 300}, "response.input"),
        (
            {"input": [{"type": "message", "role": "user", "content": [{"type": "input_image"}]}]},
            "response.input[0].content[0].type",
        ),
        ({"instructions": "x" * 70_000}, "response.instructions"),
    ],
)
def test_a_bad_response_is_refused_before_it_starts(
    response: dict[str, Any], param: str | None
) -> None:
    """One ``error`` that says ``response.create``, by which agents-js rejects the pending one."""
    talk = Talk()
    talk.user(id="u")
    error = only_error(talk.say("response.create", response=response, event_id="e1"))
    assert error["event_id"] == "e1"
    assert param is None or error["param"] == param
    assert "response.create" in error["message"]
    assert talk.generates == []
    assert types(talk.ask()) == ["response.created"]


def test_one_response_at_a_time_writes_the_conversation() -> None:
    """The refusal names the active one; after its end the next may start."""
    talk = Talk()
    talk.ask()
    error = only_error(talk.say("response.create", event_id="e2"))
    assert error["code"] == "conversation_already_has_active_response"
    assert error["event_id"] == "e2"
    assert "resp_t_1" in error["message"]
    talk.write("x", FinishReason.STOP)
    assert types(talk.ask()) == ["response.created"]


def test_others_run_beside_it_up_to_a_bound() -> None:
    """Their deltas interleave, each under its own id."""
    talk = Talk(limits=SessionLimits(max_parallel_responses=2))
    talk.ask()
    talk.ask(conversation="none", metadata={"topic": "mood"})
    assert only_error(talk.ask(conversation="none"))["code"] == "limit_exceeded"
    talk.write("a", request_id="resp_t_1")
    beside = talk.write("b", request_id="resp_t_2")
    assert {event["response_id"] for event in beside} == {"resp_t_2"}
    done = talk.write(finish=FinishReason.STOP, request_id="resp_t_2")[-1]
    assert done["response"]["metadata"] == {"topic": "mood"}
    assert types(talk.ask(conversation="none")) == ["response.created"]


def test_a_response_may_bring_its_own_input() -> None:
    """Items given inline or by reference take the conversation's place, for this response."""
    talk = Talk()
    talk.user("first", id="u1")
    talk.user("second", id="u2")
    inline = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "?"}]}
    talk.ask(conversation="none", input=[{"type": "item_reference", "id": "u1"}, inline])
    assert talk.generates[-1].messages == [
        PERSONA,
        ChatMessage("user", "first"),
        ChatMessage("user", "?"),
    ]
    talk.ask(conversation="none", input=[])
    assert talk.generates[-1].messages == [PERSONA]
    assert talk.session.conversation.item_ids == ["u1", "u2"]


def test_cancelling_by_id_reaches_any_response() -> None:
    """Also one beside the conversation; the other goes on."""
    talk = Talk()
    talk.ask()
    talk.ask(conversation="none")
    sent = talk.say("response.cancel", response_id="resp_t_2")
    assert sent[-1]["response"]["id"] == "resp_t_2"
    assert talk.session.running_responses == ["resp_t_1"]


def test_cancelling_without_an_id_means_the_conversations() -> None:
    """A response beside it is not touched."""
    talk = Talk()
    talk.ask(conversation="none")
    assert only_error(talk.say("response.cancel"))["code"] == "response_cancel_not_active"
    assert talk.session.running_responses == ["resp_t_1"]


@pytest.mark.parametrize("response_id", [None, "resp_t_1", "resp_other_1", "x" * 9999])
def test_cancelling_what_does_not_run_is_a_mild_error(response_id: str | None) -> None:
    """Clients know the race by the code and by the first words."""
    talk = Talk()
    talk.reply("done")
    error = only_error(talk.say("response.cancel", response_id=response_id, event_id="e1"))
    assert error["code"] == "response_cancel_not_active"
    assert error["message"].startswith("Cancellation failed")
    assert error["event_id"] == "e1"
    assert len(error["message"]) < 300


def test_an_update_in_the_middle_counts_from_the_next_response() -> None:
    """What runs goes on as it began."""
    talk = Talk()
    talk.ask()
    talk.say("session.update", session={"temperature": 0.1})
    assert talk.generates[-1].params.temperature == 0.6
    talk.write("x", FinishReason.STOP)
    talk.ask()
    assert talk.generates[-1].params.temperature == 0.1


def test_deltas_of_nobody_are_ignored() -> None:
    """A stale delta harms nothing."""
    talk = Talk()
    assert talk.write("x", request_id="resp_gone_1") == []


def test_a_barge_in_takes_one_frame() -> None:
    """Interrupt, truncate to what was heard, and answer: in this order, in one event."""
    talk = Talk()
    talk.user("hi")
    talk.ask()
    talk.write("[happy] Hello there. [sad] But")
    talk.user("wait")
    sent = talk.ask(if_active="interrupt", heard={"item_id": "item_t_2", "text_end": 5})
    assert talk.aborts == ["resp_t_1"]
    assert types(sent)[-3:] == [
        "response.done",
        "conversation.item.truncated",
        "response.created",
    ]
    assert talk.generates[-1].messages == [
        PERSONA,
        ChatMessage("user", "hi"),
        ChatMessage("assistant", "[happy] Hello"),
        ChatMessage("user", "wait"),
    ]
    assert talk.session.running_responses == ["resp_t_2"]


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"if_active": "later"}, "response.if_active"),
        ({"heard": {"item_id": "no", "text_end": 1}}, "response.heard.item_id"),
        ({"heard": {"item_id": "item_t_1", "text_end": 99}}, "response.heard.text_end"),
        ({"heard": {"item_id": "item_t_1"}}, "response.heard.text_end"),
        ({"max_output_tokens": 0}, "response.max_output_tokens"),
    ],
)
def test_a_barge_in_that_cannot_be_interrupts_nothing(response: dict[str, Any], param: str) -> None:
    """It is checked as a whole before anything is stopped."""
    talk = Talk()
    talk.ask()
    talk.write("Hello")
    error = only_error(talk.ask(**{"if_active": "interrupt", **response}))
    assert error["param"] == param
    assert talk.aborts == []
    assert talk.session.running_responses == ["resp_t_1"]


def test_a_barge_in_on_silence_just_answers() -> None:
    """The reply may have ended while the frame was on its way."""
    talk = Talk()
    talk.reply("Hello")
    sent = talk.ask(if_active="interrupt", heard={"item_id": "item_t_1", "text_end": 2})
    assert types(sent) == ["conversation.item.truncated", "response.created"]


def test_what_another_response_still_writes_cannot_have_been_heard() -> None:
    """Beside the conversation nothing is interrupted, so the item is still being written."""
    talk = Talk()
    talk.ask()
    talk.write("Hello")
    heard = {"item_id": "item_t_1", "text_end": 2}
    error = only_error(talk.ask(conversation="none", heard=heard))
    assert error["code"] == "item_in_progress"
