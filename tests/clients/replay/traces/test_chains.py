"""Prompts that hold their history become turns that bring what is new."""

from __future__ import annotations

import random

from clients.replay.traces.chains import Request, as_sessions


def test_a_turn_brings_what_is_in_neither_prompt_nor_reply_before_it() -> None:
    """And comes no earlier than the trace says."""
    requests = [Request(5.0, 100, 20), Request(9.0, 150, 30), Request(20.0, 181, 5)]
    (session,) = as_sessions("a", requests)
    assert [(t.input_tokens, t.output_tokens) for t in session.turns] == [
        (100, 20),
        (30, 30),
        (1, 5),
    ]
    assert [t.at_s for t in session.turns] == [None, 4.0, 15.0]
    assert (session.session_id, session.start_s) == ("a", 5.0)
    assert {t.after for t in session.turns} == {"final"}


def test_a_history_that_was_cut_begins_a_session_of_its_own() -> None:
    """Its prompt has the length of the trace, at its time."""
    requests = [Request(0.0, 100, 20), Request(3.0, 120, 30), Request(6.0, 170, 5)]
    first, second = as_sessions("a", requests)
    assert [t.input_tokens for t in first.turns] == [100]
    assert [t.input_tokens for t in second.turns] == [120, 20]
    assert (second.session_id, second.start_s, second.turns[1].at_s) == ("a#2", 3.0, 3.0)


def test_a_prompt_of_other_blocks_begins_a_session_of_its_own() -> None:
    """Long enough, but not of this conversation any more."""
    requests = [Request(0.0, 8, 2, (1, 2)), Request(1.0, 16, 2, (1, 9, 10, 11))]
    assert len(as_sessions("a", requests, hash_block=4, by_blocks=True)) == 2
    assert len(as_sessions("a", requests, hash_block=4)) == 1


def test_the_block_that_a_reply_filled_up_may_change_its_name() -> None:
    """Only whole blocks of the prompt before have to be there again."""
    requests = [Request(0.0, 6, 2, (1, 2)), Request(1.0, 12, 2, (1, 3, 4))]
    (session,) = as_sessions("a", requests, hash_block=4, by_blocks=True)
    assert session.turns[0].hash_ids == (1, 2)
    assert (session.turns[1].input_tokens, session.turns[1].hash_ids) == (4, (4,))


def test_a_block_that_begins_in_the_history_is_nobody_elses() -> None:
    """Its new half has no hash id; the blocks behind it keep theirs."""
    requests = [Request(0.0, 5, 1, (1, 2)), Request(1.0, 14, 2, (1, 3, 4, 5))]
    (session,) = as_sessions("a", requests, hash_block=4, by_blocks=True)
    assert (session.turns[1].input_tokens, session.turns[1].hash_ids) == (8, (4, 5))


def test_prompts_add_up_to_those_of_the_trace_whatever_it_holds() -> None:
    """Each request is played once, with its length and its reply's."""
    for seed in range(200):
        dice = random.Random(seed)
        requests = [
            Request(float(n), dice.randrange(1, 60), dice.randrange(1, 20))
            for n in range(dice.randrange(1, 9))
        ]
        played = []
        for session in as_sessions("a", requests):
            history = 0
            for turn in session.turns:
                assert turn.input_tokens > 0
                played.append(
                    Request(session.start_s + (turn.at_s or 0.0), history + turn.input_tokens,
                            turn.output_tokens or 0)
                )  # fmt: skip
                history += turn.input_tokens + (turn.output_tokens or 0)
        assert played == requests
