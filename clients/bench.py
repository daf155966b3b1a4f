"""``kaiwa bench``: what many listeners of one server feel, and a trace of the engine's steps.

Each stream is a socket of its own that asks, reads the whole reply and asks again. Times are the
client's: TTFT from sending ``response.create`` to the first piece of text, ITL between pieces.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from clients.access import Access
from clients.engine_trace import EngineTrace
from clients.python.errors import ClientError
from server.protocol.server_events import ResponseDone, ResponseOutputTextDelta

QUESTIONS = [
    "Hi, I'm Ken. What's your name?",
    "What do you like?",
    "Tell me a joke, please.",
    "What is my name?",
    "こんにちは。お元気ですか？",
    "好きな食べ物は何ですか？",
    "Do you like rain?",
    "Goodbye!",
]


@dataclass(slots=True)
class Measured:
    """What the streams of one concurrency saw; times in seconds."""

    ttft: list[float] = field(default_factory=list)
    itl: list[float] = field(default_factory=list)
    tokens: int = 0
    replies: int = 0
    failed: int = 0
    duration: float = 0.0

    def summary(self, streams: int) -> dict[str, Any]:
        """Return the figures by name; times in milliseconds."""
        return {
            "streams": streams,
            "replies": self.replies,
            "failed": self.failed,
            "tokens_per_second": round(self.tokens / self.duration, 1),
            "ttft_p50_ms": _percentile_ms(self.ttft, 50),
            "ttft_p99_ms": _percentile_ms(self.ttft, 99),
            "itl_p50_ms": _percentile_ms(self.itl, 50),
            "itl_p99_ms": _percentile_ms(self.itl, 99),
        }


def main(argv: list[str]) -> int:
    """Run ``kaiwa bench`` with these arguments and return the exit code."""
    options = _parse(argv)
    console = Console(stderr=True)
    try:
        access = Access.from_options(options)
        results = asyncio.run(_measure_all(options, access, console))
    except ClientError as error:
        print(f"kaiwa bench: {error.message}", file=sys.stderr)
        return 1
    except ExceptionGroup as errors:
        refused = errors.subgroup(ClientError)
        if refused is None:
            raise
        print(f"kaiwa bench: {_first(refused)}", file=sys.stderr)
        return 1
    _print(results)
    if options.json:
        options.json.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    return 1 if any(result["failed"] for result in results) else 0


async def _measure_all(
    options: argparse.Namespace, access: Access, console: Console
) -> list[dict[str, Any]]:
    concurrencies = options.streams
    trace = EngineTrace(access) if options.trace else None
    results = []
    with Progress(console=console, transient=True) as progress:
        total = sum(concurrencies) * options.turns
        task = progress.add_task("talking", total=total)
        if trace is not None:
            await trace.start()
        for streams in concurrencies:
            progress.update(task, description=f"{streams} streams")
            measured = await talk(
                access,
                options.model,
                range(streams),
                turns=options.turns,
                max_tokens=options.max_tokens,
                advance=lambda: progress.advance(task),
            )
            results.append(measured.summary(streams))
        if trace is not None:
            await trace.finish()
            console.print(trace.write(options.trace))
    return results


async def talk(
    access: Access,
    model: str,
    numbers: Iterable[int],
    *,
    turns: int,
    max_tokens: int,
    advance: Callable[[], None] = lambda: None,
) -> Measured:
    """Let several streams talk at the same time, each on a socket of its own.

    Args:
        access: To the server.
        model: Character or engine.
        numbers: Of the streams; decide what each asks.
        turns: Replies that each asks for.
        max_tokens: Longest reply.
        advance: Called after each reply.
    """
    measured = Measured()
    started = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for number in numbers:
            stream = _one_stream(access, model, number, turns, max_tokens, measured, advance)
            group.create_task(stream)
    measured.duration = time.perf_counter() - started
    return measured


async def _one_stream(
    access: Access,
    model: str,
    number: int,
    turns: int,
    max_tokens: int,
    measured: Measured,
    advance: Callable[[], None],
) -> None:
    questions = _questions(number)
    async with access.connect(model=model, events=()) as client:
        for _ in range(turns):
            fields: dict[str, object] = {"max_output_tokens": max_tokens}
            asked = last = time.perf_counter()
            async for event in client.respond(next(questions), fields=fields):
                now = time.perf_counter()
                if isinstance(event, ResponseOutputTextDelta):
                    (measured.ttft if last == asked else measured.itl).append(now - last)
                    last = now
                elif isinstance(event, ResponseDone):
                    measured.replies += 1
                    measured.failed += event.response.status == "failed"
                    usage = event.response.usage
                    measured.tokens += usage.output_tokens if usage is not None else 0
            advance()


def _questions(number: int) -> Iterator[str]:
    while True:
        yield QUESTIONS[number % len(QUESTIONS)]
        number += 1


def _print(results: list[dict[str, Any]]) -> None:
    table = Table()
    for name in results[0]:
        table.add_column(name.replace("_", " "), justify="right")
    for result in results:
        table.add_row(*(str(value) for value in result.values()))
    Console().print(table)


def _percentile_ms(values: list[float], percent: int) -> float | None:
    if not values:
        return None
    ordered = sorted(values)
    return round(1e3 * ordered[min(len(ordered) - 1, len(ordered) * percent // 100)], 1)


def _first(errors: ExceptionGroup[ClientError]) -> str:
    error = errors.exceptions[0]
    return _first(error) if isinstance(error, ExceptionGroup) else error.message


def _parse(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="kaiwa bench",
        description="Talk to a running server on many sockets at once and measure.",
        epilog="example: kaiwa bench --streams 1,8,32 --trace trace.jsonl. In a checkout there are "
        "also `kaiwa bench engine` and `kaiwa bench server`, which measure Kaiwa beside its peers "
        "on the same weights, and `kaiwa bench profile`, where a step's time goes.",
    )
    Access.add_options(parser)
    parser.add_argument("--model", default="aoi", help="character or engine (%(default)s)")
    parser.add_argument(
        "--streams", type=_concurrencies, default="1,4,16,32", help="concurrencies (%(default)s)"
    )
    parser.add_argument(
        "--turns", type=_positive, default=4, help="replies per stream (%(default)s)"
    )
    parser.add_argument(
        "--max-tokens", type=_positive, default=64, help="longest reply (%(default)s)"
    )
    parser.add_argument("--json", type=_writable, help="write the figures here as well")
    parser.add_argument(
        "--trace",
        type=_writable,
        help="write the engine's steps here, one JSON object per line, and show some",
    )
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    if not text.strip().isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def _concurrencies(text: str) -> list[int]:
    return [_positive(part) for part in text.split(",")]


def _writable(text: str) -> Path:
    """Find out before the measurement, not after it, whether a file can be written."""
    file = Path(text)
    try:
        file.open("a").close()
    except OSError as error:
        raise argparse.ArgumentTypeError(f"cannot write {text}: {error.strerror}") from None
    return file
