"""Tokens change hands once, are bound to a key, and are for one session."""

from __future__ import annotations

import random

import pytest

from server.resume.resume_tokens import MAX_TOKEN_CHARS, ResumeTokens, conversation_of


def test_a_token_finds_its_session() -> None:
    """For whoever it was made for."""
    known = ResumeTokens()
    token = known.issue("sess_1", "mio", "conv_1")
    assert known.find(token, "mio") == "sess_1"
    assert known.find(token, "kei") is None


def test_two_sessions_have_two_tokens() -> None:
    """Neither finds the other."""
    known = ResumeTokens()
    one, two = (known.issue(f"sess_{n}", "mio", "conv") for n in (1, 2))
    assert (known.find(one, "mio"), known.find(two, "mio")) == ("sess_1", "sess_2")


def test_a_token_is_void_once_the_next_has_arrived() -> None:
    """The client has shown that it has read the greeting."""
    known = ResumeTokens()
    first = known.issue("sess_1", "mio", "conv_1")
    assert known.find(first, "mio")
    second = known.issue("sess_1", "mio", "conv_1")
    known.settle("sess_1")
    assert known.find(first, "mio") is None
    assert known.find(second, "mio") == "sess_1"


def test_a_greeting_that_was_lost_locks_nobody_out() -> None:
    """The token before stays good, any number of times, until a greeting arrives."""
    known = ResumeTokens()
    first = known.issue("sess_1", "mio", "conv_1")
    for _ in range(3):
        assert known.find(first, "mio") == "sess_1"
        known.issue("sess_1", "mio", "conv_1")
        known.check_integrity()
    assert len(known) == 1


def test_using_the_newer_token_voids_the_older() -> None:
    """It has arrived, whether or not anybody noticed."""
    known = ResumeTokens()
    first = known.issue("sess_1", "mio", "conv_1")
    second = known.issue("sess_1", "mio", "conv_1")
    assert known.find(second, "mio") == "sess_1"
    assert known.find(first, "mio") is None


def test_a_revoked_session_is_not_found() -> None:
    """By none of its tokens."""
    known = ResumeTokens()
    tokens = [known.issue("sess_1", "mio", "conv_1") for _ in range(2)]
    known.revoke("sess_1")
    known.revoke("sess_1")
    assert [known.find(token, "mio") for token in tokens] == [None, None]
    known.check_integrity()


@pytest.mark.parametrize("token", ["", "res_", "garbage", "\ud800", "x" * (MAX_TOKEN_CHARS + 1)])
def test_garbage_finds_nothing(token: str) -> None:
    """Whatever it is."""
    known = ResumeTokens()
    known.issue("sess_1", "mio", "conv_1")
    assert known.find(token, "mio") is None
    assert conversation_of(token) is None


def test_a_token_speaks_of_its_conversation() -> None:
    """Also to a server that has never made it."""
    token = ResumeTokens().issue("sess_1", "mio", "conv_1")
    assert conversation_of(token) == "conv_1"
    assert conversation_of("res_short.conv_1") is None


@pytest.mark.parametrize("seed", range(20))
def test_the_books_agree(seed: int) -> None:
    """Whatever is done in whatever order, and each session has a token that finds it."""
    rng = random.Random(seed)
    known, newest = ResumeTokens(), dict[str, str]()
    for _ in range(200):
        session = f"sess_{rng.randrange(5)}"
        match rng.randrange(4):
            case 0 | 1:
                newest[session] = known.issue(session, "mio", "conv")
            case 2:
                known.settle(session)
            case 3:
                known.revoke(session)
                newest.pop(session, None)
        known.check_integrity()
    assert all(known.find(token, "mio") == session for session, token in newest.items())


def test_a_refusal_has_a_reason() -> None:
    """Another's, one of ours that is not good any more, or none at all."""
    known = ResumeTokens()
    token = known.issue("sess_1", "mio", "conv_1")
    assert known.refusal(token, "rin") == "foreign"
    known.revoke("sess_1")
    assert known.refusal(token, "mio") == "expired"
    for nonsense in ("", "res_x.conv_1", "x" * 1000, "\ud800"):
        assert known.refusal(nonsense, "mio") == "unknown"
