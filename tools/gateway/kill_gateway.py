"""``kill -9`` of the gateway at random moments: is everything there that was acknowledged?

    python -m tools.gateway.kill_gateway --kills 50

Clients talk without a pause, each in a conversation that the durable store keeps. Again and again
the server's process is killed at a random moment, so that turns are at every stage: said and not
acknowledged, acknowledged and not answered, being answered, just done. It is started anew on the
same file; clients come back with their conversation's name and repeat what was not acknowledged,
under the same item ids. After each start every conversation is read over
``GET /v1/conversations/{id}``: a user's message counts as acknowledged once its
``conversation.item.done`` was read, a reply once its ``response.done`` was. Each of them must be
there once, with the text that was acknowledged. ``kill -9`` loses what a process holds; it is no
power cut.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import random
import tempfile
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress

from tools.bench.launch import free_port
from tools.bench.timing import percentile
from tools.gateway.launched import scripted
from tools.gateway.report import command_line, parser_of, progress_bar, show, surroundings, write
from tools.gateway.script import Script
from tools.gateway.visitor import GaveUp, Turn, Visitor

_STEP_S = 0.01
_TURNS_PER_CONVERSATION = 12
_LONGEST_S = 1.5
"""Between a start and the next kill, at most."""


@dataclass(slots=True)
class Acknowledged:
    """What one conversation must hold: texts by item id."""

    users: dict[str, str] = field(default_factory=dict)
    replies: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Found:
    """What came of it.

    Attributes:
        other_texts: Items that say something else than what was acknowledged.
        turns_answered_twice: A reply was safe and not acknowledged, and was asked for again.
        stages: What each client was doing when the server was killed.
    """

    kills: int = 0
    acknowledged_user_turns: int = 0
    acknowledged_replies: int = 0
    user_turns_lost: int = 0
    replies_lost: int = 0
    other_texts: int = 0
    items_kept_twice: int = 0
    replies_kept_as_incomplete: int = 0
    turns_answered_twice: int = 0
    conversations_not_found: int = 0
    conversations: int = 0
    sessions_begun_anew: int = 0
    clients_that_gave_up: int = 0
    stages: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    restart_s: list[float] = field(default_factory=list)


class Talker:
    """One client, in one conversation after the other."""

    def __init__(self, url: str, number: int, rng: random.Random) -> None:
        self._url = url
        self._number = number
        self._rng = rng
        self._visitor: Visitor | None = None
        self._turn: Turn | None = None
        self._is_over = False
        self.books: dict[str, Acknowledged] = {}
        self.found = Found()

    async def talk(self) -> None:
        """Talk until told to stop."""
        count = 0
        while not self._is_over:
            count += 1
            visitor = self._visitor = Visitor(self._url, names_conversation=True)
            try:
                for place in range(_TURNS_PER_CONVERSATION):
                    seed = self._rng.randrange(10**6)
                    script = Script(seed, self._rng.randint(1, 60))
                    item_id = f"item_{self._number}_{count}_{place}"
                    self._turn = Turn(item_id, script.wish)
                    await visitor.say(self._turn)
                    self.write_down()
                    if self._is_over:
                        break
            except GaveUp:
                self.found.clients_that_gave_up += 1
            await visitor.leave()
            self.found.sessions_begun_anew += visitor.num_lost_sessions
            self.found.errors.update(visitor.delivered.errors)

    def stop(self) -> None:
        """Let the turn end, and then talk no more."""
        self._is_over = True

    def stage(self) -> str:
        """How far the present turn has come, as the client knows it."""
        visitor, turn = self._visitor, self._turn
        if visitor is None or turn is None or turn.item_id not in visitor.delivered.items:
            return "not acknowledged"
        reply = next(reversed(visitor.delivered.replies.values()), None)
        if reply is None or reply.num_ends:
            return "acknowledged"
        return "being answered" if reply.text else "about to be answered"

    def write_down(self) -> None:
        """Note what has been acknowledged until now."""
        visitor, turn = self._visitor, self._turn
        if visitor is None or turn is None or visitor.conversation_id is None:
            return
        book = self.books.setdefault(visitor.conversation_id, Acknowledged())
        if turn.item_id in visitor.delivered.items:
            book.users[turn.item_id] = turn.text
        for reply in visitor.delivered.replies.values():
            if reply.num_ends and reply.status == "completed" and reply.item_ids:
                book.replies[reply.item_ids[-1]] = reply.text


def check(url: str, talkers: Sequence[Talker], found: Found) -> None:
    """Read every conversation and compare it with what was acknowledged."""
    for talker in talkers:
        for conversation_id, book in list(talker.books.items()):
            kept = _read(f"{url}/v1/conversations/{conversation_id}")
            found.conversations_not_found += kept is None and bool(book.users or book.replies)
            compare(book, [] if kept is None else kept["items"], found)


def compare(book: Acknowledged, items: Sequence[dict[str, Any]], found: Found) -> None:
    """Count what is missing, what is there twice, and what says something else."""
    ids = Counter(item["id"] for item in items)
    texts = {item["id"]: _text(item) for item in items}
    found.items_kept_twice += sum(count - 1 for count in ids.values())
    found.user_turns_lost += sum(item_id not in ids for item_id in book.users)
    found.replies_lost += sum(item_id not in ids for item_id in book.replies)
    found.other_texts += sum(
        texts[item_id] != text
        for item_id, text in (book.users | book.replies).items()
        if item_id in texts
    )


def _text(item: dict[str, Any]) -> str:
    return "".join(part.get("text", "") for part in item.get("content", []))


def _read(url: str) -> dict[str, Any] | None:
    try:
        with urllib.request.urlopen(url, timeout=30) as answer:
            body: dict[str, Any] = json.loads(answer.read())
            return body
    except urllib.error.HTTPError:
        return None


async def measure(
    *, kills: int, clients: int, seed: int, settings: Sequence[str], progress: Progress
) -> Found:
    """Kill and start anew, again and again, and read all conversations after each start."""
    rng, found, port = random.Random(seed), Found(kills=kills), free_port()
    url = f"http://127.0.0.1:{port}"
    talkers = [Talker(url, number, random.Random(rng.random())) for number in range(clients)]
    talking: list[asyncio.Task[None]] = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "conversations.db"
        values = [f"listen.port={port}", f'history.file="{file}"', 'history.keep="sqlite"']
        values.append("history.max_conversations=100000")
        for number in progress.track(range(kills + 1), description="kills"):
            with contextlib.ExitStack() as stack:
                server = await asyncio.to_thread(
                    stack.enter_context, scripted(_STEP_S, [*values, *settings])
                )
                if number:
                    found.restart_s.append(server.started_s)
                await asyncio.to_thread(check, url, talkers, found)
                if not talking:
                    talking = [asyncio.create_task(talker.talk()) for talker in talkers]
                if number == kills:
                    for talker in talkers:
                        talker.stop()
                    await asyncio.gather(*talking)
                    await asyncio.to_thread(check, url, talkers, found)
                    _count_all(url, talkers, found)
                    break
                await asyncio.sleep(rng.uniform(0, _LONGEST_S))
                found.stages.update(talker.stage() for talker in talkers)
                server.kill()
                # What had been read before the kill is all that was acknowledged.
                await asyncio.sleep(0.05)
                for talker in talkers:
                    talker.write_down()
    return found


def _count_all(url: str, talkers: Sequence[Talker], found: Found) -> None:
    for talker in talkers:
        for conversation_id, book in list(talker.books.items()):
            found.conversations += 1
            found.acknowledged_user_turns += len(book.users)
            found.acknowledged_replies += len(book.replies)
            kept = _read(f"{url}/v1/conversations/{conversation_id}") or {"items": []}
            items = kept["items"]
            found.replies_kept_as_incomplete += sum(
                item.get("status") == "incomplete" for item in items
            )
            found.turns_answered_twice += sum(
                one["role"] == other["role"] == "assistant"
                for one, other in itertools.pairwise(items)
            )
        found.sessions_begun_anew += talker.found.sessions_begun_anew
        found.clients_that_gave_up += talker.found.clients_that_gave_up
        found.errors.update(talker.found.errors)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure and print; the exit code is 1 where something acknowledged was lost."""
    parser = parser_of("kill_gateway", __doc__)
    parser.add_argument("--kills", type=int, default=50, help="(%(default)s)")
    parser.add_argument("--clients", type=int, default=8, help="(%(default)s)")
    options = parser.parse_args(arguments)
    machine = surroundings()
    began = time.monotonic()
    with progress_bar(Console(stderr=True)) as progress:
        found = asyncio.run(
            measure(
                kills=options.kills,
                clients=options.clients,
                seed=options.seed,
                settings=options.set,
                progress=progress,
            )
        )
    rows: dict[str, Any] = {name: getattr(found, name) for name in Found.__slots__}
    restarts = rows.pop("restart_s")
    rows["restart_p50_s"] = percentile(restarts, 50)
    rows["restart_max_s"] = max(restarts, default=0.0)
    rows["seconds"] = time.monotonic() - began
    show(f"kill -9 of the gateway, {options.kills} times", rows, Console())
    command = command_line("kill_gateway", arguments)
    write(options.json, {"command": command, "machine": machine, **rows})
    lost = found.user_turns_lost + found.replies_lost + found.other_texts + found.items_kept_twice
    return int(bool(lost or found.conversations_not_found))


if __name__ == "__main__":
    raise SystemExit(main())
