"""A hampered reader takes nothing, or a little now and then, and goes on when it is over."""

from __future__ import annotations

import asyncio

import pytest

from clients.load.hampering import hamper
from clients.replay.script import Fault


class Valve:
    """Notes when reading stops and goes on."""

    def __init__(self) -> None:
        self.turns: list[tuple[float, str]] = []

    def pause(self) -> None:
        """Stop."""
        self.turns.append((round(asyncio.get_running_loop().time(), 3), "pause"))

    def resume(self) -> None:
        """Go on."""
        self.turns.append((round(asyncio.get_running_loop().time(), 3), "resume"))


async def test_a_stall_takes_nothing_until_it_is_over() -> None:
    """However long it is."""
    valve = Valve()
    await hamper(valve.pause, valve.resume, Fault(0.0, "stall", 3.0))
    assert [what for _, what in valve.turns] == ["pause", "resume"]
    assert valve.turns[1][0] - valve.turns[0][0] == pytest.approx(3.0)


async def test_a_slow_reader_takes_what_is_there_now_and_then() -> None:
    """Five times a second, and stays no longer than the fault."""
    valve = Valve()
    await hamper(valve.pause, valve.resume, Fault(0.0, "slow_read", 0.5))
    start = valve.turns[0][0]
    assert [(round(at - start, 3), what) for at, what in valve.turns] == [
        (0.0, "pause"),
        (0.2, "resume"),
        (0.2, "pause"),
        (0.4, "resume"),
        (0.4, "pause"),
        (0.5, "resume"),
    ]


async def test_whoever_is_called_off_reads_again() -> None:
    """The line is closed amid a stall."""
    valve = Valve()
    work = asyncio.create_task(hamper(valve.pause, valve.resume, Fault(0.0, "stall", 3.0)))
    await asyncio.sleep(1)
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    assert [what for _, what in valve.turns] == ["pause", "resume"]
