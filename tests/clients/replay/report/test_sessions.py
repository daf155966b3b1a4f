"""Sessions of a run."""

from __future__ import annotations

from clients.replay.report.sessions import MOST_SESSIONS, sampled, sessions
from tests.clients.replay.runs import EN, request, run


def test_a_session_waits_streams_and_thinks() -> None:
    """Two turns of one listener."""
    made = run(requests=[request(turn=0), request(turn=1, sent_s=5.0)])
    life = sessions(made, EN)[0]
    assert [key.name for key in life.keys] == [
        EN["thinking"],
        EN["until first"],
        EN["streaming"],
    ]


def test_the_queue_is_told_from_the_prefill_where_the_target_tells() -> None:
    """By its own timing."""
    made = run(requests=[request(server_ms={"queue_ms": 200.0})])
    assert [key.name for key in sessions(made, EN)[0].keys][:2] == [EN["queued"], EN["prefill"]]


def test_what_goes_wrong_is_a_dot() -> None:
    """A cancel, an error and a resume; a request that never ended is a bar of its own."""
    made = run(
        requests=[
            request("a", cancelled_s=0.7, finish="abort"),
            request("b", finish="error"),
            request("c", num_resumes=1),
            request("d", ended_s=None, finish=""),
            request("e", ended_s=None, finish="", token_times_s=[]),
        ]
    )
    life = sessions(made, EN)[0]
    names = [key.name for key in life.keys]
    for about in ("cancelled", "error", "resume", "unfinished"):
        assert EN[about] in names
    assert life.body.count("<circle") == 3


def test_strips_show_where_listening_broke_off_at_both_speeds() -> None:
    """Eight tokens at once and one ten seconds later."""
    made = run(requests=[request(token_times_s=[0.0] * 8 + [10.0], ended_s=10.0)])
    _, reading, speech = sessions(made, EN)
    for strip in (reading, speech):
        assert [key.name for key in strip.keys] == [EN["playing"], EN["underrun"]]
    assert "5.5 tokens/s" in reading.caption
    assert "3.75 tokens/s" in speech.caption


def test_a_reply_without_tokens_has_no_strip() -> None:
    """Nobody listened to it."""
    made = run(requests=[request(token_times_s=[], finish="error")])
    assert not sessions(made, EN)[1].body


def test_many_sessions_are_sampled_evenly_and_the_caption_says_so() -> None:
    """Of two hundred, sixty."""
    made = run(requests=[request(f"s{n}", sent_s=float(n)) for n in range(200)])
    for picture in sessions(made, EN):
        assert f"{MOST_SESSIONS} of 200 sessions" in picture.caption
        assert picture.body.count('class="row"') == MOST_SESSIONS
    assert sampled(range(10), 4) == [0, 2, 5, 7]
    assert sampled(range(3), 4) == [0, 1, 2]
