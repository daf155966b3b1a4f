"""Prompts without words are the same in every run, and shared as the trace says."""

from __future__ import annotations

from clients.replay.prompts import FIRST_ORDINARY_ID, draw, opening_ids, turn_ids
from clients.replay.script import Session, Turn


def session(name: str, turn: Turn) -> Session:
    """A session with a persona of 40 tokens."""
    return Session(
        session_id=name, start_s=0.0, turns=[turn], persona="aoi", persona_tokens=40
    )  # fmt: skip


def test_a_longer_draw_begins_like_a_shorter_one() -> None:
    """And another name's is another."""
    assert draw("a", 50, 1000)[:20] == draw("a", 20, 1000)
    assert draw("a", 20, 1000) != draw("b", 20, 1000)
    assert set(draw("a", 500, 7)) == set(range(7))


def test_a_draw_stays_what_it_was() -> None:
    """Runs of different days are compared."""
    assert draw("turn a 0", 4, 4080) == [2703, 3194, 2805, 1045]


def test_a_personas_prompt_is_the_same_for_all_its_listeners() -> None:
    """And a question is nobody else's."""
    first, second = (session(name, Turn(input_tokens=9)) for name in "ab")
    assert opening_ids(first, 4096) == opening_ids(second, 4096)
    assert turn_ids(first, 0, 4096) != turn_ids(second, 0, 4096)
    assert min(opening_ids(first, 4096)) >= FIRST_ORDINARY_ID
    assert max(opening_ids(first, 4096)) < 4096


def test_blocks_are_cut_to_the_prompts_length_and_filled_up_to_it() -> None:
    """Shared by id, to the token; the filling is a conversation's own."""
    turns = [Turn(input_tokens=tokens, hash_ids=(1, 2), hash_block=8) for tokens in (12, 16, 20, 5)]
    ids = [turn_ids(session(str(n), turn), 0, 4096) for n, turn in enumerate(turns)]
    assert [len(one) for one in ids] == [12, 16, 20, 5]
    assert ids[0] == ids[1][:12] == ids[2][:12]
    assert ids[3] == ids[0][:5]
    other = turn_ids(session("other", turns[2]), 0, 4096)
    assert other[:16] == ids[2][:16]
    assert other[16:] != ids[2][16:]
