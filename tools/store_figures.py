"""What it takes to keep a turn: writes per second, latency, and what ``kill -9`` leaves.

    python -m tools.store_figures --folder /var/tmp --dsn-file postgres.dsn

One write is one message of eighty characters, appended to a conversation, as a session hands it
over. *Alone* the next write is handed over when the one before is safe; *32 at once* thirty-two
sessions do so. Latency is from handing over to being told. In a round of ``kill -9`` another
process writes as fast as it can until it is killed; then every write that it was told of has to be
there, whole.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from server.conversation.changes import ItemKept
from server.conversation.entries import Entry
from server.protocol.items import ContentPart, MessageItem
from server.store.interface import ConversationStore, Write
from server.store.memory_store import InMemoryStore
from server.store.postgres_store import PostgresStore
from server.store.sqlite_file import Durability
from server.store.sqlite_store import SqliteStore

TEXT = "I have been thinking about the lighthouse all day, and about what you said of it"
LIMITS = {"max_conversations": 100_000, "max_bytes": 2**36}
TURNS = 64
"""Writes to one conversation; then the next one begins."""

Make = Callable[[Path], ConversationStore]


def write_of(conversation_id: str, number: int) -> Write:
    """A turn's."""
    part = ContentPart(type="input_text", text=TEXT)
    entry = Entry(MessageItem(id=f"item_{number}", role="user", content=[part]), [], len(TEXT))
    return Write(
        principal="figures",
        conversation_id=conversation_id,
        model="aoi",
        at=time.time(),
        begins=number == 0,
        changes=[ItemKept(entry, f"item_{number - 1}" if number else None)],
        writer=conversation_id,
    )


async def session(store: ConversationStore, until: float, latencies: list[float]) -> None:
    """Write, wait until it is safe, and write again."""
    while True:
        name = f"conv_{secrets.token_hex(8)}"
        for number in range(TURNS):
            begun = time.perf_counter()
            if begun > until:
                return
            future = store.append(write_of(name, number))
            if future is not None:
                await future
            latencies.append(time.perf_counter() - begun)
        await asyncio.sleep(0)


async def measure(make: Make, folder: Path, *, sessions: int, seconds: float) -> str:
    """One row of the table."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        store = make(Path(place))
        await store.start()
        latencies: list[float] = []
        try:
            begun = time.perf_counter()
            cpu = time.process_time()
            until = begun + seconds
            await asyncio.gather(*(session(store, until, latencies) for _ in range(sessions)))
            took, cpu = time.perf_counter() - begun, time.process_time() - cpu
        finally:
            await store.aclose()
    latencies.sort()
    p50, p99 = (1000 * latencies[int(len(latencies) * q)] for q in (0.5, 0.99))
    rate, cost = len(latencies) / took, 1e6 * cpu / len(latencies)
    return f"{rate:>10,.0f} {p50:>9.3f} {p99:>9.3f} {cost:>9.0f}"


async def write_for_ever(store: ConversationStore) -> None:
    """Say on stdout what was acknowledged: one line a write, conversation and item."""
    await store.start()

    async def talk() -> None:
        while True:
            name = f"conv_{secrets.token_hex(8)}"
            for number in range(TURNS):
                future = store.append(write_of(name, number))
                if future is not None:
                    await future
                sys.stdout.write(f"{name} item_{number}\n")
                sys.stdout.flush()
            await asyncio.sleep(0)

    await asyncio.gather(*(talk() for _ in range(32)))


async def count_lost(store: ConversationStore, told: list[str]) -> tuple[int, int]:
    """Of acknowledged writes, those that are not there; and those there that are not whole."""
    await store.start()
    try:
        there: set[str] = set()
        broken = 0
        async for stored in store.export("figures"):
            numbers = [int(entry.id.removeprefix("item_")) for entry in stored.entries]
            broken += numbers != list(range(len(numbers)))
            broken += any(entry.words != TEXT for entry in stored.entries)
            there |= {f"{stored.head.id} {entry.id}" for entry in stored.entries}
        await store.erase_all("figures")
    finally:
        await store.aclose()
    return len(set(told) - there), broken


def kill_rounds(kind: str, arguments: argparse.Namespace, makers: dict[str, Make]) -> str:
    """Let another process write, kill it, and look; again and again."""
    acknowledged = lost = broken = 0
    dice = random.Random(0)
    with tempfile.TemporaryDirectory(dir=arguments.folder) as place:
        command = [sys.executable, "-m", "tools.store_figures", "--write", kind, "--folder", place]
        if arguments.dsn_file:
            command += ["--dsn-file", str(arguments.dsn_file)]
        for _ in range(arguments.kill_rounds):
            with subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ) as process:
                assert process.stdout is not None
                first = process.stdout.read(1)
                killer = subprocess.Popen(
                    ["sh", "-c", f"sleep {dice.random():.3f}; kill -9 {process.pid}"]
                )
                text = (first + process.stdout.read()).decode()
                killer.wait()
            told = text.split("\n")[:-1]  # a line that broke off was not told
            acknowledged += len(told)
            gone, torn = uvloop.run(count_lost(makers[kind](Path(place)), told))
            lost, broken = lost + gone, broken + torn
    return (
        f"{kind}: {arguments.kill_rounds} rounds of kill -9, {acknowledged:,} writes acknowledged, "
        f"{lost} lost, {broken} conversations with a hole"
    )


def makers_of(dsn_file: Path | None) -> dict[str, Make]:
    """The stores that are compared."""

    def sqlite(durability: Durability) -> Make:
        return lambda place: SqliteStore(place / "kept.db", durability=durability, **LIMITS)

    makers: dict[str, Make] = {
        "memory": lambda _: InMemoryStore(**LIMITS),
        "sqlite full": sqlite("full"),
        "sqlite normal": sqlite("normal"),
    }
    if dsn_file is not None:
        makers["postgres"] = lambda _: PostgresStore(dsn_file, **LIMITS)
    return makers


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, default=Path("/var/tmp"), help="on a real disk")
    parser.add_argument("--dsn-file", type=Path, help="of a PostgreSQL to compare with")
    parser.add_argument("--seconds", type=float, default=3.0, help="for each figure")
    parser.add_argument("--kill-rounds", type=int, default=20)
    parser.add_argument("--write", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    makers = makers_of(arguments.dsn_file)
    if arguments.write:
        uvloop.run(write_for_ever(makers[arguments.write](arguments.folder)))
    print(f"{'':<26} {'':>8} {'writes/s':>10} {'p50 ms':>9} {'p99 ms':>9} {'CPU us':>9}")
    for name, make in makers.items():
        for sessions in (1, 32):
            row = uvloop.run(
                measure(make, arguments.folder, sessions=sessions, seconds=arguments.seconds)
            )
            print(f"{name:<26} {sessions:>8} {row}", flush=True)
    for kind in ("sqlite full", "sqlite normal", "postgres"):
        if kind in makers and arguments.kill_rounds:
            print(kill_rounds(kind, arguments, makers), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
