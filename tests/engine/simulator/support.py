"""Random workloads for the real scheduler on virtual time, with everything checked as it goes."""

from __future__ import annotations

import random

from clients.replay.script import Session, Turn
from engine.cost_model import Coefficients
from engine.simulator.engine import SimulatedEngine
from engine.simulator.machine import Machine

MACHINE = Machine(
    name="test",
    coefficients=Coefficients(2e-3, 1e-4, 5e-5, 1e-8),
    kv_cache_tokens=65_536,
    max_num_seqs=8,
    max_num_batched_tokens=128,
    itl_target_s=0.02,
)


def random_sessions(
    seed: int,
    count: int = 40,
    *,
    priorities: tuple[int, ...] = (0,),
    reply: tuple[int, int] = (1, 80),
    barge_in: float = 0.2,
) -> list[Session]:
    """Return sessions of one to three turns that arrive within a few seconds."""
    dice = random.Random(seed)
    sessions = []
    for number in range(count):
        turns = []
        for _ in range(dice.randrange(1, 4)):
            turn = Turn(
                input_tokens=dice.randrange(1, 120),
                output_tokens=dice.randrange(*reply),
                think_s=dice.uniform(0.0, 1.0),
                after=dice.choice(("read", "spoken", "final")),
                barge_in_s=dice.uniform(0.0, 2.0) if dice.random() < barge_in else None,
            )
            turns.append(turn)
        session = Session(
            session_id=f"s{number}",
            start_s=dice.uniform(0.0, 3.0),
            turns=turns,
            persona=f"p{dice.randrange(3)}",
            persona_tokens=50,
            tenant=f"t{dice.randrange(3)}",
            priority=dice.choice(priorities),
            tokens_per_s=dice.choice((5.5, 20.0, 200.0)),
        )
        sessions.append(session)
    return sessions


def check_integrity(engine: SimulatedEngine) -> None:
    """Prove after a step that queue, batch and ledger agree."""
    engine.core.scheduler.check_integrity()
