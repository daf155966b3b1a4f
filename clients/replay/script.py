"""A workload: who talks when, what they send, how they listen, and when they interrupt.

This is what every trace format is read into and what every target plays, the simulator included.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

After = Literal["read", "spoken", "final"]

READING_TOKENS_PER_S = 5.5
"""250 words a minute, silently, at 1.3 tokens a word."""
SPEECH_TOKENS_PER_S = 3.75
"""150 to 180 words a minute spoken aloud."""
SPEECH_START_TOKENS = 8
"""Speech begins when a first short sentence is there."""


class ScriptError(Exception):
    """A script or trace cannot be read; the message names the place and what was expected."""


@dataclass(frozen=True, slots=True)
class Fault:
    """Something that goes wrong on the wire during a turn.

    Attributes:
        at_s: Seconds after the turn was sent.
        kind: ``drop``, ``stall`` or ``slow_read``.
        for_s: How long.
    """

    at_s: float
    kind: Literal["drop", "stall", "slow_read"]
    for_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One question and its reply.

    Attributes:
        input_tokens: Tokens that are new in this turn, history and persona left out.
        output_tokens: Length of the reply; ``None`` leaves it to the model.
        text: What is said, where the trace has words; ``input_tokens`` is then an estimate.
        hash_ids: Shared prompt blocks, oldest first, in the manner of Mooncake's traces.
        hash_block: Tokens per such block.
        think_s: Seconds of thinking and typing before this turn is sent.
        after: What thinking waits for: the last reply has been ``read``, ``spoken`` or is
            ``final``. Of the first turn it means nothing.
        barge_in_tokens: Interrupt once so many tokens of the reply have been heard.
        barge_in_s: Interrupt so many seconds after sending.
        faults: What goes wrong meanwhile.
        at_s: Send no earlier than so many seconds after the session's start, where a trace says
            when; a turn waits for the one before all the same.
    """

    input_tokens: int
    output_tokens: int | None = None
    text: str = ""
    hash_ids: tuple[int, ...] = ()
    hash_block: int = 512
    think_s: float = 0.0
    after: After = "read"
    barge_in_tokens: int | None = None
    barge_in_s: float | None = None
    faults: tuple[Fault, ...] = ()
    at_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Session:
    """One listener's conversation.

    Attributes:
        session_id: Unique in the workload.
        start_s: When its first turn is sent, seconds from the start of the run.
        turns: In order; each waits for the one before.
        persona: Whose system prompt opens the conversation; equal names share it to the token.
        persona_tokens: How long that prompt is.
        persona_text: What it says, where the trace has words; ``persona_tokens`` is then an
            estimate.
        tenant: Between whom the engine is to be fair.
        priority: Lower runs first.
        tokens_per_s: How fast this listener reads or hears.
        reserve_tokens: Tokens that have to be there before listening begins.
    """

    session_id: str
    start_s: float
    turns: list[Turn] = field(default_factory=list)
    persona: str = ""
    persona_tokens: int = 0
    persona_text: str = ""
    tenant: str = ""
    priority: int = 0
    tokens_per_s: float = READING_TOKENS_PER_S
    reserve_tokens: int = 1


def with_load(sessions: list[Session], load: float) -> list[Session]:
    """Return the same sessions, arriving ``load`` times as densely; think time stays.

    Raises:
        ScriptError: The factor is not above 0.
    """
    if not load > 0:
        raise ScriptError(f"the load is {load!r}; it must be a number above 0")
    return [dataclasses.replace(s, start_s=s.start_s / load) for s in sessions]


def resized(sessions: list[Session], factor: float) -> list[Session]:
    """Return the same sessions with shorter or longer prompts and replies."""

    def size(tokens: int) -> int:
        return max(1, round(tokens * factor))

    return [
        dataclasses.replace(
            session,
            persona_tokens=round(session.persona_tokens * factor),
            turns=[
                dataclasses.replace(
                    turn,
                    input_tokens=size(turn.input_tokens),
                    output_tokens=None if turn.output_tokens is None else size(turn.output_tokens),
                )
                for turn in session.turns
            ],
        )
        for session in sessions
    ]


def fitted(sessions: list[Session], max_tokens: int) -> list[Session]:
    """Return sessions cut before the turn that would outgrow a context; empty ones are left out."""
    kept = []
    for session in sessions:
        length = session.persona_tokens
        turns = []
        for turn in session.turns:
            length += turn.input_tokens + (turn.output_tokens or 0)
            if length > max_tokens:
                break
            turns.append(turn)
        if turns:
            kept.append(dataclasses.replace(session, turns=turns))
    return kept


def total_output_tokens(sessions: list[Session]) -> int:
    """Return the tokens of all replies whose length is known."""
    return sum(turn.output_tokens or 0 for session in sessions for turn in session.turns)
