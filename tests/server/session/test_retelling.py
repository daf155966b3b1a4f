"""Items are told once more, whole and in order."""

from __future__ import annotations

from server.protocol.codec import encode_server_event
from server.protocol.objects import ResumeObject
from server.protocol.server_events import ServerEvent
from server.resume.gap import Gap
from tests.server.talk import Talk

RESUME = ResumeObject(token="tok", window_s=60)


def told(talk: Talk, missed: frozenset[str] | None) -> list[ServerEvent]:
    """What comes behind the greeting."""
    events = talk.session.resumed(RESUME, from_event_id="evt_t_1", num_waiting=3, gap=Gap(missed))
    assert encode_server_event(events[0]).startswith(b'{"type":"session.created"')
    return events[1:]


def kinds(events: list[ServerEvent]) -> list[str]:
    """Their types."""
    return [str(type(event).__struct_config__.tag) for event in events]


def test_all_items_are_told_to_who_may_have_missed_any() -> None:
    """Each with the one before it."""
    talk = Talk()
    talk.user("hello")
    talk.reply("Hi.")
    events = told(talk, None)
    assert kinds(events) == ["conversation.item.added", "conversation.item.done"] * 2
    assert [vars_of(event)["previous_item_id"] for event in events[::2]] == [
        None,
        talk.session.conversation.item_ids[0],
    ]


def vars_of(event: ServerEvent) -> dict[str, object]:
    """An event's fields."""
    return {name: getattr(event, name) for name in event.__struct_fields__}


def test_only_what_was_missed_is_told() -> None:
    """And nothing where nothing was."""
    talk = Talk()
    talk.user("hello")
    talk.reply("Hi.")
    last = talk.session.conversation.item_ids[-1]
    assert len(told(talk, frozenset({last}))) == 2
    assert told(talk, frozenset()) == []


def test_what_is_gone_is_told_as_deleted() -> None:
    """Its client may have missed that."""
    talk = Talk()
    talk.user("hello", id="mine")
    talk.say("conversation.item.delete", item_id="mine")
    (event,) = told(talk, frozenset({"mine"}))
    assert b"conversation.item.deleted" in encode_server_event(event)


def test_what_waits_to_be_announced_is_not_told_before() -> None:
    """It may not be safe yet; what announces it comes."""
    talk = Talk()
    talk.user("hello", id="mine")
    gap = Gap(None, unsaid=frozenset({"mine"}))
    events = talk.session.resumed(RESUME, from_event_id=None, num_waiting=1, gap=gap)
    assert len(events) == 1


def test_an_item_in_the_making_is_told_as_far_as_it_is() -> None:
    """It is not done."""
    talk = Talk()
    talk.user("hello")
    talk.ask()
    talk.write("Hello th")
    events = told(talk, None)
    assert kinds(events)[-1] == "conversation.item.added"
    assert b"Hello th" in encode_server_event(events[-1])
