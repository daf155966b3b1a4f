"""What the character is doing."""

from __future__ import annotations

from server.session.mood import Mood


def test_a_change_is_told_once() -> None:
    """Nothing is said where nothing changes."""
    mood = Mood()
    assert mood.change("idle", "finished") == []
    [told] = mood.change("thinking", "asked", response_id="resp_1")
    assert (told.state, told.reason, told.response_id) == ("thinking", "asked", "resp_1")
    assert mood.change("thinking", "asked") == []
