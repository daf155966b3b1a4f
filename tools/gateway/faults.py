"""What befalls a client's sockets, drawn from a seed."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Literal

from tools.gateway.cutting_relay import CutPlan

FaultKind = Literal["knock", "unheard", "abort", "asked", "relay"]
_EVENT_BYTES = 250
_HANDSHAKE_BYTES = 4000


@dataclass(frozen=True, slots=True)
class Fault:
    """How one socket ends.

    Attributes:
        kind: ``knock`` sends a part of the handshake's request and goes; ``unheard`` sends all of
            it and goes before the answer is read; ``abort`` cuts after some events; ``asked`` cuts
            right behind what the client asks for; ``relay`` loses bytes that the server has sent
            (``tools.gateway.cutting_relay``).
        share: Of the request, for ``knock``.
        delay_s: Before ``unheard`` goes.
        num_events: For ``abort``; 0 cuts right behind the greeting.
        plan: For ``relay``.
        away_s: Seconds until the client comes back.
    """

    kind: FaultKind
    share: float = 0.0
    delay_s: float = 0.0
    num_events: int = 0
    plan: CutPlan = CutPlan(0, 0.0)
    away_s: float = 0.0


class Faults:
    """Draws them."""

    def __init__(self, seed: int, *, mean_events: float) -> None:
        """Start.

        Args:
            seed: Of all that follows.
            mean_events: Events between two cuts of a socket that is open, on average.
        """
        self._rng = random.Random(seed)
        self._mean_events = mean_events

    def draw(self) -> Fault:
        """The next socket's."""
        rng = self._rng
        away_s = rng.choice((0.0, rng.uniform(0, 0.05), rng.uniform(0, 0.05), rng.uniform(0, 0.5)))
        if rng.random() < 0.05:
            away_s = rng.uniform(0.5, 3.0)
        chance = rng.random()
        if chance < 0.05:
            return Fault("knock", share=rng.random(), away_s=away_s)
        if chance < 0.1:
            return Fault("unheard", delay_s=rng.uniform(0, 0.01), away_s=away_s)
        if chance < 0.2:
            return Fault("asked", away_s=away_s)
        num_events = int(rng.expovariate(1 / self._mean_events))
        if chance < 0.55:
            if rng.random() < 0.15:
                num_events = 0
            return Fault("abort", num_events=num_events, away_s=away_s)
        passed = _HANDSHAKE_BYTES + num_events * _EVENT_BYTES
        if rng.random() < 0.25:
            passed = rng.randrange(_HANDSHAKE_BYTES)  # within the answer, or within the greeting
        return Fault("relay", plan=CutPlan(passed, rng.choice((0, 0.05, 0.3, 1.0))), away_s=away_s)
