"""What waits is taken in order, and is bounded."""

from __future__ import annotations

import threading

from server.recording.backlog import Backlog


def make() -> Backlog[str]:
    """Room for two items and five characters."""
    return Backlog(max_items=2, max_chars=5)


def test_all_is_taken_in_order_and_makes_room() -> None:
    """At once."""
    backlog = make()
    assert backlog.offer("a", 2)
    assert backlog.offer("b", 3)
    assert backlog.take() == ["a", "b"]
    assert backlog.offer("c", 5)
    assert backlog.take() == ["c"]


def test_what_has_no_room_is_refused() -> None:
    """By number and by characters."""
    backlog = make()
    assert not backlog.offer("long", 6)
    assert backlog.offer("a")
    assert backlog.offer("b")
    assert not backlog.offer("c")
    assert backlog.take() == ["a", "b"]


def test_what_comes_once_is_taken_in_anyhow() -> None:
    """The end of a recording is not lost."""
    backlog = make()
    assert backlog.offer("end", 9, anyhow=True)
    assert backlog.take() == ["end"]


def test_a_thread_that_waits_is_woken() -> None:
    """By an item, or without one."""
    backlog = make()
    for wake in (lambda: backlog.offer("a"), backlog.wake):
        thread = threading.Thread(target=backlog.wait)
        thread.start()
        wake()
        thread.join(10)
        assert not thread.is_alive()
        backlog.take()
