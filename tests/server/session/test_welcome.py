"""Whoever comes back hears first what follows."""

from __future__ import annotations

import json

from server.protocol.codec import encode_server_event
from server.protocol.objects import ResumeObject
from server.resume.gap import Gap
from server.session.welcome import not_resumed
from tests.server.talk import Event, Talk

RESUME = ResumeObject(token="tok", window_s=60)


def welcomed(talk: Talk, gap: Gap | None) -> list[Event]:
    """What is told before anything else."""
    events = talk.session.resumed(RESUME, from_event_id="evt_t_1", num_waiting=3, gap=gap)
    return [json.loads(encode_server_event(event)) for event in events]


def test_the_greeting_says_how_much_follows() -> None:
    """With the next token; nothing else is told where nothing was missed."""
    (created,) = welcomed(Talk(), None)
    assert created["type"] == "session.created"
    assert created["session"]["resume"] == {
        "token": "tok",
        "window_s": 60.0,
        "resumed": True,
        "replayed": 3,
        "gap": False,
    }


def test_a_greeting_behind_a_gap_says_whether_every_item_follows() -> None:
    """Else a client that has missed a deletion could not tell it from an item that it knows."""
    talk = Talk()
    talk.user("hello", id="a")
    for gap, is_every in ((Gap(None), True), (Gap(frozenset("a")), False)):
        created, *_ = welcomed(talk, gap)
        assert created["session"]["resume"]["all_items"] is is_every


def test_items_that_are_told_anew_are_counted_in() -> None:
    """Two of an item behind a gap."""
    talk = Talk()
    talk.user("hello")
    created, *others = welcomed(talk, Gap(None))
    assert (created["session"]["resume"]["replayed"], len(others)) == (5, 2)


def test_who_wants_to_know_hears_it_as_an_event() -> None:
    """Of the extension; that event is counted in the greeting, and does not count itself."""
    created, news = welcomed(Talk(granted=frozenset({"character.v1"})), Gap(frozenset()))
    assert created["session"]["resume"]["replayed"] == 4
    assert news == {
        "type": "character.session.resumed",
        "event_id": "",
        "from_event_id": "evt_t_1",
        "replayed": 3,
        "gap": True,
    }


def test_a_token_that_leads_nowhere_is_named() -> None:
    """With what to do instead."""
    error = not_resumed()
    assert (error.code, error.param) == ("session_not_resumed", "resume")
    assert "set it up again" in error.message
