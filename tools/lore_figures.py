"""What a lorebook costs a conversation: frozen notes, against a prompt rebuilt with every turn.

A visitor talks with a character for twenty turns, in three ways (``tools.bench.lore_talk``): lore
off, frozen notes, rebuilt. The ways take turns on one engine process, each with a cache of its own,
and all go through the server's own memory of a conversation, so that they differ only in where
things stand in the prompt. The time to the first token counts from the visitor's message: composing
and tokenising the prompt are part of it. Replies are of one length, and of words that a tokenizer
reads back as they were sampled: a model with random weights would say what becomes far longer when
it is tokenised again, and only a rebuilt prompt does that.
"""

from __future__ import annotations

import argparse
import asyncio
import re
import shlex
import statistics
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.request import Service
from engine.sampling_params import SamplingParams
from engine.tokenizer import Tokenizer
from server.conversation.memory import Memory, recall
from tools.bench.bars import Bars, draw
from tools.bench.lore_talk import WAYS, Talk, Way, lorebook, visitor
from tools.bench.machine import describe_machine
from tools.bench.models import find_or_make

NAMES: dict[Way, str] = {"off": "lore off", "frozen": "frozen notes", "rebuilt": "rebuilt"}
_COLOURS = ("#8a8f98", "#e0563b", "#3b7fe0")
_CONTEXT = 8192
_MAX_WORD_ID = 4096
_WORD = re.compile(" [a-z]{3,}")
_PARTS = ((2, 5), (6, 10), (11, 15), (16, 20))


class TurnRow(msgspec.Struct, frozen=True, kw_only=True):
    """One turn in one way, in one round."""

    round: int
    turn: int
    way: Way
    prompt_tokens: int
    cached_tokens: int
    ttft_s: float


class LoreRun(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that was measured, and under what."""

    command: str
    machine: dict[str, str]
    model: str
    reply_tokens: int
    rows: list[TurnRow]

    def of(self, way: Way, first: int = 2, last: int = 10**6) -> list[TurnRow]:
        """Rows of one way in these turns."""
        return [row for row in self.rows if row.way == way and first <= row.turn <= last]

    def cached_share(self, way: Way, first: int = 2, last: int = 10**6) -> float:
        """Of the prompt tokens of these turns, those that were computed before."""
        rows = self.of(way, first, last)
        return sum(row.cached_tokens for row in rows) / sum(row.prompt_tokens for row in rows)

    def ttft_ms(self, way: Way, first: int = 2, last: int = 10**6) -> float:
        """Median over these turns and all rounds."""
        return 1e3 * statistics.median(row.ttft_s for row in self.of(way, first, last))

    def prefilled(self, way: Way) -> float:
        """Prompt tokens that were computed in one conversation."""
        rows = self.of(way, 1)
        rounds = len({row.round for row in rows})
        return sum(row.prompt_tokens - row.cached_tokens for row in rows) / rounds


def plain_words(tokenizer: Tokenizer) -> list[int]:
    """Tokens that are a word each, behind any other one of them, and wake no lore."""
    woken = {word for entry in lorebook().entries for key in entry.keys for word in key.split()}
    words = []
    for token_id in range(_MAX_WORD_ID):
        text = tokenizer.decode([token_id])
        if _WORD.fullmatch(text) is None or text[1:] in woken:
            continue
        if tokenizer.encode_plain(f"so{text}")[-1:] == [token_id]:
            words.append(token_id)
    return words


class Speaker:
    """One way's conversation on the engine."""

    def __init__(
        self, engine: AsyncEngine, way: Way, round_number: int, params: SamplingParams
    ) -> None:
        self._engine = engine
        self._way = way
        self._round = round_number
        self._talk = Talk(way)
        self._memory = Memory()
        self._turn = 0
        name = f"{way}-{round_number}"
        self._service = Service(cache_salt=name, conversation_id=name)
        self._params = params

    async def say(self, text: str) -> TurnRow:
        """Have one turn answered."""
        self._turn += 1
        tokenizer, context = self._engine.tokenizer, self._engine.info.max_model_len
        room = context - (self._params.max_tokens or 0)
        started = time.perf_counter()
        built = recall(self._memory, self._talk.ask(text), tokenizer, max_prompt_tokens=room)
        first, said, ids = 0.0, "", list[int]()
        deltas = self._engine.generate(built.token_ids, self._params, service=self._service)
        async for delta in deltas:
            first = first or time.perf_counter() - started
            said += delta.text
            ids += delta.token_ids
            last = delta
        if built.memory.omission is not None:
            raise SystemExit("the conversation has outgrown the context; take a larger one")
        self._memory = built.memory.with_reply(ids, tokenizer)
        self._talk.answer(said)
        return TurnRow(
            round=self._round,
            turn=self._turn,
            way=self._way,
            prompt_tokens=last.num_prompt_tokens,
            cached_tokens=last.num_cached_tokens,
            ttft_s=first,
        )


async def measure(model: str, *, rounds: int, num_tokens: int) -> list[TurnRow]:
    """Hold the conversations, the ways in turn, another one first each time."""
    config = EngineConfig.from_flat(model=model, kv_cache_tokens=4 * _CONTEXT)
    engine = await AsyncEngine.start(config)
    params = SamplingParams(
        temperature=0.0,
        max_tokens=num_tokens,
        ignore_eos=True,
        allowed_token_ids=plain_words(engine.tokenizer),
    )
    rows: list[TurnRow] = []
    try:
        for number in range(rounds):
            speakers = [Speaker(engine, way, number, params) for way in WAYS]
            for turn, text in enumerate(visitor()):
                for place in range(len(speakers)):
                    speaker = speakers[(turn + number + place) % len(speakers)]
                    rows.append(await speaker.say(text))
                print(f"round {number + 1}, turn {turn + 1}", file=sys.stderr)
            for way in WAYS:
                engine.release_conversation(f"{way}-{number}")
    finally:
        await engine.aclose()
    return rows


def summary(run: LoreRun) -> Table:
    """What it comes to."""
    table = Table("way", "cached, turns 2–20", "TTFT p50 ms", "of lore off", "tokens prefilled")
    base = run.ttft_ms("off")
    for way in WAYS:
        time_ms = run.ttft_ms(way)
        table.add_row(
            NAMES[way],
            f"{run.cached_share(way):.1%}",
            f"{time_ms:.0f}",
            f"{time_ms / base:.2f}",
            f"{run.prefilled(way):.0f}",
        )
    return table


def per_turn(run: LoreRun) -> Table:
    """Each turn: prompt tokens, cached ones, and the median time to the first token."""
    table = Table("turn", *(f"{NAMES[way]}: prompt / cached / TTFT ms" for way in WAYS))
    for turn in range(1, len(visitor()) + 1):
        cells = []
        for way in WAYS:
            row = run.of(way, turn, turn)[0]
            time_ms = run.ttft_ms(way, turn, turn)
            cells.append(f"{row.prompt_tokens} / {row.cached_tokens} / {time_ms:.0f}")
        table.add_row(str(turn), *cells)
    return table


def picture(run: LoreRun) -> str:
    """The same as two charts."""
    places = [(part, index) for part in range(len(_PARTS)) for index in range(len(WAYS))]
    groups = [f"turns {first}–{last}" for first, last in _PARTS]
    names = [NAMES[way] for way in WAYS]
    shares = {(p, i): 100 * run.cached_share(WAYS[i], *_PARTS[p]) for p, i in places}
    times = {(p, i): run.ttft_ms(WAYS[i], *_PARTS[p]) for p, i in places}
    charts = [
        Bars(title, groups, names, values, _COLOURS, is_titled=True)
        for title, values in (
            ("Prompt tokens that were computed before, per cent", shares),
            ("Time to the first token, median, ms", times),
        )
    ]
    return draw(charts, "A lorebook in twenty turns")


def main(argv: list[str] | None = None) -> int:
    """Measure and print; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m tools.lore_figures", description=__doc__)
    parser.add_argument("--model", default="s", help="folder, or a size to make (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="conversations (%(default)s)")
    parser.add_argument("--reply-tokens", type=int, default=24, help="(%(default)s)")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--svg", type=Path, help="where to draw them")
    options = parser.parse_args(argv)
    model = find_or_make(options.model, context=_CONTEXT)
    rows = asyncio.run(measure(model, rounds=options.rounds, num_tokens=options.reply_tokens))
    run = LoreRun(
        command=shlex.join(["python", "-m", "tools.lore_figures", *(argv or sys.argv[1:])]),
        machine=describe_machine(),
        model=options.model,
        reply_tokens=options.reply_tokens,
        rows=rows,
    )
    console = Console(width=120)
    console.print(per_turn(run))
    console.print(summary(run))
    if options.json:
        options.json.write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    if options.svg:
        options.svg.write_text(picture(run) + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
