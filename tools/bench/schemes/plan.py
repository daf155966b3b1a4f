"""What is asked of every scheme: one seeded trace of generation requests, at several rates."""

from __future__ import annotations

import json
import random
from dataclasses import asdict, dataclass

from clients.replay.arrivals import poisson
from clients.replay.presets import chat

_SHORTER = 4
"""Replies are a quarter of the preset's: a bench is to end in minutes."""
_FIRST_ID = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that decides what is asked, and how it may be served.

    Attributes:
        model: Folder of the checkpoint.
        dtype: Of weights and KV.
        rates: Requests per second, rising.
        requests: Per rate.
        seed: Decides arrivals, lengths and prompts.
        cores: Shared out among workers, all of them for a batch.
        workers: Threads that share a model, and instances of the pool.
        batch_size: Requests in a batch at most, whatever makes the batch.
        max_wait_s: How long the dynamic batcher waits for a batch to fill.
        kernels: Of Kaiwa's engine: ``auto``, or ``torch`` for transformers' modules.
    """

    model: str
    dtype: str
    rates: tuple[float, ...]
    requests: int
    seed: int = 0
    cores: int = 2
    workers: int = 2
    batch_size: int = 8
    max_wait_s: float = 0.05
    kernels: str = "auto"

    def to_json(self) -> str:
        """Return it as text that ``from_json`` reads."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Plan:
        """Read what ``to_json`` wrote."""
        fields = json.loads(text)
        return cls(**{**fields, "rates": tuple(fields["rates"])})


@dataclass(frozen=True, slots=True)
class Ask:
    """One request.

    Attributes:
        start_s: When it arrives, from the start of the trace.
        prompt: Token ids.
        output_tokens: Length of the reply.
    """

    start_s: float
    prompt: tuple[int, ...]
    output_tokens: int


def trace(plan: Plan, rate: float, vocab_size: int) -> list[Ask]:
    """Return the requests at a rate: the same ones at every rate, closer together.

    Lengths are those of the replay preset ``chat``, without a persona, replies a quarter as long.
    """
    dice = random.Random(plan.seed)
    starts = poisson(plan.requests, 1.0, dice)
    sessions = chat(plan.requests, plan.seed)
    turns = [turn for session in sessions for turn in session.turns][: plan.requests]
    return [
        Ask(
            start_s=(start - starts[0]) / rate,
            prompt=tuple(dice.randrange(_FIRST_ID, vocab_size) for _ in range(turn.input_tokens)),
            output_tokens=max(1, (turn.output_tokens or 0) // _SHORTER),
        )
        for start, turn in zip(starts, turns, strict=True)
    ]
