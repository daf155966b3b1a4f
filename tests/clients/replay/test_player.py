"""Who sends, hears and interrupts when; a server is played by hand."""

from __future__ import annotations

import pytest

from clients.replay.player import Break, Cancel, Heard, Player, Send
from clients.replay.script import After, Fault, Session, Turn


def player(*turns: Turn, report_every_s: float | None = None, **session: object) -> Player:
    """Return a player of one session whose listener reads ten tokens a second."""
    fields: dict[str, object] = {"tokens_per_s": 10.0} | session
    only = Session(session_id="s", start_s=1.0, turns=list(turns), **fields)  # type: ignore[arg-type]
    return Player([only], vocab_size=1000, report_every_s=report_every_s)


def turn(**fields: object) -> Turn:
    """Return a turn of four tokens."""
    return Turn(**({"input_tokens": 4, "output_tokens": 5} | fields))  # type: ignore[arg-type]


def start(playing: Player) -> Send:
    """Let the first turn be sent."""
    (send,) = playing.due(1.0)
    assert isinstance(send, Send)
    return send


def test_a_session_begins_when_its_time_has_come() -> None:
    """And not before; its prompt is the persona and what is said."""
    playing = player(turn(), persona="aoi", persona_tokens=30)
    assert playing.due(0.5) == []
    assert playing.next_time() == 1.0
    assert len(start(playing).prompt_token_ids) == 34


@pytest.mark.parametrize(
    ("after", "expected"), [("final", 2.5), ("read", 2.5 + 2 / 10.0), ("spoken", 2.5 + 2 / 3.75)]
)
def test_the_next_turn_follows_reading_speech_or_the_end(after: After, expected: float) -> None:
    """Three tokens at second 2, the last begun when two have passed; half a second of thought."""
    playing = player(turn(), turn(think_s=0.5, after=after))
    start(playing)
    playing.on_tokens("s/0", [1, 2, 3], 2.0)
    playing.on_end("s/0", 2.0, finish="stop")
    assert playing.next_time() == pytest.approx(expected)


def test_the_prompt_grows_by_reply_and_question_and_by_nothing_else() -> None:
    """So the prefix cache holds the conversation, exact to the token."""
    playing = player(turn(), turn())
    first = start(playing)
    playing.on_tokens("s/0", [7, 8], 2.0)
    playing.on_end("s/0", 2.0, finish="stop")
    (second,) = playing.due(100.0)
    assert isinstance(second, Send)
    known = [*first.prompt_token_ids, 7, 8]
    assert second.prompt_token_ids[: len(known)] == known
    assert len(second.prompt_token_ids) == len(known) + 4


def test_a_listener_interrupts_what_was_heard_and_not_what_was_made() -> None:
    """Ten tokens at once; the third is heard 0.2 s later."""
    playing = player(turn(barge_in_tokens=3), turn())
    first = start(playing)
    playing.on_tokens("s/0", list(range(10)), 2.0)
    assert playing.next_time() == pytest.approx(2.2)
    assert playing.due(2.2) == [Cancel("s/0")]
    playing.on_end("s/0", 2.25, finish="abort")
    (second,) = playing.due(2.25)
    assert isinstance(second, Send)
    heard = second.prompt_token_ids[len(first.prompt_token_ids) : -4]
    assert heard == [0, 1, 2]


def test_a_reply_that_was_there_before_it_was_interrupted_needs_no_cancel() -> None:
    """The listener still goes on at once, and the character remembers what was heard."""
    playing = player(turn(barge_in_tokens=3), turn())
    first = start(playing)
    playing.on_tokens("s/0", list(range(10)), 2.0)
    playing.on_end("s/0", 2.0, finish="stop")
    actions = playing.due(2.5)
    assert [type(action) for action in actions] == [Send]
    assert isinstance(actions[0], Send)
    assert actions[0].prompt_token_ids[len(first.prompt_token_ids) : -4] == [0, 1, 2]


def test_tokens_after_the_answer_to_a_cancel_are_counted() -> None:
    """There should be none; those that were under way when it was sent are no fault."""
    playing = player(turn(barge_in_s=0.5))
    start(playing)
    playing.on_tokens("s/0", [1], 1.2)
    assert playing.due(1.5) == [Cancel("s/0")]
    playing.on_tokens("s/0", [2, 3], 1.6)
    playing.on_end("s/0", 1.7, finish="abort")
    playing.on_tokens("s/0", [4, 5, 6], 1.8)
    (record,) = playing.records
    assert (record.cancelled_s, record.tokens_after_cancel, record.finish) == (1.5, 3, "abort")


def test_playback_is_reported_while_a_reply_lives() -> None:
    """Three tokens at ten a second are heard a quarter of a second later."""
    playing = player(turn(), report_every_s=0.5)
    start(playing)
    playing.on_tokens("s/0", [1, 2, 3], 1.25)
    assert playing.due(1.5) == [Heard("s/0", 3)]
    playing.on_end("s/0", 1.6, finish="stop")
    assert playing.due(9.0) == []


def test_after_an_error_a_session_is_over() -> None:
    """A listener who was refused does not go on as if nothing had been."""
    playing = player(turn(), turn())
    start(playing)
    playing.on_end("s/0", 1.5, finish="error", error_code="queue_full")
    assert playing.next_time() is None
    assert playing.records[0].error_code == "queue_full"
    assert playing.num_live == 0


def test_a_fault_comes_after_its_question_even_when_the_reply_has_ended() -> None:
    """The line may break between two turns as well."""
    faults = (Fault(2.0, "stall", 1.0), Fault(0.5, "drop"))
    turns = [Turn(input_tokens=1, faults=faults), Turn(input_tokens=1, think_s=9.0)]
    player = Player([Session(session_id="a", start_s=1.0, turns=turns)], vocab_size=100)
    player.due(1.0)
    player.on_end("a/0", 1.2, finish="stop")
    assert player.due(3.0) == [Break("a/0", "a", faults[1]), Break("a/0", "a", faults[0])]


def test_a_turn_with_a_time_of_its_own_waits_for_it() -> None:
    """As it stands in a trace; seconds from the session's start."""
    turns = [Turn(input_tokens=1), Turn(input_tokens=1, at_s=10.0, after="final")]
    player = Player([Session(session_id="a", start_s=1.0, turns=turns)], vocab_size=100)
    player.due(1.0)
    player.on_end("a/0", 2.0, finish="stop")
    assert player.next_time() == 11.0


def test_a_request_that_left_late_keeps_both_times() -> None:
    """When it was due and when it was sent."""
    player = Player(
        [Session(session_id="a", start_s=1.0, turns=[Turn(input_tokens=1)])], vocab_size=None
    )
    (send,) = player.due(1.0)
    player.on_sent("a/0", 1.004)
    (record,) = player.records
    assert isinstance(send, Send)
    assert send.prompt_token_ids == []
    assert (record.planned_s, record.sent_s) == (1.0, 1.004)
