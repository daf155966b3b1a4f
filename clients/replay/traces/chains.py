"""Requests that each bring their whole history become sessions whose turns bring what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from clients.replay.script import Session, Turn


@dataclass(frozen=True, slots=True)
class Request:
    """One request of a conversation, as a service saw it.

    Attributes:
        time_s: When it came, seconds from the start of the trace.
        input_tokens: Its whole prompt, history included.
        output_tokens: Its reply.
        hash_ids: The blocks of the prompt, where the trace names them.
    """

    time_s: float
    input_tokens: int
    output_tokens: int
    hash_ids: tuple[int, ...] = ()


def as_sessions(
    name: str, requests: Sequence[Request], *, hash_block: int = 512, by_blocks: bool = False
) -> list[Session]:
    """Return one conversation as sessions; several where its history was lost on the way.

    A request goes on with the one before if its prompt is longer than that one's prompt and reply
    together, and, where blocks are named, begins with that prompt's blocks. Otherwise the service
    had cut or changed the history, and its prompt is played in full as a session of its own, so
    that lengths and shared blocks stay those of the trace.

    Args:
        name: The first session's id; the others' have a number behind it.
        requests: In order of time, at least one.
        hash_block: Tokens per block.
        by_blocks: Whether blocks are named.
    """
    runs: list[list[Request]] = []
    for request in requests:
        if runs and _goes_on(runs[-1][-1], request, hash_block if by_blocks else None):
            runs[-1].append(request)
        else:
            runs.append([request])
    return [
        Session(
            session_id=name if number == 1 else f"{name}#{number}",
            start_s=run[0].time_s,
            turns=_turns(run, hash_block),
        )
        for number, run in enumerate(runs, start=1)
    ]


def _goes_on(before: Request, request: Request, hash_block: int | None) -> bool:
    if request.input_tokens <= before.input_tokens + before.output_tokens:
        return False
    if hash_block is None:
        return True
    # The last block may be full only with the reply, and has another id by then.
    whole = before.input_tokens // hash_block
    return request.hash_ids[:whole] == before.hash_ids[:whole]


def _turns(run: Sequence[Request], hash_block: int) -> list[Turn]:
    turns: list[Turn] = []
    history = 0
    for request in run:
        # A block that the history ends in is nobody else's: what is new in it has no name.
        first_new = -(-history // hash_block)
        turns.append(
            Turn(
                input_tokens=request.input_tokens - history,
                output_tokens=request.output_tokens,
                hash_ids=request.hash_ids[first_new:],
                hash_block=hash_block,
                after="final",
                at_s=request.time_s - run[0].time_s if turns else None,
            )
        )
        history = request.input_tokens + request.output_tokens
    return turns
