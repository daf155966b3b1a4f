"""A Kaiwa character in a terminal: faces, words and mouth shapes in time, with barge-in.

    pip install websockets
    python character.py --url ws://127.0.0.1:8000/v1/realtime --model aoi "Tell me a story."

Each segment is printed when a voice would begin it, with the face that goes with it; below it the
mouth moves through its shapes. Press Enter, or give ``--interrupt-after 2``, to speak over the
character: one frame stops the reply, tells what was heard, and asks for the next. It needs nothing
but ``websockets``; docs/character-v1.md explains every event.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.client import ClientConnection, connect

FACES = {
    "happy": "(^ o ^)",
    "angry": "(> _ <)",
    "sad": "(; _ ;)",
    "relaxed": "(- u -)",
    "surprised": "(O o O)",
    "neutral": "(. _ .)",
}
MOUTHS = {"aa": "A", "ih": "i", "ou": "u", "ee": "E", "oh": "O"}
UNSPOKEN_S = 0.6
"""An action, a thought or a piece of code is shown for this long before the voice goes on."""


@dataclass
class Show:
    """What is on stage.

    Attributes:
        segments: Waiting for their turn; ``None`` ends the reply.
        visemes: Mouth shapes by segment index.
        playing: The segment that is played.
        text_end: How much has been heard of its item, in code points of the clean text.
        cut: Ids of replies that were spoken over; what they still send is not played.
    """

    segments: asyncio.Queue[dict[str, Any] | None] = field(default_factory=asyncio.Queue)
    visemes: dict[int, list[tuple[float, float, str, float]]] = field(default_factory=dict)
    playing: dict[str, Any] | None = None
    text_end: int = 0
    cut: set[str] = field(default_factory=set)


async def listen(socket: ClientConnection, show: Show, ready: asyncio.Event) -> None:
    """Sort the server's events."""
    async for message in socket:
        event = json.loads(message)
        response_id = event.get("response_id") or event.get("response", {}).get("id")
        if response_id in show.cut:
            continue
        match event["type"]:
            case "session.updated":
                ready.set()
            case "character.segment":
                await show.segments.put(event)
            case "character.visemes":
                show.visemes[event["segment_index"]] = event["frames"]
            case "character.memory":
                print(f"  [{event['op']}: {event.get('summary', '')}]")
            case "response.done":
                await show.segments.put(None)
            case "error":
                print(f"  [{event['error']['code']}: {event['error']['message']}]")


async def perform(socket: ClientConnection, show: Show) -> None:
    """Play one reply, and report how far it has been heard."""
    while segment := await show.segments.get():
        begun = time.monotonic()
        show.playing, show.text_end = segment, segment["text_start"]
        expression = segment.get("expression", {})
        face = FACES.get(expression.get("name", ""), "       ")
        print(f"{face} {segment['kind']:7} {segment['text'].strip()}", flush=True)
        await report(socket, segment, "started", segment["text_start"])
        length = segment["est_speech_ms"] / 1000
        spoken = length > 0
        await show_mouth(show, segment, begun, length) if spoken else await asyncio.sleep(
            UNSPOKEN_S
        )
        show.text_end = segment["text_end"]
        await report(socket, segment, "finished", segment["text_end"])


async def show_mouth(show: Show, segment: dict[str, Any], begun: float, length: float) -> None:
    """Stretch a segment's mouth shapes over its time; a voice would bring a length of its own."""
    shapes: list[str] = []
    while (share := (time.monotonic() - begun) / length) < 1:
        heard = int((segment["text_end"] - segment["text_start"]) * share)
        show.text_end = segment["text_start"] + heard
        frames = show.visemes.get(segment["index"], [])  # they may come a moment later
        now = next((frame for frame in frames if frame[0] <= share < frame[1]), None)
        shape = MOUTHS.get(now[2], "-") if now else "."
        if shapes[-1:] != [shape]:
            shapes.append(shape)
        await asyncio.sleep(0.02)
    print(f"        mouth   {''.join(shapes)}", flush=True)


async def report(
    socket: ClientConnection, segment: dict[str, Any], state: str, text_end: int
) -> None:
    """Tell the server what was heard, so that the character remembers that and no more."""
    playback = {"item_id": segment["item_id"], "segment_index": segment["index"]}
    playback |= {"text_end": text_end, "state": state}
    await socket.send(json.dumps({"type": "character.playback", **playback}))


async def ask(socket: ClientConnection, text: str, heard: dict[str, Any] | None = None) -> None:
    """Say something; with ``heard``, over what the character is saying."""
    content = [{"type": "input_text", "text": text}]
    item = {"type": "message", "role": "user", "content": content}
    await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
    response = {"if_active": "interrupt", "heard": heard} if heard else {}
    await socket.send(json.dumps({"type": "response.create", "response": response}))


async def pressed(after_s: float | None) -> None:
    """Wait for the time to interrupt, or for the Enter key where there is one."""
    if after_s is not None:
        await asyncio.sleep(after_s)
        return
    loop, key = asyncio.get_running_loop(), asyncio.Event()

    def wait_for_key() -> None:
        sys.stdin.readline()
        loop.call_soon_threadsafe(key.set)

    if sys.stdin.isatty():  # a daemon, as nothing can take a thread back from a terminal
        threading.Thread(target=wait_for_key, daemon=True).start()
    await key.wait()


async def talk(options: argparse.Namespace) -> None:
    """Greet nobody, say one thing, and perhaps another over the answer."""
    key = os.environ.get("KAIWA_API_KEY")
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    url = f"{options.url}?model={options.model}&events=character.v1"
    async with connect(url, additional_headers=headers) as socket:
        show, ready = Show(), asyncio.Event()
        listening = asyncio.create_task(listen(socket, show, ready))
        character = {"visemes": {"scheme": "vrm1"}, "user_name": options.name}
        session = {"type": "realtime", "character": character}
        await socket.send(json.dumps({"type": "session.update", "session": session}))
        await ready.wait()
        print(f"you     {options.text}")
        await ask(socket, options.text)
        playing = asyncio.create_task(perform(socket, show))
        interrupting = asyncio.create_task(pressed(options.interrupt_after))
        await asyncio.wait({playing, interrupting}, return_when=asyncio.FIRST_COMPLETED)
        if not playing.done() and show.playing:
            playing.cancel()
            heard = {"item_id": show.playing["item_id"], "text_end": show.text_end}
            print(f"you     {options.then}   (heard {show.text_end} characters)", flush=True)
            show.cut.add(show.playing["response_id"])
            show.segments, show.visemes = asyncio.Queue(), {}
            await ask(socket, options.then, heard)
            playing = asyncio.create_task(perform(socket, show))
        await playing
        interrupting.cancel()
        listening.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await listening


def main() -> None:
    """Read the command line and talk."""
    parser = argparse.ArgumentParser(description="Talk to a Kaiwa character.")
    parser.add_argument("text", nargs="?", default="Tell me about your day.")
    parser.add_argument("--then", default="Wait, what was that?", help="said over the answer")
    parser.add_argument("--url", default="ws://127.0.0.1:8000/v1/realtime")
    parser.add_argument("--model", default="aoi", help="the character")
    parser.add_argument("--name", default="Ken", help="what the character calls you")
    parser.add_argument("--interrupt-after", type=float, metavar="SECONDS")
    asyncio.run(talk(parser.parse_args()))


if __name__ == "__main__":
    main()
