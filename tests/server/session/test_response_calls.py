"""Calls of tools over one session: what is sent, what is kept, what the model reads."""

from __future__ import annotations

import json
from typing import Any

import pytest

from engine.chat_template import ChatMessage
from engine.request import FinishReason
from engine.tool_dialect import HERMES, ToolCall
from tests.server.talk import Talk, of_type, only_error, types

TOOLS = [
    {
        "type": "function",
        "name": name,
        "parameters": {"type": "object", "properties": {"n": {"type": "integer"}}},
    }
    for name in ("roll", "look")
]
ROLL, LOOK = ToolCall("", "roll", '{"n": "[happy] 6"}'), ToolCall("", "look", "{}")
CALL_OPENING = ["response.output_item.added", "conversation.item.added"]
CALL_DELTA = "response.function_call_arguments.delta"
CALL_CLOSING = [
    "response.function_call_arguments.done",
    "conversation.item.done",
    "response.output_item.done",
]


def talk_with_tools(**session: Any) -> Talk:
    """A session that may call, with a question in it."""
    talk = Talk(granted=frozenset({"character.expression"}))
    talk.say("session.update", session={"tools": TOOLS, **session})
    talk.user("roll")
    return talk


def test_a_call_is_the_standard_chain() -> None:
    """An item of its own, with its arguments as they are written."""
    talk = talk_with_tools()
    sent = talk.reply('<tool_call>\n{"name": "roll", ', '"arguments": {"n"', ": 6}}\n</tool_call>")
    assert types(sent) == [
        "response.created",
        *CALL_OPENING,
        CALL_DELTA,
        CALL_DELTA,
        *CALL_CLOSING,
        "response.done",
    ]
    done = of_type(sent, "response.function_call_arguments.done")[0]
    added = of_type(sent, "response.output_item.added")[0]["item"]
    assert (added["status"], added["arguments"], added["name"]) == ("in_progress", "", "roll")
    assert done["name"] == "roll"
    assert json.loads(done["arguments"]) == {"n": 6}
    assert done["call_id"] == added["call_id"]
    assert added["call_id"].startswith("call_")
    assert "".join(event["delta"] for event in of_type(sent, CALL_DELTA)) == done["arguments"]
    (item,) = sent[-1]["response"]["output"]
    assert item == of_type(sent, "conversation.item.done")[0]["item"]
    assert item["status"] == sent[-1]["response"]["status"] == "completed"


def test_words_and_calls_are_items_in_order() -> None:
    """A message is closed before the call after it, and each has its index."""
    talk = talk_with_tools()
    sent = talk.reply("[sad] Let me", f" see.\n{HERMES.write([ROLL, LOOK])}")
    added = of_type(sent, "response.output_item.added")
    assert [event["output_index"] for event in added] == [0, 1, 2]
    output = sent[-1]["response"]["output"]
    assert [item["type"] for item in output] == ["message", "function_call", "function_call"]
    assert output[0]["content"][0]["text"] == "Let me see."
    assert [item["name"] for item in output[1:]] == ["roll", "look"]
    assert len({item["call_id"] for item in output[1:]}) == 2
    kinds = types(sent)
    assert kinds.index("response.output_text.done") < kinds.index(CALL_DELTA)


def test_tags_are_not_looked_for_in_arguments() -> None:
    """Faces belong to words."""
    sent = talk_with_tools().reply(HERMES.write([ROLL]))
    assert not of_type(sent, "character.expression")
    assert sent[-1]["response"]["output"][0]["arguments"] == ROLL.arguments


def test_the_round_trip_gives_the_model_its_call_and_the_result() -> None:
    """Then it has the last word."""
    talk = talk_with_tools()
    call = talk.reply("Hm. " + HERMES.write([LOOK]))[-1]["response"]["output"][1]
    output = {"type": "function_call_output", "call_id": call["call_id"], "output": "a cat"}
    talk.say("conversation.item.create", item=output)
    talk.ask()
    assert talk.generates[-1].messages[1:] == [
        ChatMessage("user", "roll"),
        ChatMessage("assistant", "Hm.", (ToolCall(call["call_id"], "look", "{}"),)),
        ChatMessage("tool", "a cat", (), call["call_id"], "look"),
    ]
    assert [tool.name for tool in talk.generates[-1].tools] == ["roll", "look"]
    sent = talk.write("[happy] A cat!") + talk.write(finish=FinishReason.STOP)
    assert sent[-1]["response"]["output"][0]["content"][0]["text"] == "A cat!"


@pytest.mark.parametrize("ends", ["cancel", "length"])
def test_a_call_that_breaks_off_closes_its_chain(ends: str) -> None:
    """It is incomplete, and the model does not read it again."""
    talk = talk_with_tools()
    talk.ask()
    talk.write('<tool_call>{"name": "roll", "arguments": {"n": ')
    sent = talk.say("response.cancel") if ends == "cancel" else talk.write("", FinishReason.LENGTH)
    assert types(sent) == [*CALL_CLOSING, "response.done"]
    (item,) = sent[-1]["response"]["output"]
    assert (item["status"], item["arguments"]) == ("incomplete", '{"n": ')
    assert sent[-1]["response"]["status"] == ("cancelled" if ends == "cancel" else "incomplete")
    assert talk.session.conversation.messages() == [ChatMessage("user", "roll")]
    talk.session.conversation.check_integrity()


def test_half_a_marker_is_never_shown() -> None:
    """What may become a call is held back, and dropped with a reply that is cancelled."""
    talk = talk_with_tools()
    talk.ask()
    sent = talk.write("Well <tool_") + talk.say("response.cancel")
    assert sent[-1]["response"]["output"][0]["content"][0]["text"] == "Well"


def test_what_was_held_back_is_text_where_a_reply_completes() -> None:
    """It was no call after all."""
    sent = talk_with_tools().reply("Well <tool_")
    assert sent[-1]["response"]["output"][0]["content"][0]["text"] == "Well <tool_"


def test_without_tools_a_call_is_text() -> None:
    """Nothing is looked for; nor where tools must not be called."""
    text = HERMES.write([LOOK])
    for talk in (Talk(), talk_with_tools(tool_choice="none")):
        sent = talk.reply(text)
        assert sent[-1]["response"]["output"][0]["content"][0]["text"] == text
        assert talk.generates[-1].tools == ()


def test_a_response_may_have_its_own_tools_and_choice() -> None:
    """For it alone."""
    talk = talk_with_tools()
    talk.ask(tools=TOOLS[:1], tool_choice="required")
    generate = talk.generates[-1]
    assert [tool.name for tool in generate.tools] == ["roll"]
    assert generate.params.grammar is not None
    assert generate.params.grammar.kind == "lark"
    talk.write(finish=FinishReason.STOP)
    talk.ask()
    assert talk.generates[-1].params.grammar is None


def test_one_call_where_calls_must_not_be_parallel() -> None:
    """What the model writes beyond it is dropped."""
    talk = talk_with_tools(parallel_tool_calls=False)
    sent = talk.reply(HERMES.write([ROLL, LOOK]))
    assert [item["name"] for item in sent[-1]["response"]["output"]] == ["roll"]


def test_text_of_a_form_is_no_talk() -> None:
    """The engine is held to it, and brackets in it are no faces."""
    talk = Talk(granted=frozenset({"character.expression"}))
    schema = {"name": "n", "schema": {"type": "array"}}
    talk.say(
        "session.update",
        session={"response_format": {"type": "json_schema", "json_schema": schema}},
    )
    sent = talk.reply('["[happy]"]')
    grammar = talk.generates[-1].params.grammar
    assert grammar is not None
    assert (grammar.kind, json.loads(grammar.source)) == ("json_schema", {"type": "array"})
    assert sent[-1]["response"]["output"][0]["content"][0]["text"] == '["[happy]"]'
    talk.ask(response_format=None, structured_outputs={"regex": "a+"})
    grammar = talk.generates[-1].params.grammar
    assert grammar is not None
    assert grammar.kind == "regex"


@pytest.mark.parametrize(
    ("response", "param"),
    [
        ({"tool_choice": "required", "tools": []}, "response.tool_choice"),
        ({"tool_choice": {"type": "function", "name": "jump"}}, "response.tool_choice"),
        ({"structured_outputs": {"regex": "a"}}, "response.structured_outputs"),
        (
            {"tool_choice": "required", "response_format": {"type": "json_object"}},
            "response.response_format",
        ),
    ],
)
def test_wishes_that_contradict_each_other_are_refused(
    response: dict[str, Any], param: str
) -> None:
    """Before anything starts."""
    talk = talk_with_tools()
    error = only_error(talk.ask(**response))
    assert error["param"] == param
    assert not talk.generates


def test_a_session_that_cannot_reply_yet_still_takes_items() -> None:
    """Fields may come one by one; only a reply needs all of them."""
    talk = Talk()
    talk.say("session.update", session={"tool_choice": "required"})
    assert types(talk.user()) == ["conversation.item.added", "conversation.item.done"]
    assert only_error(talk.ask())["param"] == "response.tool_choice"


def test_an_item_of_a_reply_can_be_retrieved_while_it_is_written() -> None:
    """As it then stands, whichever item of the reply it is."""
    talk = talk_with_tools()
    talk.ask()
    sent = talk.write('Hm. <tool_call>{"name": "roll", "arguments": {"n"')
    message, call = (event["item"]["id"] for event in of_type(sent, "response.output_item.added"))
    (got,) = talk.say("conversation.item.retrieve", item_id=call)
    assert (got["item"]["arguments"], got["item"]["status"]) == ('{"n"', "in_progress")
    (got,) = talk.say("conversation.item.retrieve", item_id=message)
    assert (got["item"]["content"][0]["text"], got["item"]["status"]) == ("Hm.", "completed")
