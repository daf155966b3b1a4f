"""Words are made once for each persona and turn, before a run."""

from __future__ import annotations

import pytest

from clients.replay import texts as texts_module
from clients.replay.script import ScriptError, Session, Turn
from clients.replay.texts import make_texts


class Counting:
    """Counts what it is asked for."""

    def __init__(self) -> None:
        self.num_openings = 0

    def opening(self, session: Session) -> str:
        """Name and length."""
        self.num_openings += 1
        return f"{session.persona}-{session.persona_tokens}"

    def turn(self, session: Session, index: int) -> str:
        """Session and place."""
        return f"{session.session_id}.{index}"


def test_a_persona_is_made_once_for_each_of_its_lengths() -> None:
    """Two listeners of one character share its opening."""
    source = Counting()
    sessions = [
        Session(session_id=str(n), start_s=0.0, turns=[], persona="aoi", persona_tokens=tokens)
        for n, tokens in enumerate((5, 5, 9))
    ]
    texts = make_texts(sessions, source)
    assert [texts.opening(one) for one in sessions] == ["aoi-5", "aoi-5", "aoi-9"]
    assert source.num_openings == 2


def test_more_words_than_a_memory_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Personas count once, and words that the trace gives do not."""
    monkeypatch.setattr(texts_module, "MOST_TOKENS", 20)
    turns = [Turn(input_tokens=5), Turn(input_tokens=50, text="hi")]
    sessions = [
        Session(session_id=str(n), start_s=0.0, turns=turns, persona="aoi", persona_tokens=6)
        for n in range(3)
    ]
    make_texts(sessions[:2], Counting())
    with pytest.raises(ScriptError, match="3 sessions have 21 tokens, 20 are the most; .*--limit"):
        make_texts(sessions, Counting())


def test_each_turn_has_its_own_words() -> None:
    """In order."""
    turns = [Turn(input_tokens=1)] * 2
    session = Session(session_id="a", start_s=0.0, turns=turns)
    texts = make_texts([session], Counting())
    assert [texts.turn(session, n) for n in range(2)] == ["a.0", "a.1"]
