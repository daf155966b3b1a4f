"""A process that writes a random history until it is killed; it prints a ``+`` for each safe write.

``python -m tests.server.store.killed KIND PLACE SEED``
"""

from __future__ import annotations

import asyncio
import os
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from server.store.interface import ConversationStore
from server.store.postgres_store import PostgresStore
from server.store.sqlite_store import SqliteStore
from tests.server.store.rooms import Histories

LIMITS: dict[str, Any] = {"max_conversations": 3, "max_bytes": 20_000}


def write_until_killed(kind: str, place: Path, seed: int) -> int:
    """Have another process write, and kill it; returns how many writes were acknowledged."""
    with subprocess.Popen(
        [sys.executable, "-m", "tests.server.store.killed", kind, str(place), str(seed)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as writer:
        assert writer.stdout is not None
        acknowledged = len(writer.stdout.read(1))
        time.sleep(random.Random(seed).random() * 0.4)
        writer.kill()
        return acknowledged + len(writer.stdout.read())


async def main(kind: str, place: str, seed: str) -> None:
    """Write, a few at once, for ever."""
    store: ConversationStore
    if kind == "sqlite":
        store = SqliteStore(Path(place), **LIMITS)
    else:
        store = PostgresStore(Path(place), **LIMITS)
    await store.start()
    histories = Histories(int(seed))
    num_handed = 0

    def tell(written: asyncio.Future[None]) -> None:
        assert written.exception() is None
        sys.stdout.write("+")
        sys.stdout.flush()

    while True:
        for _ in range(1 + num_handed % 5):
            written = store.append(histories.next())
            assert written is not None
            written.add_done_callback(tell)
            num_handed += 1
        await asyncio.sleep(0)
        if num_handed % 3 == 0:
            await store.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
