"""A raw client's few words of the realtime protocol."""

from __future__ import annotations

import json
from typing import Any

from websockets.asyncio.client import ClientConnection


async def receive(client: ClientConnection) -> dict[str, Any]:
    """The next event."""
    event = json.loads(await client.recv())
    assert isinstance(event, dict)
    return event


async def receive_until(client: ClientConnection, kind: str) -> list[dict[str, Any]]:
    """Events up to and with the first of a kind."""
    events = [await receive(client)]
    while events[-1]["type"] != kind:
        events.append(await receive(client))
    return events


async def say(client: ClientConnection, text: str) -> None:
    """Add a user message and ask for a reply."""
    item = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}
    await client.send(json.dumps({"type": "conversation.item.create", "item": item}))
    await client.send(json.dumps({"type": "response.create"}))


async def breathe(client: ClientConnection) -> None:
    """Let the server breathe once."""
    await (await client.ping())
