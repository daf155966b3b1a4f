"""All replies of a run, played back at one speed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from clients.replay.figures.distribution import Distribution, distribution
from clients.replay.playback import play
from clients.replay.records import RequestRecord


@dataclass(frozen=True, slots=True)
class PlaybackFigures:
    """All replies of a run at one speed of listening.

    Attributes:
        speed: Tokens per second; not a number where every listener has one of their own.
        underruns: Times that the next token was not there.
        underrun_s: How long those lasted together.
        underrun_ms_per_minute: Milliseconds of silence in a minute of listening.
        startup_s: From sending to the moment listening began.
    """

    speed: float
    underruns: int
    underrun_s: float
    underrun_ms_per_minute: float
    startup_s: Distribution


def playback_figures(
    requests: Sequence[RequestRecord], speed: float | None = None, reserve_tokens: int = 1
) -> PlaybackFigures:
    """Play every reply back.

    Args:
        requests: All kinds; those without tokens are left out.
        speed: Tokens per second; ``None`` takes each listener's own speed and reserve.
        reserve_tokens: Tokens that must be there before listening begins.
    """
    played = [
        play(r.token_times_s, r.sent_s, r.tokens_per_s, reserve_tokens=r.reserve_tokens)
        if speed is None
        else play(r.token_times_s, r.sent_s, speed, reserve_tokens=reserve_tokens)
        for r in requests
    ]
    heard = [playback for playback in played if playback is not None]
    underrun_s = math.fsum(playback.underrun_s for playback in heard)
    minutes = math.fsum(playback.played_s for playback in heard) / 60.0
    own = {r.tokens_per_s for r in requests}
    return PlaybackFigures(
        speed=speed or (own.pop() if len(own) == 1 else math.nan),
        underruns=sum(playback.underruns for playback in heard),
        underrun_s=underrun_s,
        underrun_ms_per_minute=1e3 * underrun_s / minutes if minutes else 0.0,
        startup_s=distribution(playback.startup_s for playback in heard),
    )
