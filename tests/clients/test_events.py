"""A reply made of the server's events."""

from __future__ import annotations

from clients.python.events import Reply
from server.protocol.items import FunctionCallItem, Item, MessageItem
from server.protocol.server_events import ResponseOutputItemDone


def test_a_reply_collects_its_calls() -> None:
    """Messages are known by their text already."""
    reply = Reply()
    call = FunctionCallItem(id="b", name="roll", arguments="{}", call_id="call_1")
    items: list[Item] = [MessageItem(id="a", role="assistant", content=[]), call]
    for index, item in enumerate(items):
        reply.take(ResponseOutputItemDone(response_id="r", output_index=index, item=item))
    assert reply.calls == [call]
