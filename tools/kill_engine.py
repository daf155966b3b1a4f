"""Kills the engine in the middle of replies, again and again, and looks for a byte too few or many.

    python -m tools.kill_engine --rounds 20 --streams 16 --json killed.json

Starts ``kaiwa serve`` as users do, in processes of its own, with the demo model. A first round is
left alone and says what each seed's reply is. In each further round the same questions are asked
with the same seeds over new WebSockets, and once some of the replies are under way, the engine
process (the server's child) gets ``kill -9``. Every reply must end once, complete, with the text
of the first round. Told is also how long it took from the kill to the first new text.

What is changed of the server's settings is how many restarts are allowed, and that none waits: it
gets killed more often than one that gives up after five times in ten minutes would bear, and each
recovery is measured as if it were the first, which never waits.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from websockets.asyncio.client import connect

ROOT = Path(__file__).resolve().parent.parent
QUESTIONS = (
    "Hello! Who are you, and what do you like?",
    "Tell me a story about the sea.",
    "What did you do yesterday? Tell me everything.",
    "こんにちは。今日は何をしていましたか。",
    "好きな食べ物は何ですか。理由も教えてください。",
)
REPLY_PATIENCE_S = 600.0
IN_FLIGHT_S = 0.2
"""Text that comes within so long of a kill was sent before it; no engine loads as fast."""


@dataclass(slots=True)
class Reply:
    """What one client heard of one reply.

    Attributes:
        text: All deltas, joined.
        final: What the closing event says.
        status: Of ``response.done``.
        num_ends: How many of those came.
        errors: Codes of error events, and of what closed the socket.
        usage: Input and output tokens.
        times: When each delta came, seconds.
    """

    text: str = ""
    final: str | None = None
    status: str = ""
    num_ends: int = 0
    errors: list[str] = field(default_factory=list)
    usage: tuple[int, int] = (0, 0)
    times: list[float] = field(default_factory=list)

    def verdict(self, expected: Reply) -> str:
        """Say what is wrong with it; ``ok`` when nothing is."""
        if self.num_ends != 1 or self.status != "completed" or self.errors:
            return "broken off"
        if self.text == self.final == expected.text and self.usage == expected.usage:
            return "ok"
        shared = os.path.commonprefix([self.text, expected.text])
        if len(self.text) < len(expected.text):
            return f"lost after {len(shared)} code points"
        return f"other after {len(shared)} code points"


@dataclass(slots=True)
class Round:
    """One kill.

    Attributes:
        num_under_way: Replies that had begun and had not ended when it came.
        num_ended: Replies that had ended before.
        recovery_s: From the kill to the first new text.
        verdicts: Of all replies; ``ok`` is the good one.
    """

    num_under_way: int
    num_ended: int
    recovery_s: float | None
    verdicts: list[str]


def engine_pid_of(server_pid: int) -> int | None:
    """The engine's process of a server's; ``None`` while there is none."""
    children = Path(f"/proc/{server_pid}/task").glob("*/children")
    for pid in " ".join(file.read_text() for file in children).split():
        try:
            command = Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
        if b"engine.worker" in command:
            return int(pid)
    return None


@dataclass(frozen=True, slots=True)
class Server:
    """A running ``kaiwa serve``."""

    url: str
    process: subprocess.Popen[str]

    def engine_pid(self) -> int | None:
        """The engine's process; ``None`` while there is none."""
        return engine_pid_of(self.process.pid)

    def metric(self, name: str) -> float:
        """The sum of a metric's samples."""
        with urllib.request.urlopen(self.url + "/metrics", timeout=30) as answer:
            text = answer.read().decode()
        return sum(map(float, re.findall(rf"^{name}(?:{{[^}}]*}})? (\S+)$", text, re.MULTILINE)))


@contextmanager
def running(rounds: int, model: str | None) -> Iterator[Server]:
    """Run a server; it must end cleanly."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "kaiwa.toml"
        settings.write_text(
            f"[supervision]\nmax_restarts = {rounds + 5}\nbackoff_s = 0.0\n", encoding="utf-8"
        )
        command = [sys.executable, "-m", "server", "serve", "--port", "0", "--config", settings]
        if model is not None:
            command += ["--model", model]
        process = subprocess.Popen(
            list(map(str, command)),
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        try:
            words = process.stdout.readline().split()
            if words[:1] != ["ready"]:
                raise SystemExit(f"the server said {words} instead of being ready")
            yield Server(words[1], process)
            process.send_signal(signal.SIGTERM)
            if (code := process.wait(60)) != 0:
                raise SystemExit(f"the server ended with exit code {code}")
        finally:
            process.kill()
            process.wait()
            process.stdout.close()


async def talk(server: Server, number: int, reply: Reply) -> None:
    """Ask the question of a number, with the seed of that number, and hear the reply out."""
    url = server.url.replace("http", "ws", 1) + "/v1/realtime?model=aoi"
    content = [{"type": "input_text", "text": QUESTIONS[number % len(QUESTIONS)]}]
    item = {"type": "message", "role": "user", "content": content}
    wish = {"temperature": 0.9, "seed": 1000 + number, "max_output_tokens": 400}
    if number % 4 == 3:
        wish |= {"temperature": 0.0}
    elif number % 4 == 2:
        wish |= {"frequency_penalty": 0.3, "repetition_penalty": 1.05}
    async with connect(url) as socket:
        await socket.send(json.dumps({"type": "conversation.item.create", "item": item}))
        await socket.send(json.dumps({"type": "response.create", "response": wish}))
        async for message in socket:
            hear(reply, json.loads(message))
            if reply.num_ends:
                return
        reply.errors.append(f"closed with {socket.close_code}")


def hear(reply: Reply, event: dict[str, Any]) -> None:
    """Take in one event."""
    match event["type"]:
        case "response.output_text.delta":
            reply.text += event["delta"]
            reply.times.append(time.monotonic())
        case "response.output_text.done":
            reply.final = event["text"]
        case "response.done":
            reply.num_ends += 1
            reply.status = event["response"]["status"]
            usage = event["response"]["usage"] or {}
            reply.usage = (usage.get("input_tokens", 0), usage.get("output_tokens", 0))
        case "error":
            reply.errors.append(event["error"]["code"])


async def all_talk(server: Server, replies: list[Reply]) -> None:
    """Hold all conversations at once."""
    async with asyncio.timeout(REPLY_PATIENCE_S):
        await asyncio.gather(*(talk(server, index, reply) for index, reply in enumerate(replies)))


async def one_round(server: Server, expected: list[Reply], rng: random.Random) -> Round:
    """Ask everything again, and kill the engine once a share of the text is there."""
    replies = [Reply() for _ in expected]
    talking = asyncio.create_task(all_talk(server, replies))
    whole = sum(len(reply.text) for reply in expected)
    share = rng.uniform(0.0, 0.7)
    while not talking.done() and sum(len(reply.text) for reply in replies) <= share * whole:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    while (pid := server.engine_pid()) is None:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    killed_at = time.monotonic()
    os.kill(pid, signal.SIGKILL)
    under_way = [bool(reply.text) and not reply.num_ends for reply in replies]
    ended = [bool(reply.num_ends) for reply in replies]
    await talking
    later = [at for reply in replies for at in reply.times if at > killed_at + IN_FLIGHT_S]
    return Round(
        num_under_way=sum(under_way),
        num_ended=sum(ended),
        recovery_s=min(later) - killed_at if later else None,
        verdicts=[reply.verdict(first) for reply, first in zip(replies, expected, strict=True)],
    )


async def measure(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    """Hold all rounds; return the figures."""
    rng = random.Random(options.seed)
    with running(options.rounds, options.model) as server:
        expected = [Reply() for _ in range(options.streams)]
        await all_talk(server, expected)
        again = [Reply() for _ in expected]
        await all_talk(server, again)
        unsteady = sum(a.verdict(b) != "ok" for a, b in zip(again, expected, strict=True))
        rounds = []
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        with Progress(*columns, TimeElapsedColumn(), console=console, transient=True) as progress:
            bar = progress.add_task("kills", total=options.rounds)
            for _ in range(options.rounds):
                rounds.append(await one_round(server, expected, rng))
                progress.advance(bar)
        num_restarts = server.metric("kaiwa_engine_restarts_total")
    return figures(rounds, expected, unsteady, num_restarts)


def figures(
    rounds: list[Round], expected: list[Reply], unsteady: int, num_restarts: float
) -> dict[str, Any]:
    """Put together what is told."""
    verdicts = [verdict for one in rounds for verdict in one.verdicts]
    recoveries = sorted(one.recovery_s for one in rounds if one.recovery_s is not None)
    return {
        "rounds": len(rounds),
        "restarts_counted_by_the_server": num_restarts,
        "replies": len(verdicts),
        "replies_under_way_when_killed": sum(one.num_under_way for one in rounds),
        "replies_ended_before_the_kill": sum(one.num_ended for one in rounds),
        "replies_completed_byte_equal": verdicts.count("ok"),
        "replies_lost_repeated_or_broken_off": len(verdicts) - verdicts.count("ok"),
        "replies_unequal_without_a_kill": unsteady,
        "output_tokens_per_round": sum(reply.usage[1] for reply in expected),
        "recovery_s_p50": statistics.median(recoveries) if recoveries else None,
        "recovery_s_max": recoveries[-1] if recoveries else None,
        "each_round": [asdict(one) for one in rounds],
    }


def main() -> int:
    """Kill, look and tell; 1 when a reply was not what it should be."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=20, help="kills")
    parser.add_argument("--streams", type=int, default=16, help="replies at once")
    parser.add_argument("--seed", type=int, default=0, help="of when it is killed")
    parser.add_argument("--model", help="folder or hub id; the demo model when left out")
    parser.add_argument("--json", type=Path, help="write the figures here")
    options = parser.parse_args()
    told = asyncio.run(measure(options, Console(stderr=True)))
    if options.json is not None:
        options.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    for name, value in told.items():
        if name != "each_round":
            shown = f"{value:.2f}" if isinstance(value, float) else value
            sys.stdout.write(f"{name.replace('_', ' '):<40} {shown}\n")
    return 1 if told["replies_lost_repeated_or_broken_off"] else 0


if __name__ == "__main__":
    sys.exit(main())
