"""What the model reads after somebody has spoken over it, token for token.

    python -m tools.barge_in

Starts the server with a model, talks to it over a real WebSocket, and speaks over its reply in one
frame: ``response.create {if_active: "interrupt", heard: {item_id, text_end}}``. The server's engine
is the real one; between the two stands somebody who writes down each prompt and each sampled token.
Printed is the second prompt: which of its tokens were in the first one, which were sampled and
heard, and what is new. Nothing of what was not heard may be in it.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import websockets
from rich.console import Console
from rich.table import Table

from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.outputs import RequestDelta
from engine.progress import LoadProgress
from engine.request import DEFAULT_SERVICE, Service
from engine.sampling_params import SamplingParams
from server.app import serve
from server.config_loader import load_settings
from server.stop_signal import StopSignal

QUESTION = "Hello! Who are you, and what do you like?"
INTERRUPTION = "Wait, what was that?"


@dataclass(slots=True)
class Request:
    """What the engine was given and gave, for one reply."""

    prompt: list[int]
    sampled: list[int] = field(default_factory=list)


class WatchedEngine:
    """The engine, with somebody who writes down what goes in and out."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Watch an engine; whatever is not watched is passed on."""
        self._engine = engine
        self.requests: dict[str, Request] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._engine, name)

    def submit(
        self,
        request_id: str,
        prompt_token_ids: Sequence[int],
        params: SamplingParams,
        *,
        on_delta: Callable[[RequestDelta], None],
        service: Service = DEFAULT_SERVICE,
    ) -> None:
        """As the engine."""
        request = self.requests[request_id] = Request(list(prompt_token_ids))

        def note(delta: RequestDelta) -> None:
            request.sampled += delta.token_ids
            on_delta(delta)

        self._engine.submit(request_id, prompt_token_ids, params, on_delta=note, service=service)

    def append(self, request_id: str, token_ids: Sequence[int], **options: Any) -> None:
        """As the engine."""
        self.requests[request_id].prompt += token_ids
        self._engine.append(request_id, token_ids, **options)


@dataclass(frozen=True, slots=True, kw_only=True)
class BargeIn:
    """What came of it.

    Attributes:
        first: The prompt before it.
        sampled: What the model had said by then, tokens that nobody was shown among them.
        second: The prompt after it.
        num_kept: Tokens of the second prompt that are those of the first.
        num_heard: Sampled tokens in it.
        heard: The words that the listener heard.
        unheard: The words that were sent and not heard.
        cached_tokens: Of the second prompt, as its reply's usage says.
        texts: The second prompt's tokens, one by one.
    """

    first: list[int]
    sampled: list[int]
    second: list[int]
    num_kept: int
    num_heard: int
    heard: str
    unheard: str
    cached_tokens: int
    texts: list[str]

    @property
    def tail(self) -> str:
        """What the model reads behind the first prompt."""
        return "".join(self.texts[self.num_kept :])


async def barge_in(model: str | None, share: float) -> BargeIn:
    """Talk, interrupt, and look.

    Args:
        model: A folder; ``None`` for the demo model.
        share: Of the words that have arrived, how many are taken to have been heard.
    """
    values: dict[str, object] = {"listen.port": 0, "history.keep": "memory"}
    if model is not None:
        values["engine.model"] = model
    settings = load_settings(command_line=values).settings
    stop, url = StopSignal(), asyncio.get_running_loop().create_future()
    watched: list[WatchedEngine] = []

    async def start(config: EngineConfig, progress: LoadProgress) -> Any:
        watched.append(WatchedEngine(await AsyncEngine.start(config, on_progress=progress)))
        return watched[0]

    server = asyncio.create_task(serve(settings, start=start, stop=stop, on_ready=url.set_result))
    try:
        done, _ = await asyncio.wait((server, url), return_when=asyncio.FIRST_COMPLETED)
        if server in done:
            server.result()
        return await _talk(url.result(), watched[0], share)
    finally:
        stop.ask()
        await server


async def _talk(url: str, engine: WatchedEngine, share: float) -> BargeIn:
    address = url.replace("http", "ws", 1) + "/v1/realtime?model=aoi&events=character.v1"
    async with websockets.connect(address) as socket:

        async def send(**event: Any) -> None:
            await socket.send(json.dumps(event))

        async def receive() -> dict[str, Any]:
            event: dict[str, Any] = json.loads(await socket.recv())
            assert event["type"] != "error", event
            return event

        async def say(text: str) -> None:
            part = {"type": "input_text", "text": text}
            item = {"type": "message", "role": "user", "content": [part]}
            await send(type="conversation.item.create", item=item)

        await send(type="session.update", session={"temperature": 0})
        await say(QUESTION)
        await send(type="response.create")
        text, item_id = "", ""
        while len(text) < 12:
            event = await receive()
            if event["type"] == "response.output_text.delta":
                text, item_id = text + event["delta"], event["item_id"]
        heard = text[: max(1, int(len(text) * share))]
        response = {
            "if_active": "interrupt",
            "heard": {"item_id": item_id, "text_end": len(heard)},
            "max_output_tokens": 24,
        }
        await say(INTERRUPTION)
        await send(type="response.create", response=response)
        num_done = 0
        while num_done < 2:
            event = await receive()
            if event["type"] == "response.output_text.delta" and event["item_id"] == item_id:
                text += event["delta"]
            num_done += event["type"] == "response.done"
    first, second = list(engine.requests.values())[0], list(engine.requests.values())[-1]
    usage = event["response"]["usage"]
    return _compare(engine, first, second, heard, text, usage)


def _compare(
    engine: WatchedEngine,
    first: Request,
    second: Request,
    heard: str,
    text: str,
    usage: dict[str, Any],
) -> BargeIn:
    def common(one: Sequence[int], other: Sequence[int]) -> int:
        pairs = zip(one, other, strict=False)
        return next(
            (place for place, (a, b) in enumerate(pairs) if a != b), min(len(one), len(other))
        )

    num_kept = common(first.prompt, second.prompt)
    whole = num_kept == len(first.prompt)
    num_heard = common(first.sampled, second.prompt[num_kept:]) if whole else 0
    decode = engine.tokenizer.decode
    return BargeIn(
        first=first.prompt,
        sampled=first.sampled,
        second=second.prompt,
        num_kept=num_kept,
        num_heard=num_heard,
        heard=heard,
        unheard=text[len(heard) :],
        cached_tokens=usage["input_token_details"]["cached_tokens"],
        texts=[decode([one], skip_special_tokens=False) for one in second.prompt],
    )


def show(seen: BargeIn, console: Console) -> None:
    """Print it."""
    table = Table("token", "id", "text", "where it comes from", title="The prompt after a barge-in")
    end_of_heard = seen.num_kept + seen.num_heard
    for place, (token_id, text) in enumerate(zip(seen.second, seen.texts, strict=True)):
        if place < seen.num_kept:
            if 3 <= place < seen.num_kept - 3:
                if place == 3:
                    table.add_row("…", "", "", "")
                continue
            source = "the first prompt, unchanged"
        elif place < end_of_heard:
            source = "sampled, and heard"
        else:
            source = "new"
        table.add_row(str(place), str(token_id), repr(text), source)
    console.print(table)
    console.print(
        f"first prompt: {len(seen.first)} tokens, all kept: {seen.num_kept == len(seen.first)}\n"
        f"sampled until then: {len(seen.sampled)} tokens, kept as they were sampled: "
        f"{seen.num_heard}\n"
        f"heard: {seen.heard!r}\n"
        f"sent, not heard, and not in the prompt: {seen.unheard!r}\n"
        f"second prompt: {len(seen.second)} tokens, {seen.cached_tokens} of them from the cache"
    )


def main(arguments: Sequence[str] | None = None) -> BargeIn:
    """Run the tool; returns what was seen."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.barge_in", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("--model", help="a folder; the demo model where it is left out")
    parser.add_argument("--heard", type=float, default=0.5, help="share of the words (0.5)")
    parser.add_argument("--json", type=Path, help="write all of it to a file")
    options = parser.parse_args(arguments)
    seen = asyncio.run(barge_in(options.model, options.heard))
    show(seen, Console())
    if options.json:
        options.json.write_text(json.dumps(asdict(seen), ensure_ascii=False, indent=1))
    return seen


if __name__ == "__main__":
    main()
