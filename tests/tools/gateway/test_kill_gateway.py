"""What must be kept, against what is."""

from __future__ import annotations

from typing import Any

from tools.gateway.kill_gateway import Acknowledged, Found, compare


def item(item_id: str, text: str) -> dict[str, Any]:
    """As the server shows it."""
    return {"id": item_id, "content": [{"type": "output_text", "text": text}]}


def test_what_is_missing_is_counted() -> None:
    """By who said it; what is there twice, or says something else, counts as well."""
    book = Acknowledged({"u1": "one", "u2": "two"}, {"r1": "first", "r2": "second"})
    found = Found()
    compare(book, [item("u1", "one"), item("u1", "one"), item("r1", "fir"), item("x", "")], found)
    assert (found.user_turns_lost, found.replies_lost) == (1, 1)
    assert (found.items_kept_twice, found.other_texts) == (1, 1)


def test_nothing_is_missing_where_all_is_there() -> None:
    """More than was acknowledged may be there."""
    found = Found()
    compare(Acknowledged({"u": "one"}, {}), [item("u", "one"), item("more", "two")], found)
    assert found == Found()
