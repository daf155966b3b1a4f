"""One reply's chain of events, however it ends."""

from __future__ import annotations

import pytest

from engine.chat_template import ChatMessage
from engine.errors import NeverFits, QueueFull
from engine.request import FinishReason
from server.errors import PromptDoesNotFit
from tests.server.talk import Talk, text_of, types

OPENING = [
    "response.output_item.added",
    "conversation.item.added",
    "response.content_part.added",
]
CLOSING = [
    "response.output_text.done",
    "response.content_part.done",
    "conversation.item.done",
    "response.output_item.done",
    "response.done",
]
DELTA = "response.output_text.delta"
FACES = frozenset({"character.expression"})


def test_a_reply_is_the_standard_chain() -> None:
    """The order that every client of the Realtime API accepts."""
    talk = Talk()
    talk.user()
    sent = talk.reply("[happy] Hello", " there.")
    assert types(sent) == ["response.created", *OPENING, DELTA, DELTA, *CLOSING]
    assert text_of(sent) == "Hello there."


def test_the_item_is_shown_in_progress_and_then_whole() -> None:
    """Empty when it is added; with its text, of type ``output_text``, when it is done."""
    talk = Talk()
    talk.user(id="u1")
    sent = {event["type"]: event for event in talk.reply("Hello.")}
    added, done = sent["conversation.item.added"], sent["conversation.item.done"]
    assert added["previous_item_id"] == done["previous_item_id"] == "u1"
    assert (added["item"]["status"], added["item"]["content"]) == ("in_progress", [])
    assert done["item"]["content"] == [{"type": "output_text", "text": "Hello."}]
    assert sent["response.output_item.done"]["item"] == done["item"]
    assert sent["response.done"]["response"]["output"] == [done["item"]]


def test_a_part_in_the_making_is_of_type_text() -> None:
    """Strict clients reject ``output_text`` there."""
    talk = Talk()
    sent = {event["type"]: event for event in talk.reply("Hello.")}
    assert sent["response.content_part.added"]["part"] == {"type": "text", "text": ""}
    assert sent["response.content_part.done"]["part"] == {"type": "text", "text": "Hello."}


def test_metadata_is_given_back_in_created_and_done() -> None:
    """LiveKit finds its reply by it."""
    talk = Talk()
    metadata = {"client_event_id": "e1", "": "葵"}
    sent = talk.ask(metadata=metadata) + talk.write("x", FinishReason.STOP)
    assert sent[0]["response"]["metadata"] == metadata
    assert sent[-1]["response"]["metadata"] == metadata


def test_usage_and_metrics_tell_what_it_cost() -> None:
    """Every number is an integer where clients read it; times are in milliseconds."""
    talk = Talk()
    talk.ask()
    talk.write("a", after=0.25)
    talk.write("b", after=0.1)
    done = talk.write(
        "c", FinishReason.STOP, after=0.1, num_cached_tokens=16, queue_s=0.05, num_prompt_tokens=20
    )[-1]
    assert done["response"]["usage"] == {
        "total_tokens": 23,
        "input_tokens": 20,
        "output_tokens": 3,
        "input_token_details": {
            "text_tokens": 20,
            "cached_tokens": 16,
            "audio_tokens": 0,
            "image_tokens": 0,
            "cached_tokens_details": {"text_tokens": 16, "audio_tokens": 0, "image_tokens": 0},
        },
        "output_token_details": {"text_tokens": 3, "audio_tokens": 0},
    }
    assert done["x_metrics"] == {
        "ttft_ms": 250.0,
        "queue_ms": 50.0,
        "total_ms": 450.0,
        "output_tokens": 3,
        "tokens_per_second": 10.0,
        "cached_tokens": 16,
        "first_segment_ms": None,
        "itl_ms": {"p50": 100.0, "p95": 100.0, "max": 100.0},
        "prefill_ms": 200.0,
        "batch": None,
        "preemptions": 0,
    }


def test_length_ends_incomplete() -> None:
    """``max_output_tokens`` is the reason, and the whole chain is sent."""
    talk = Talk()
    talk.ask()
    sent = talk.write("Hello", FinishReason.LENGTH)
    assert types(sent) == [*OPENING, DELTA, *CLOSING]
    response = sent[-1]["response"]
    assert response["status"] == "incomplete"
    assert response["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
    assert response["output"][0]["status"] == "incomplete"


def test_cancelling_closes_the_chain_at_once() -> None:
    """The engine is told to stop, the client hears the end, and later deltas are ignored."""
    talk = Talk()
    talk.ask()
    talk.write("[sad] Oh no", num_output_tokens=4)
    sent = talk.say("response.cancel")
    assert talk.aborts == ["resp_t_1"]
    assert types(sent) == CLOSING
    response = sent[-1]["response"]
    assert response["status"] == "cancelled"
    assert response["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert response["usage"]["output_tokens"] == 4
    assert talk.write(" more") == []
    assert talk.write(finish=FinishReason.ABORT) == []


def test_what_was_said_before_a_cancel_is_remembered() -> None:
    """The partial words stay, incomplete, with their tags for the model."""
    talk = Talk()
    talk.ask()
    talk.write("[sad] Oh no [hap")
    item = talk.say("response.cancel")[-1]["response"]["output"][0]
    assert item["status"] == "incomplete"
    assert item["content"][0]["text"] == "Oh no"
    assert talk.session.conversation.messages() == [ChatMessage("assistant", "[sad] Oh no")]


def test_half_a_tag_before_a_stop_string_is_neither_shown_nor_kept() -> None:
    """The reply is whole all the same; a stop string that cuts no tag leaves its text alone."""
    for raw, shown, kept in (
        ("[sad] Oh no. [hap", "Oh no.", "[sad] Oh no."),
        ("[sad] Oh [1", "Oh [1", "[sad] Oh [1"),
    ):
        talk = Talk()
        talk.ask()
        done = talk.write(raw, FinishReason.STOP, stop_reason="y")[-1]["response"]
        assert done["status"] == "completed"
        assert done["output"][0]["content"][0]["text"] == shown
        assert talk.session.conversation.messages() == [ChatMessage("assistant", kept)]


def test_a_reply_cancelled_before_its_first_word_has_no_item() -> None:
    """There is nothing to close but the response."""
    talk = Talk()
    talk.ask()
    sent = talk.say("response.cancel")
    assert types(sent) == ["response.done"]
    assert sent[0]["response"]["output"] == []
    assert sent[0]["x_metrics"]["ttft_ms"] is None


def test_an_empty_reply_is_whole() -> None:
    """A model that says nothing still completes an item."""
    talk = Talk()
    sent = talk.reply()
    assert types(sent) == ["response.created", *OPENING, *CLOSING]
    assert sent[-1]["response"]["status"] == "completed"


@pytest.mark.parametrize(
    ("code", "type"),
    [
        ("queue_full", "rate_limit_error"),
        ("context_length_exceeded", "invalid_request_error"),
        ("kv_budget_exceeded", "invalid_request_error"),
        ("engine_dead", "server_error"),
    ],
)
def test_an_engines_refusal_is_a_failed_response(code: str, type: str) -> None:
    """No ``error`` event: the response ends, and says why and whose fault it was."""
    words = "Because." if code != "engine_dead" else "the engine stopped; try again later"
    talk = Talk()
    talk.ask()
    sent = talk.write(finish=FinishReason.ERROR, error_code=code, error_message="Because.")
    assert types(sent) == ["response.done"]
    response = sent[0]["response"]
    assert response["status"] == "failed"
    assert response["status_details"]["error"] == {
        "type": type,
        "code": code,
        "message": words,
    }


def test_a_failure_in_the_middle_closes_the_chain() -> None:
    """Words already sent belong to an incomplete item."""
    talk = Talk()
    talk.ask()
    talk.write("Hel")
    sent = talk.write("lo", FinishReason.ERROR, error_code="sampling_failed", error_message="x")
    assert types(sent) == [DELTA, *CLOSING]
    assert sent[-1]["response"]["status"] == "failed"


def test_an_abort_nobody_asked_for_is_a_failure() -> None:
    """The client must not believe that it cancelled."""
    talk = Talk()
    talk.ask()
    response = talk.write(finish=FinishReason.ABORT)[-1]["response"]
    assert (response["status"], response["status_details"]["error"]["code"]) == (
        "failed",
        "engine_aborted",
    )


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (QueueFull(8, 8, 2.0), "queue_full"),
        (NeverFits(9, 8), "kv_budget_exceeded"),
        (PromptDoesNotFit("it", "9 tokens", 8, "shorten"), "context_length_exceeded"),
        (RuntimeError("secret"), "server_error"),
    ],
)
def test_a_generation_that_cannot_start_fails(error: Exception, code: str) -> None:
    """Known errors are told in their words, unknown ones without any detail."""
    talk = Talk()
    talk.ask()
    sent = talk.carry_out(talk.session.fail_generation("resp_t_1", error, talk.now))
    detail = sent[-1]["response"]["status_details"]["error"]
    assert detail["code"] == code
    assert "secret" not in detail["message"]
    assert talk.carry_out(talk.session.fail_generation("resp_t_1", error, talk.now)) == []


def test_faces_come_before_their_words_for_those_who_asked() -> None:
    """Each names its place in the clean text, the response, the item and the time."""
    talk = Talk(granted=FACES)
    talk.ask()
    talk.write("[happy] Hi. [sa")
    sent = talk.write("d] Oh.", FinishReason.STOP)
    names = [name for name in types(talk.events) if name in (DELTA, "character.expression")]
    assert names == ["character.expression", DELTA, "character.expression", DELTA]
    face = sent[0]
    assert face["name"] == "sad"
    assert (face["weight"], face["text_offset"], face["t_ms"]) == (1.0, 3, 20.0)
    assert (face["response_id"], face["item_id"]) == ("resp_t_1", "item_t_1")
    assert text_of(talk.events) == "Hi. Oh."


def test_faces_are_not_sent_to_others() -> None:
    """R1: a default connection sees standard events only, and clean text."""
    talk = Talk()
    sent = talk.reply("[happy] Hi. [sad] Oh.")
    assert "character.expression" not in types(sent)
    assert text_of(sent) == "Hi. Oh."


def test_a_bare_models_text_is_left_alone() -> None:
    """Without a character there are no tags."""
    talk = Talk("kaiwa-demo")
    assert text_of(talk.reply("[happy] Hi. ")) == "[happy] Hi. "


def test_a_reply_beside_the_conversation_leaves_it_alone() -> None:
    """No conversation events, no conversation id, no item."""
    talk = Talk()
    sent = talk.ask(conversation="none") + talk.write("Hi", FinishReason.STOP)
    assert [name for name in types(sent) if name.startswith("conversation")] == []
    assert sent[-1]["response"]["conversation_id"] is None
    assert len(talk.session.conversation) == 0


def test_a_whole_reply_is_known_by_its_turn() -> None:
    """Its items are; one that is cut short may be asked for again."""
    talk = Talk()
    talk.user()
    talk.ask(turn_id="turn-1")
    talk.write("Hello.", FinishReason.STOP)
    named = [entry for entry in talk.session.conversation.entries if entry.turn_id == "turn-1"]
    assert [entry.words for entry in named] == ["Hello."]
