"""What reached a client, against what was due."""

from __future__ import annotations

from typing import Any

import pytest

from tools.gateway.delivered import Delivered, Difference, compare


@pytest.mark.parametrize(
    ("due", "delivered", "difference"),
    [
        ("hello", "hello", Difference(0, 0)),
        ("hello there", "hello here", Difference(1, 0)),
        ("one two", "one one two", Difference(0, 4)),
        ("灯り", "灯", Difference(3, 0)),
        ("", "x", Difference(0, 1)),
        ("abcXdefYghi", "abcdefghi", Difference(2, 0)),
        ("a" + "b" * 30_000 + "c", "a" + "d" * 30_000 + "c", Difference(30_000, 30_000)),
    ],
)
def test_differences_are_counted_in_bytes(due: str, delivered: str, difference: Difference) -> None:
    """What is missing and what is too much are told apart."""
    assert compare(due, delivered) == difference


def test_a_session_is_written_down() -> None:
    """Text by reply, ends, acknowledged items, and ids that leave the row."""
    events: list[dict[str, Any]] = [
        {"type": "conversation.item.done", "item": {"id": "item_a"}},
        {"type": "response.created", "response": {"id": "r"}},
        {"type": "response.output_text.delta", "response_id": "r", "delta": "a"},
        {"type": "response.output_text.delta", "response_id": "r", "delta": "b"},
        {"type": "response.output_text.done", "response_id": "r", "text": "ab"},
        {"type": "response.done", "response": {"id": "r", "status": "completed", "output": []}},
    ]
    delivered = Delivered()
    for number, event in enumerate(events, start=1):
        delivered.take({**event, "event_id": f"evt_s_{number + (number > 4)}"})
    reply = delivered.replies["r"]
    assert (reply.text, reply.final, reply.status, reply.num_ends) == ("ab", "ab", "completed", 1)
    assert delivered.items == {"item_a"}
    assert delivered.num_breaks == 1
    assert delivered.last_event_id == "evt_s_7"
