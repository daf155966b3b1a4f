"""Whether an engine that says nothing is at work, or hangs."""

from __future__ import annotations

from engine.config import SupervisionConfig
from engine.supervision.watchdog import (
    FIRST_STEP_FACTOR,
    LOOK_EVERY_S,
    SLOW_STEPS,
    Watchdog,
)

CONFIG = SupervisionConfig(step_timeout_s=10.0, heartbeat_timeout_s=3.0)


def silence(watchdog: Watchdog, *, is_idle: bool, at_most_s: float = 1000.0) -> float | None:
    """Look again and again at an engine that says nothing; return when it was found to hang."""
    for index in range(int(at_most_s / LOOK_EVERY_S)):
        if watchdog.look(index * LOOK_EVERY_S, 1, is_idle=is_idle) is not None:
            return index * LOOK_EVERY_S
    return None


def test_an_idle_engine_hangs_after_a_few_seconds() -> None:
    """It would have spoken each second."""
    found = silence(Watchdog(CONFIG), is_idle=True)
    assert found is not None
    assert 3.0 < found <= 3.0 + LOOK_EVERY_S


def test_an_engine_that_loads_has_as_long_as_a_first_step() -> None:
    """It speaks each second, but what holds it up is more than a step."""
    watchdog = Watchdog(CONFIG)
    looks = [watchdog.look_at_start(index * LOOK_EVERY_S, 1) for index in range(100)]
    first = next(index for index, hung in enumerate(looks) if hung is not None)
    assert first * LOOK_EVERY_S == watchdog.step_limit_s + LOOK_EVERY_S
    assert "while it was loading" in (looks[first] or "")


def test_a_step_may_take_longer() -> None:
    """While it is computed, nothing is said."""
    watchdog = Watchdog(CONFIG)
    watchdog.stepped(0.01)
    found = silence(watchdog, is_idle=False)
    assert found is not None
    assert 10.0 < found <= 10.0 + LOOK_EVERY_S


def test_whoever_speaks_does_not_hang() -> None:
    """A heartbeat or a frame now and then is enough."""
    watchdog = Watchdog(CONFIG)
    looks = [watchdog.look(index * 2.0, index, is_idle=True) for index in range(100)]
    assert not any(looks)


def test_long_steps_are_given_longer() -> None:
    """A large model on a small machine takes what it takes."""
    watchdog = Watchdog(CONFIG)
    watchdog.stepped(7.0)
    watchdog.stepped(0.5)
    assert watchdog.step_limit_s == SLOW_STEPS * 7.0


def test_long_steps_of_long_ago_are_forgotten() -> None:
    """One slow step must not blind the watch for ever."""
    watchdog = Watchdog(CONFIG)
    watchdog.stepped(100.0)
    for _ in range(1000):
        watchdog.stepped(0.01)
    assert watchdog.step_limit_s == 10.0


def test_a_first_step_may_compile_what_later_ones_use() -> None:
    """So it is given several times as long."""
    watchdog = Watchdog(CONFIG)
    assert watchdog.step_limit_s == FIRST_STEP_FACTOR * 10.0
    watchdog.stepped(0.01)
    assert watchdog.step_limit_s == 10.0


def test_what_the_largest_step_is_thought_to_take_counts() -> None:
    """A long prompt after hours of short ones is no hang."""
    watchdog = Watchdog(CONFIG, full_step_s=4.0)
    watchdog.stepped(0.01)
    assert watchdog.step_limit_s == SLOW_STEPS * 4.0


def test_a_server_that_stood_still_itself_blames_nobody() -> None:
    """Stopped for an hour, it finds silence, and waits for what is in its socket."""
    watchdog = Watchdog(CONFIG)
    watchdog.look(0.0, 1, is_idle=True)
    assert watchdog.look(3600.0, 1, is_idle=True) is None
    assert watchdog.look(3600.0 + LOOK_EVERY_S, 2, is_idle=True) is None


def test_the_sentence_tells_silence_and_limit() -> None:
    """Whoever runs the server can tell which setting to raise."""
    watchdog = Watchdog(CONFIG)
    for index in range(100):
        sentence = watchdog.look(index * LOOK_EVERY_S, 1, is_idle=True)
        if sentence is not None:
            break
    assert sentence == "an idle engine said nothing for 3.5 s, at most 3.0 s are allowed"
