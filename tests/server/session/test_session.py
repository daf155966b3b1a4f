"""A session's configuration and conversation: events in, events out."""

from __future__ import annotations

from typing import Any

import pytest

from engine.chat_template import ChatMessage
from engine.request import FinishReason
from server.characters.character import VRM_EXPRESSIONS
from server.protocol.character_events import CHARACTER_EVENTS, event_name
from server.protocol.objects import ResumeObject
from server.session.context import SessionContext
from server.session.settings import SessionLimits
from tests.server.talk import V1, Talk, only_error, types


def update(talk: Talk, **session: Any) -> list[dict[str, Any]]:
    """Send a ``session.update``."""
    return talk.say("session.update", session=session, event_id="e1")


ALL = sorted(event_name(kind) for kind in CHARACTER_EVENTS)


def test_the_first_event_describes_the_session() -> None:
    """All that a page needs to draw somebody is in it, and the persona is not."""
    talk = Talk(context=SessionContext(expires_at=1_800_000_000))
    (created,) = talk.open()
    session = created["session"]
    assert created["event_id"] == "evt_t_1"
    assert (session["id"], session["object"], session["type"]) == (
        "sess_t",
        "realtime.session",
        "realtime",
    )
    assert (session["model"], session["output_modalities"]) == ("aoi", ["text"])
    assert (session["temperature"], session["max_output_tokens"]) == (0.6, 120)
    assert session["expires_at"] == 1_800_000_000
    assert session["character"]["name"] == {"en": "Aoi", "ja": "葵"}
    assert session["character"]["greeting"] == {"en": "Hi!", "ja": "やあ！"}
    assert session["character"]["events"] == []
    assert "You are Aoi" not in str(created)


def test_a_recorded_session_says_so_and_no_other_does() -> None:
    """With what is kept of its words; an update shows it again."""
    (created,) = Talk(context=SessionContext(recording="none")).open()
    assert created["session"]["recording"] == {"text": "none"}
    (created,) = Talk().open()
    assert "recording" not in created["session"]


def test_a_resumable_session_says_how_to_come_back() -> None:
    """The token rides on ``session.created`` as an extra field."""
    talk = Talk()
    effects = talk.session.open(0.0, resume=ResumeObject(token="tok", window_s=60))
    (created,) = talk.carry_out(effects)
    assert created["session"]["resume"] == {"token": "tok", "window_s": 60.0}


def test_an_update_changes_what_it_names_and_shows_everything() -> None:
    """Two updates add up, and each answer is the full configuration."""
    talk = Talk()
    update(talk, instructions="Be brief.")
    (updated,) = update(talk, temperature=0.2, max_output_tokens="inf", truncation="disabled")
    assert updated["type"] == "session.updated"
    session = updated["session"]
    assert session["instructions"] == "Be brief."
    assert (session["temperature"], session["top_p"]) == (0.2, 0.9)
    assert (session["max_output_tokens"], session["truncation"]) == ("inf", "disabled")


def test_null_goes_back_to_the_characters_value() -> None:
    """What was set can be unset."""
    talk = Talk()
    update(talk, temperature=0.1, max_output_tokens=5, instructions="x", seed=3)
    (updated,) = update(
        talk, temperature=None, max_output_tokens=None, instructions=None, seed=None
    )
    session = updated["session"]
    assert (session["temperature"], session["max_output_tokens"]) == (0.6, 120)
    assert session["instructions"] == ""
    assert "seed" not in session


def test_audio_settings_are_tolerated_and_audio_becomes_text() -> None:
    """Clients that want audio by default must not fail at the start."""
    (updated,) = update(
        Talk(),
        type="realtime",
        output_modalities=["audio"],
        audio={"input": {"turn_detection": None}, "output": {"voice": "marin"}},
        tracing="auto",
        include=["item.input_audio_transcription.logprobs"],
    )
    assert updated["session"]["output_modalities"] == ["text"]


def test_what_a_reply_may_be_is_kept_and_shown() -> None:
    """As the client wrote it; ``null`` goes back to the default."""
    fields = {
        "tools": [{"type": "function", "name": "roll", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "roll"},
        "parallel_tool_calls": False,
        "response_format": {"type": "json_object"},
        "structured_outputs": {"choice": ["a"]},
    }
    talk = Talk()
    (updated,) = update(talk, **fields)
    assert {name: updated["session"][name] for name in fields} == fields
    (updated,) = update(talk, **dict.fromkeys(fields))
    assert updated["session"]["tools"] == []
    assert updated["session"]["tool_choice"] == "auto"
    assert updated["session"]["parallel_tool_calls"] is True
    assert "response_format" not in updated["session"]


@pytest.mark.parametrize(
    ("session", "param"),
    [
        ({"type": "transcription"}, "session.type"),
        ({"model": "other"}, "session.model"),
        ({"temperature": -1}, "session.temperature"),
        ({"temperature": 1e9}, "session.temperature"),
        ({"top_p": 0}, "session.top_p"),
        ({"top_p": 1.1}, "session.top_p"),
        ({"top_k": -2}, "session.top_k"),
        ({"top_k": 2**31}, "session.top_k"),
        ({"min_p": 2}, "session.min_p"),
        ({"seed": 2**64}, "session.seed"),
        ({"stop": [""]}, "session.stop"),
        ({"stop": ["x"] * 1000}, "session.stop"),
        ({"stop": "x" * 65536}, "session.stop"),
        ({"repetition_penalty": 0}, "session.repetition_penalty"),
        ({"presence_penalty": 3}, "session.presence_penalty"),
        ({"logit_bias": {"-1": 1}}, "session.logit_bias"),
        ({"logit_bias": {str(number): 1 for number in range(2000)}}, "session.logit_bias"),
        ({"logit_bias": {"9" * 30: 1}}, "session.logit_bias"),
        ({"stop_token_ids": [2**70]}, "session.stop_token_ids"),
        ({"min_tokens": 200}, "session.min_tokens"),
        ({"max_output_tokens": 0}, "session.max_output_tokens"),
        ({"max_output_tokens": 4097}, "session.max_output_tokens"),
        ({"max_output_tokens": "12"}, "session.max_output_tokens"),
        ({"tool_choice": "perhaps"}, "session.tool_choice"),
        ({"tool_choice": {"type": "function"}}, "session.tool_choice.name"),
        ({"tools": [{"type": "mcp", "server_label": "x"}]}, "session.tools[0].type"),
        ({"response_format": {"type": "xml"}}, "session.response_format.type"),
        ({"structured_outputs": {"regex": ""}}, "session.structured_outputs.regex"),
        ({"tools": [{"type": "function"}]}, "session.tools[0].name"),
        ({"tools": [{"type": "function", "name": "f"}] * 129}, "session.tools"),
        ({"output_modalities": ["smell"]}, "session.output_modalities"),
        ({"truncation": "never"}, "session.truncation"),
        (
            {"truncation": {"type": "retention_ratio", "retention_ratio": 0}},
            "session.truncation.retention_ratio",
        ),
        ({"instructions": "x" * 70_000}, "session.instructions"),
    ],
)
def test_a_bad_update_changes_nothing(session: dict[str, Any], param: str) -> None:
    """One ``error`` names the field and the client's event; nothing of the update is applied."""
    talk = Talk()
    error = only_error(update(talk, **{"top_k": 7, **session}))
    assert (error["type"], error["param"]) == ("invalid_request_error", param)
    assert error["event_id"] == "e1"
    assert "response.create" not in error["message"]
    assert len(error["message"]) < 400
    assert "top_k" not in update(talk)[0]["session"]


@pytest.mark.parametrize("model", ["aoi", "kaiwa-demo@aoi"])
def test_naming_the_same_model_is_no_change(model: str) -> None:
    """SDKs send the model again."""
    assert types(update(Talk(), model=model)) == ["session.updated"]


def test_a_model_by_habit_is_passed_over_where_models_are_known() -> None:
    """An SDK's default name spoils no update; a real wish to switch is refused."""
    talk = Talk(context=SessionContext(known_models=frozenset({"aoi", "mia"})))
    (updated,) = update(talk, model="gpt-realtime", instructions="Be kind.")
    assert (updated["session"]["model"], updated["session"]["instructions"]) == ("aoi", "Be kind.")
    assert only_error(update(talk, model="mia"))["param"] == "session.model"


def test_extension_events_are_granted_on_request() -> None:
    """R2: known names are granted, unknown ones left out, and the list is shown."""
    talk = Talk()
    for events, granted in (
        (["character.expression", "character.dance"], ["character.expression"]),
        (["character.v1"], ALL),
        ([], []),
    ):
        (updated,) = update(talk, character={"events": events, "user_name": "Mio"})
        assert updated["session"]["character"]["events"] == granted


def test_a_bare_model_grants_events_too() -> None:
    """There is no character to describe; its faces are those that every VRM avatar has."""
    (updated,) = update(Talk("kaiwa-demo"), character={"events": ["character.v1"]})
    shown = updated["session"]["character"]
    assert shown["events"] == ALL
    assert shown["expressions"] == list(VRM_EXPRESSIONS)
    assert "name" not in shown


def test_items_are_added_and_done_under_the_clients_id() -> None:
    """LiveKit and pipecat wait for their own ids."""
    talk = Talk()
    talk.user("first", id="a" * 32)
    sent = talk.user("second", id="item_2")
    assert types(sent) == ["conversation.item.added", "conversation.item.done"]
    for event in sent:
        assert event["previous_item_id"] == "a" * 32
        assert event["item"]["id"] == "item_2"
        assert (event["item"]["object"], event["item"]["status"]) == ("realtime.item", "completed")
        assert event["item"]["content"] == [{"type": "input_text", "text": "second"}]


def test_items_without_an_id_get_one_of_their_own() -> None:
    """Generated ids never meet a client's."""
    talk = Talk()
    talk.user(id="item_t_1")
    assert talk.user()[0]["item"]["id"] == "item_t_2"


def test_items_go_where_the_client_says() -> None:
    """``root`` is the start, an id is after it, an unknown id an error."""
    talk = Talk()
    item = {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "x"}]}
    talk.user(id="u")
    sent = talk.say("conversation.item.create", item={**item, "id": "s"}, previous_item_id="root")
    assert sent[0]["previous_item_id"] is None
    assert talk.session.conversation.item_ids == ["s", "u"]
    error = only_error(
        talk.say("conversation.item.create", item=item, previous_item_id="no", event_id="e9")
    )
    assert (error["code"], error["param"], error["event_id"]) == (
        "item_not_found",
        "previous_item_id",
        "e9",
    )


def test_a_second_item_of_one_id_is_refused() -> None:
    """LiveKit switches on the code."""
    talk = Talk()
    talk.user(id="u")
    refused = only_error(talk.user("something else", id="u"))
    assert refused["code"] == "item_create_duplicate_item_id"
    assert "content differs" in refused["message"]


def test_items_are_deleted_and_retrieved() -> None:
    """Each with its own event, or ``item_not_found``."""
    talk = Talk()
    talk.user(id="u")
    (retrieved,) = talk.say("conversation.item.retrieve", item_id="u")
    assert retrieved["item"]["id"] == "u"
    (deleted,) = talk.say("conversation.item.delete", item_id="u")
    assert (deleted["type"], deleted["item_id"]) == ("conversation.item.deleted", "u")
    for name in ("retrieve", "delete"):
        error = only_error(talk.say(f"conversation.item.{name}", item_id="u"))
        assert (error["code"], error["param"]) == ("item_not_found", "item_id")


def test_an_item_being_written_is_retrieved_as_it_stands() -> None:
    """And neither deleted nor truncated before it ends."""
    talk = Talk()
    talk.ask()
    talk.write("Hel")
    talk.write("lo")
    (retrieved,) = talk.say("conversation.item.retrieve", item_id="item_t_1")
    assert retrieved["item"]["status"] == "in_progress"
    assert retrieved["item"]["content"][0]["text"] == "Hello"
    for name in ("delete", "truncate"):
        error = only_error(talk.say(f"conversation.item.{name}", item_id="item_t_1", text_end=1))
        assert error["code"] == "item_in_progress"


def test_a_listener_who_interrupts_is_remembered_so() -> None:
    """Cancel and truncate: the next prompt holds only what was heard."""
    talk = Talk()
    talk.user("hi")
    talk.ask()
    talk.write("[happy] Hello there. [sad] But")
    talk.say("response.cancel")
    (truncated,) = talk.say(
        "conversation.item.truncate",
        item_id="item_t_2",
        content_index=0,
        audio_end_ms=0,
        text_end=5,
    )
    assert truncated["text_end"] == 5
    assert (truncated["content_index"], truncated["audio_end_ms"]) == (0, 0)
    talk.ask()
    assert talk.generates[-1].messages[1:] == [
        ChatMessage("user", "hi"),
        ChatMessage("assistant", "[happy] Hello"),
    ]


def test_truncating_text_by_milliseconds_is_refused() -> None:
    """The message says what to send instead."""
    talk = Talk()
    talk.reply("Hello.")
    error = only_error(talk.say("conversation.item.truncate", item_id="item_t_1", audio_end_ms=700))
    assert error["param"] == "audio_end_ms"
    assert "text_end" in error["message"]


def test_the_oldest_turns_make_room() -> None:
    """A long talk goes on; the client is told what is gone."""
    talk = Talk(limits=SessionLimits(max_items=2))
    talk.user(id="a")
    talk.user(id="b")
    sent = talk.user(id="c")
    assert types(sent)[0] == "conversation.item.deleted"
    assert sent[0]["item_id"] == "a"
    assert talk.session.conversation.item_ids == ["b", "c"]


def test_without_truncation_a_full_conversation_refuses() -> None:
    """The client chose to decide for itself."""
    talk = Talk(limits=SessionLimits(max_items=1))
    update(talk, truncation="disabled")
    talk.user(id="a")
    assert only_error(talk.user(id="b"))["code"] == "limit_exceeded"


def test_audio_gets_one_clear_error() -> None:
    """A stream of pieces one error in all, a commit one each, and clearing succeeds."""
    talk = Talk()
    error = only_error(talk.say("input_audio_buffer.append", audio="AAAA", event_id="e1"))
    assert (error["code"], error["event_id"]) == ("unsupported_modality", "e1")
    assert talk.say("input_audio_buffer.append", audio="AAAA") == []
    for name in ("input_audio_buffer.commit", "output_audio_buffer.clear"):
        assert only_error(talk.say(name))["code"] == "unsupported_modality"
    assert types(talk.say("input_audio_buffer.clear")) == ["input_audio_buffer.cleared"]


def test_an_unknown_event_is_one_error_and_the_session_lives() -> None:
    """R4."""
    talk = Talk()
    error = only_error(talk.say("session.dance", event_id="e1"))
    assert (error["code"], error["event_id"]) == ("unknown_event_type", "e1")
    assert types(talk.user()) == ["conversation.item.added", "conversation.item.done"]


def test_closing_stops_everything_that_runs() -> None:
    """Every request is aborted, every reply ends, and nothing is done afterwards."""
    talk = Talk()
    talk.ask()
    talk.write("Hel")
    talk.ask(conversation="none")
    sent = talk.carry_out(talk.session.close(talk.now))
    assert talk.aborts == ["resp_t_1", "resp_t_2"]
    assert types(sent).count("response.done") == 2
    assert talk.user() == talk.ask() == talk.write("lo", FinishReason.STOP) == []
    assert talk.session.conversation.messages() == [ChatMessage("assistant", "Hel")]


@pytest.mark.parametrize("field", ["logit_bias", "stop_token_ids", "banned_token_ids"])
def test_a_token_that_the_model_lacks_is_refused_by_name(field: str) -> None:
    """For the session and for one response alike, before the engine is troubled."""
    talk = Talk(limits=SessionLimits(vocab_size=100))
    for token_id, refused in ((99, False), (100, True)):
        value = {str(token_id): 1} if field == "logit_bias" else [token_id]
        for type_, name in (("session.update", "session"), ("response.create", "response")):
            first = talk.say(type_, **{name: {field: value, "temperature": 1}})[0]
            assert (first["type"] == "error") is refused
            if refused:
                assert first["error"]["param"] == f"{name}.{field}"
                assert "end at 99" in first["error"]["message"]
            elif name == "response":
                talk.write(finish=FinishReason.STOP)


def test_too_many_stop_strings_are_counted_in_words() -> None:
    """The length of a list is not shown as if it were its value."""
    error = only_error(update(Talk(), stop=["x"] * 50))
    assert error["message"].startswith("session.stop has 50 strings; there may be at most ")


def test_a_wish_to_resume_is_answered() -> None:
    """The session is a new one, and its client hears that right after it is created."""
    created, error = Talk(context=SessionContext(asked_to_resume=True)).open()
    assert created["type"] == "session.created"
    assert (error["error"]["code"], error["error"]["param"]) == ("session_not_resumed", "resume")


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
