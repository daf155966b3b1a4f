"""All replies of a run at one speed."""

from __future__ import annotations

import math

import pytest

from clients.replay.figures.listening import playback_figures
from clients.replay.records import RequestRecord


def reply(times: list[float], speed: float = 10.0) -> RequestRecord:
    """Return a reply to somebody who reads so fast."""
    return RequestRecord(
        request_id="r",
        session_id="s",
        turn=0,
        sent_s=0.0,
        token_times_s=times,
        tokens_per_s=speed,
    )


def test_silence_is_set_against_the_time_of_listening() -> None:
    """0.4 s of underrun in the 0.6 s and 0.2 s that two replies took; a third brought nothing."""
    found = playback_figures([reply([1.0, 1.5]), reply([1.0, 1.0]), reply([])])
    assert (found.underruns, found.speed) == (1, 10.0)
    assert found.underrun_ms_per_minute == pytest.approx(400 / (0.8 / 60))
    assert found.startup_s.count == 2


def test_listeners_of_their_own_speeds_have_none_in_common() -> None:
    """And a given speed overrides them."""
    mixed = [reply([1.0, 1.5]), reply([1.0, 1.5], speed=1.0)]
    assert math.isnan(playback_figures(mixed).speed)
    assert playback_figures(mixed, 1.0).underruns == 0
