"""Loading what is large."""

from __future__ import annotations

import threading

from server.speech.load_once import LoadOnce


def test_it_is_loaded_when_it_is_needed_and_once() -> None:
    """Nothing is a value, too."""
    loads: list[int] = []
    value = LoadOnce(lambda: loads.append(1))
    assert loads == []
    assert value.get() is None
    assert value.get() is None
    assert loads == [1]


def test_threads_wait_for_the_first() -> None:
    """All get the same thing, though it comes late."""
    entered, go = threading.Event(), threading.Event()

    def load() -> object:
        entered.set()
        assert go.wait(10)
        return object()

    value = LoadOnce(load)
    got: list[object] = []
    threads = [threading.Thread(target=lambda: got.append(value.get())) for _ in range(4)]
    for thread in threads:
        thread.start()
    assert entered.wait(10)
    go.set()
    for thread in threads:
        thread.join()
    assert len(got) == 4
    assert len(set(map(id, got))) == 1
