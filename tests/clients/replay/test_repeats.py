"""A workload is played again in other words, and shares what it shared."""

from __future__ import annotations

from clients.replay.prompts import draw_turn
from clients.replay.repeats import copies, repeated
from clients.replay.script import Session, Turn

WORKLOAD = [
    Session(
        session_id=name,
        start_s=0.0,
        persona="aoi",
        turns=[
            Turn(input_tokens=8, hash_ids=(0, block), hash_block=4),
            Turn(input_tokens=3),
            Turn(input_tokens=1, text="Hi."),
        ],
    )
    for name, block in (("a", 1), ("b", 2))
]


def test_the_first_sessions_are_the_given_ones() -> None:
    """As they are, and in their order."""
    assert repeated(WORKLOAD, 1) == WORKLOAD[:1]
    assert repeated(WORKLOAD, 5)[:2] == WORKLOAD


def test_copies_have_names_and_words_of_their_own() -> None:
    """No two of them say the same, where the trace gives no words."""
    many = repeated(WORKLOAD, 6)
    assert len({one.session_id for one in many}) == 6
    for turn in (0, 1):
        assert len({tuple(draw_turn(one, turn, 1000)) for one in many}) == 6
    assert {one.turns[2].text for one in many} == {"Hi."}
    assert {one.persona for one in many} == {"aoi"}


def test_a_copy_shares_blocks_within_itself_alone() -> None:
    """As the originals do."""
    ids = [one.turns[0].hash_ids for one in repeated(WORKLOAD, 6)]
    assert ids == [(0, 1), (0, 2), (3, 4), (3, 5), (6, 7), (6, 8)]


def test_a_later_run_goes_on_with_fresh_copies() -> None:
    """Behind those that were begun."""
    assert copies(WORKLOAD, 3) == 2
    later = repeated(WORKLOAD, 2, first_copy=2)
    assert [one.session_id for one in later] == ["a~2", "b~2"]
    assert not set(later[0].turns[0].hash_ids) & set(repeated(WORKLOAD, 3)[2].turns[0].hash_ids)
