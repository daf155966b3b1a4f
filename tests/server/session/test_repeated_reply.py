"""Turns and items that are sent once more: nothing happens twice, and everything is told again."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from engine.request import FinishReason
from server.conversation.changes import ItemKept
from server.conversation.entries import Entry
from server.session.context import SessionContext
from server.session.repeated_reply import MAX_PERFORMED
from server.session.settings import SessionLimits
from tests.server.talk import AOI, HARU, V1, Event, Talk, of_type, only_error, text_of, types

TOOL = {"type": "function", "name": "f"}
CALL = '<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>'


def reply(talk: Talk, *texts: str, **response: Any) -> list[Event]:
    """Ask for the turn ``t``, and have the engine write all of it."""
    sent = talk.ask(turn_id="t", **response)
    for text in texts:
        sent += talk.write(text)
    return sent + talk.write(finish=FinishReason.STOP)


def told(events: Sequence[Event]) -> list[Event]:
    """What a client reads of a reply's chain, but for what every telling has of its own."""
    own = {"event_id", "response_id", "delta", "response", "x_metrics", "t_ms"}
    chain: list[Event] = []
    for event in events:
        fields = {key: value for key, value in event.items() if key not in own}
        if "response" in event:
            fields |= {key: event["response"][key] for key in ("status", "output", "turn_id")}
        if chain != [] and chain[-1] == fields and event["type"].endswith(".delta"):
            continue  # the words come in other pieces
        chain.append(fields)
    return chain


def left(talk: Talk) -> tuple[list[Entry], int, int]:
    """Everything that a refused or repeated event must not change."""
    conversation = talk.session.conversation
    return list(conversation.entries), conversation.num_bytes, len(talk.generates)


def reloaded(talk: Talk, **fields: Any) -> Talk:
    """Another session that goes on with the conversation as a store was told of it."""
    kept = [change.entry for change in talk.session.take_changes() if isinstance(change, ItemKept)]
    other = Talk(**fields)
    other.session.restore(talk.session.conversation.id, kept, "")
    return other


def test_a_turn_that_was_answered_is_told_again() -> None:
    """The whole chain, word for word, with the same items; the engine is not asked."""
    talk = Talk()
    talk.user(id="u")
    first = reply(talk, "[happy] Hel", "lo.")
    before = left(talk)
    again = talk.ask(turn_id="t")
    assert told(again) == told(first)
    assert text_of(again) == text_of(first) == "Hello."
    assert left(talk) == before


def test_a_telling_is_a_response_of_its_own_and_says_so() -> None:
    """Ids of responses stay unique on the wire; what it cost is nothing."""
    talk = Talk()
    first = reply(talk, "Hello.")[-1]["response"]
    created, *_, done = talk.ask(turn_id="t", metadata={"asked": "2"})
    assert created["response"]["id"] == done["response"]["id"] != first["id"]
    assert created["response"]["replayed"] is done["response"]["replayed"] is True
    assert created["response"]["conversation_id"] == first["conversation_id"]
    assert done["response"]["metadata"] == {"asked": "2"}
    assert done["response"]["usage"]["total_tokens"] == 0
    assert "replayed" not in first


def test_a_turn_without_a_name_is_always_a_new_one() -> None:
    """The standard's way stays as it is."""
    talk = Talk()
    done = talk.reply("Hello.")[-1]
    assert "turn_id" not in done["response"]
    assert types(talk.ask(turn_id=None)) == ["response.created"]


def test_what_performs_a_reply_is_told_again() -> None:
    """Faces, segments and the mouth's shapes are worked out anew, and come out the same."""
    talk = Talk(granted=V1)
    first = reply(talk, "[happy] Hello there. [sad] Good", "bye.")
    beside = ("character.state", "character.metrics")
    again = talk.ask(turn_id="t")
    assert told([event for event in first if event["type"] not in beside]) == told(
        [event for event in again if event["type"] not in beside]
    )
    assert len(of_type(again, "character.expression")) == 2


def test_a_long_reply_is_told_again_in_words_alone() -> None:
    """All of it goes out at once, so what has to be worked out is bounded."""
    talk = Talk(granted=V1)
    text = "[happy] " + "Hello there. " * (MAX_PERFORMED // 10)
    first = reply(talk, text)
    again = talk.ask(turn_id="t")
    assert text_of(again) == text_of(first)
    assert of_type(again, "character.segment") == []


def test_calls_of_tools_are_told_again() -> None:
    """With their arguments and their ids."""
    talk = Talk()
    talk.say("session.update", session={"tools": [TOOL]})
    first = reply(talk, "[happy] I look. ", CALL)
    again = talk.ask(turn_id="t")
    assert told(again) == told(first)
    assert [item["type"] for item in again[-1]["response"]["output"]] == [
        "message",
        "function_call",
    ]


def test_an_empty_reply_is_told_again() -> None:
    """It has an item, and no delta."""
    talk = Talk()
    first = reply(talk)
    assert told(talk.ask(turn_id="t")) == told(first)


def test_of_a_truncated_reply_only_what_was_heard_is_told() -> None:
    """The item is told as it now is."""
    talk = Talk()
    item = reply(talk, "[happy] Hello there.")[-1]["response"]["output"][0]
    talk.say("conversation.item.truncate", item_id=item["id"], content_index=0, text_end=5)
    again = talk.ask(turn_id="t")
    assert text_of(again) == "Hello"
    assert again[-1]["response"]["output"][0]["content"] == [
        {"type": "output_text", "text": "Hello"}
    ]


def test_a_room_hears_again_whose_turn_it_was() -> None:
    """Whoever said it is named, not whoever would be next."""
    people = {"aoi": AOI, "haru": HARU}
    talk = Talk(granted=V1, context=SessionContext(find_character=people.get))
    talk.say("session.update", session={"character": {"group": ["aoi", "haru"]}})
    reply(talk, "Hey.", character_id="haru")
    (turn,) = of_type(talk.ask(turn_id="t"), "character.turn")
    assert turn["character_id"] == "haru"


def test_a_turn_is_known_after_its_conversation_was_reloaded() -> None:
    """The name is kept with the items."""
    talk = Talk()
    talk.user(id="u")
    first = reply(talk, "[happy] Hello.")
    other = reloaded(talk)
    again = other.ask(turn_id="t")
    assert told(again) == told(first)
    assert other.generates == []


def test_a_turn_that_is_being_answered_is_refused_by_its_name() -> None:
    """The error names the response, whose end will come; nothing else is changed."""
    talk = Talk()
    talk.ask(turn_id="t")
    for wish in ("error", "queue", "interrupt"):
        refused = only_error(talk.ask(turn_id="t", if_active=wish))
        assert (refused["code"], refused["param"]) == ("turn_already_running", "response.turn_id")
        assert "resp_t_1" in refused["message"]
    assert talk.session.running_responses == ["resp_t_1"]


def test_a_turn_that_waits_does_not_wait_twice() -> None:
    """And it begins when its time has come."""
    talk = Talk()
    talk.ask()
    talk.ask(turn_id="t", if_active="queue")
    refused = only_error(talk.ask(turn_id="t", if_active="queue"))
    assert refused["code"] == "turn_already_running"
    assert "waits" in refused["message"]
    (begun,) = of_type(talk.write(finish=FinishReason.STOP), "response.created")
    assert begun["response"]["turn_id"] == "t"


@pytest.mark.parametrize("reason", [FinishReason.LENGTH, FinishReason.ABORT, FinishReason.ERROR])
def test_a_turn_whose_reply_did_not_complete_is_tried_anew(reason: FinishReason) -> None:
    """What is there of the first attempt stays, as of any reply that was broken off."""
    talk = Talk()
    talk.ask(turn_id="t")
    talk.write("Hel")
    talk.write(finish=reason)
    again = talk.ask(turn_id="t")
    assert types(again) == ["response.created"]
    assert "replayed" not in again[0]["response"]
    assert [entry.words for entry in talk.session.conversation.entries] == ["Hel"]
    talk.write("Hello.")
    talk.write(finish=FinishReason.STOP)
    assert text_of(talk.ask(turn_id="t")) == "Hello."


def test_a_turn_that_was_cancelled_is_tried_anew() -> None:
    """Also behind what was heard of it."""
    talk = Talk()
    talk.ask(turn_id="t")
    item_id = of_type(talk.write("Hel"), "response.output_item.added")[0]["item"]["id"]
    talk.say("response.cancel")
    talk.ask(turn_id="t", continues=item_id)
    assert talk.generates[-1].begun == "Hel"
    talk.write("lo.")
    talk.write(finish=FinishReason.STOP)
    again = talk.ask(turn_id="t", continues=item_id)
    assert text_of(again) == "lo."
    assert again[-1]["response"]["replayed"] is True


def test_a_turn_whose_reply_was_deleted_is_a_new_one() -> None:
    """The conversation does not know of it any more."""
    talk = Talk()
    item = reply(talk, "Hello.")[-1]["response"]["output"][0]
    talk.say("conversation.item.delete", item_id=item["id"])
    assert types(talk.ask(turn_id="t")) == ["response.created"]
    assert len(talk.generates) == 2


def test_a_telling_leaves_whoever_speaks_alone() -> None:
    """It needs no floor: nobody is interrupted, nobody waits, and no bound counts it."""
    talk = Talk(limits=SessionLimits(max_parallel_responses=1))
    reply(talk, "Hello.")
    talk.ask()
    again = talk.ask(turn_id="t", if_active="interrupt")
    assert again[-1]["response"]["replayed"] is True
    assert talk.session.running_responses == ["resp_t_2"]
    assert talk.aborts == []


@pytest.mark.parametrize("turn_id", ["", "x" * 65, "é", "a\nb"])
def test_a_name_that_is_none_is_refused(turn_id: str) -> None:
    """The message says what a name is."""
    refused = only_error(Talk().ask(turn_id=turn_id))
    assert (refused["code"], refused["param"]) == ("invalid_value", "response.turn_id")
    assert "1 to 64" in refused["message"]


@pytest.mark.parametrize("turn_id", ["t", "x" * 64, "turn 7 ~"])
def test_printable_ascii_is_a_name(turn_id: str) -> None:
    """Up to 64 characters."""
    (created,) = Talk().ask(turn_id=turn_id)
    assert created["response"]["turn_id"] == turn_id


def test_a_reply_that_is_kept_nowhere_has_no_turn() -> None:
    """Of one beside the conversation nothing could be told again."""
    talk = Talk()
    refused = only_error(talk.ask(turn_id="t", conversation="none"))
    assert (refused["code"], refused["param"]) == ("unsupported", "response.turn_id")


def test_metadata_of_a_retry_is_held_to_its_bounds() -> None:
    """A telling carries it back, like any reply."""
    talk = Talk()
    reply(talk, "Hello.")
    refused = only_error(talk.ask(turn_id="t", metadata={"k": "x" * 10_000}))
    assert (refused["code"], refused["param"]) == ("limit_exceeded", "response.metadata")


def test_an_item_that_is_sent_again_is_acknowledged_again() -> None:
    """Where it is, as it is; it is in the conversation once."""
    talk = Talk()
    talk.user("a", id="a")
    first = talk.user("b", id="b")
    talk.user("c", id="c")
    before = left(talk)
    again = talk.user("b", id="b")
    assert [{**event, "event_id": ""} for event in again] == [
        {**event, "event_id": ""} for event in first
    ]
    assert left(talk) == before


def test_an_item_that_is_sent_again_is_told_where_it_truly_is() -> None:
    """What it once was to stand behind may be gone; its place is the server's to say."""
    talk = Talk()
    talk.user("a", id="a")
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "b"}]}
    create = {"item": {**item, "id": "b"}, "previous_item_id": "a"}
    talk.say("conversation.item.create", **create)
    talk.say("conversation.item.delete", item_id="a")
    added, done = talk.say("conversation.item.create", **create)
    assert added["previous_item_id"] is done["previous_item_id"] is None


def test_an_item_that_is_sent_again_makes_no_room() -> None:
    """A full conversation loses nothing by it."""
    talk = Talk(limits=SessionLimits(max_items=2))
    talk.user("a", id="a")
    talk.user("b", id="b")
    assert types(talk.user("b", id="b")) == ["conversation.item.added", "conversation.item.done"]
    assert talk.session.conversation.item_ids == ["a", "b"]


def test_an_item_that_is_sent_again_takes_no_note() -> None:
    """What waits for the user's next message waits on."""
    talk = Talk()
    talk.user("a", id="a")
    talk.say("character.context", key="sky", text="It rains.")
    talk.user("a", id="a")
    assert talk.session.conversation.entries[0].note == ""
    talk.user("b", id="b")
    assert "It rains." in talk.session.conversation.entries[1].note


def test_an_item_of_a_reloaded_conversation_is_known() -> None:
    """So a client may send the whole of it once more."""
    talk = Talk()
    talk.user("a", id="a")
    (item,) = reply(talk, "[happy] Hello.")[-1]["response"]["output"]
    other = reloaded(talk)
    other.user("a", id="a")
    other.say("conversation.item.create", item=item)
    assert types(other.events) == ["conversation.item.added", "conversation.item.done"] * 2
    assert len(other.session.conversation) == 2
    refused = only_error(other.user("b", id="a"))
    assert (refused["code"], refused["param"]) == ("item_create_duplicate_item_id", "item.id")
