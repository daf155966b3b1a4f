"""Where the instructions behind the history stand."""

from __future__ import annotations

from server.lore.post_history import SPACING, PostHistory

TEXT = "Stay in character."


def say(
    made: PostHistory, item_id: str, since: int | None, standing: str = "", text: str = TEXT
) -> bool:
    """Whether they are written."""
    said = made.say(text, item_id=item_id, standing=standing.split(), num_read_since=since)
    assert said in ("", text.strip())
    return bool(said)


def test_they_stand_behind_the_first_message() -> None:
    """Whatever has been read before."""
    made = PostHistory()
    assert say(made, "a", None)
    assert made.item_id == "a"


def test_they_are_repeated_once_enough_has_been_read() -> None:
    """At least eight times their length."""
    made = PostHistory()
    say(made, "a", None)
    assert not say(made, "b", SPACING * len(TEXT) - 1, "a")
    assert say(made, "c", SPACING * len(TEXT), "a b")
    assert made.item_id == "c"


def test_they_cost_at_most_about_an_eighth() -> None:
    """However long the messages are."""
    for length in (1, 7, 40, 200, 1000):
        made, since, read, written = PostHistory(), None, 0, 0
        standing: list[str] = []
        for number in range(300):
            if say(made, f"i{number}", since, " ".join(standing)):
                written += len(TEXT)
                since = 0
            standing.append(f"i{number}")
            since = (since or 0) + length
            read += length
        assert written <= read / SPACING + 2 * len(TEXT)


def test_they_are_said_again_when_they_have_left_or_changed() -> None:
    """At once."""
    made = PostHistory()
    say(made, "a", None)
    assert say(made, "b", 3, "")
    assert say(made, "c", None, "b")
    assert say(made, "d", 3, "c", "Other words.")


def test_no_instructions_are_no_text() -> None:
    """An empty text or one of spaces."""
    made = PostHistory()
    assert not say(made, "a", None, text=" \n")
    assert made.item_id == ""
