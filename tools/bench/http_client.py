"""A client of servers that speak OpenAI's chat completions, and the chats that it sends."""

from __future__ import annotations

import asyncio
import json
import random
import urllib.request
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from tokenizers import Tokenizer

from tools.bench.timing import Figures, Timings, closed_loop
from tools.bench.workload import Workload


class Prompts:
    """Chats whose first message is the same for all and whose last is nobody else's."""

    def __init__(self, workload: Workload, seed: int) -> None:
        self._workload = workload
        self._tokenizer = Tokenizer.from_file(str(Path(workload.model) / "tokenizer.json"))
        self._rng = random.Random(seed)
        vocabulary = self._tokenizer.get_vocab()
        self._words = sorted(
            w for w in vocabulary if w.startswith("Ġ") and w[1:].isalpha() and w.isprintable()
        )
        self._shared = self._text(workload.shared_tokens)

    def make(self, count: int) -> list[list[dict[str, str]]]:
        """Return new chats."""
        return [
            [
                {"role": "system", "content": self._shared},
                {"role": "user", "content": self._text(self._workload.own_tokens)},
            ]
            for _ in range(count)
        ]

    def _text(self, num_tokens: int) -> str:
        text = ""
        while len(self._tokenizer.encode(text).ids) < num_tokens:
            text += self._rng.choice(self._words).replace("Ġ", " ")
        return text.strip()


def served_model(address: str, model: str) -> str:
    """Return the name under which a running server knows the model."""
    with urllib.request.urlopen(f"{address}/v1/models", timeout=30) as answer:
        names = [entry["id"] for entry in json.load(answer)["data"]]
    return Path(model).name if Path(model).name in names else str(names[0])


async def ask(
    address: str,
    model: str,
    messages: list[dict[str, str]],
    max_tokens: int,
    on_piece: Callable[[], None],
) -> int:
    """Stream one chat completion over a connection of its own; returns the tokens it was billed.

    Raises:
        ValueError: The server refused.
    """
    body = json.dumps(
        {
            "model": model,
            "messages": messages,
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": True,
            "ignore_eos": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    place = urlsplit(address)
    reader, writer = await asyncio.open_connection(place.hostname, place.port or 80)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: %b\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (place.netloc.encode(), len(body))
        + body
    )
    try:
        status = await reader.readline()
        if b" 200 " not in status:
            rest = (await reader.read(2000)).decode(errors="replace")
            raise ValueError(f"{address} refused: {status.decode().strip()} {rest.strip()}")
        return await _read_reply(reader, on_piece)
    finally:
        writer.close()


async def _read_reply(reader: asyncio.StreamReader, on_piece: Callable[[], None]) -> int:
    billed = 0
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if event.get("usage"):
            billed = int(event["usage"]["completion_tokens"])
        for choice in event.get("choices", ()):
            if choice.get("delta", {}).get("content"):
                on_piece()
    return billed


async def measure(workload: Workload, address: str, round_number: int) -> list[Figures]:
    """Ask a running server at every concurrency, with other prompts in every round."""
    prompts = Prompts(workload, seed=round_number)
    model = await asyncio.to_thread(served_model, address, workload.model)
    found = []
    for _, streams in workload.passes():
        timings = Timings()
        billed: list[int] = []

        async def reply(
            index: int,
            messages: list[dict[str, str]],
            timings: Timings = timings,
            billed: list[int] = billed,
        ) -> None:
            count = await ask(
                address, model, messages, workload.output_tokens, lambda: timings.take(index)
            )
            billed.append(count)

        await closed_loop(prompts.make(workload.num_requests(streams)), streams, timings, reply)
        found.append(timings.figures(tokens=sum(billed)))
    return found[1:]
