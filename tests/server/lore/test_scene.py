"""What a turn is decided by."""

from __future__ import annotations

from server.lore.scene import Window, as_written
from tests.support.lore import scene


def test_replies_are_counted_where_nobody_says() -> None:
    """What was given counts before what is there."""
    assert scene("a", "b", "c", "d", "e", num_replies=None).replies == 2
    assert scene("a", "b", "c", num_replies=7).replies == 7


def test_messages_are_numbered_though_old_ones_are_gone() -> None:
    """Each turn has two; a greeting is one more."""
    assert scene("a", turn=4).message_number == 7
    assert scene("greeting", "a", turn=1).message_number == 2


def test_a_window_holds_the_newest_words() -> None:
    """No more than there are, and hidden keys behind them."""
    window = Window(scene("One", "Two", "Three", hidden=["key"]))
    assert window.newest(2).text == "Two\nThree\nkey"
    assert window.newest(2) is window.newest(2)
    assert window.newest(99).folded == "one\ntwo\nthree\nkey"
    assert window.newest(0).text == "key"


def test_texts_without_macros_stay_as_they_are() -> None:
    """The usual ``Fill``."""
    assert as_written("{{x}}") == "{{x}}"
