"""Part ``server``: the whole server under many WebSocket listeners, beside its engine alone.

One character with a persona of 800 tokens, everybody asks it something, twice; tokens are counted
where they are billed, times where they are read. Beside it the same engine without sockets and
without sessions, in the same two processes, over contexts of the same mean length.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path

import torch
from tokenizers import Tokenizer

from tools.bench.alone import run_alone
from tools.bench.launch import free_port, running, start_kaiwa
from tools.bench.workload import Workload
from tools.gpu.options import Options
from tools.gpu.results import Part
from tools.gpu.shapes import checkpoint, largest
from tools.gpu.wire_load import Load, talk_from_processes

_LEAST_S = 45.0
_CHARACTER = "listened-to"


@dataclass(frozen=True, slots=True)
class _Sizes:
    """Of what is asked.

    Attributes:
        streams: Listeners.
        persona: Tokens of the character's prompt.
        reply: Tokens of a reply.
        turns: Replies to each.
    """

    streams: tuple[int, ...] = (64, 256)
    persona: int = 800
    reply: int = 256
    turns: int = 2

    def workload(self, model: str, dtype: str) -> Workload:
        """Return what the engine alone is asked: a turn in the middle of those conversations."""
        return Workload(
            model=model,
            streams=self.streams,
            prompt_tokens=self.persona + self.reply * (self.turns - 1) // 2 + 32,
            shared_tokens=self.persona,
            output_tokens=self.reply,
            requests_per_stream=self.turns,
            dtype=dtype,
        )


def run(part: Part, options: Options, device: torch.device) -> None:
    """Measure over the wire, then the engine alone."""
    sizes = _Sizes((2,), 48, 8) if options.tiny else _Sizes()
    dtype = "bfloat16" if device.type == "cuda" else "float32"
    folder = checkpoint(largest(options), options)
    workload = sizes.workload(str(folder), dtype)
    names = [f"{n} streams over the wire" for n in sizes.streams]
    least_s = 0.0 if options.tiny else _LEAST_S
    if not all(map(part.has, names)) and part.wants("the server", seconds=least_s):
        with part.measuring("the server"):
            _measure_wire(part, workload, sizes, _write_character(folder, sizes.persona))
    alone = [f"{n} streams of the engine alone" for n in sizes.streams]
    if not all(map(part.has, alone)) and part.wants("the engine alone", seconds=least_s):
        with part.measuring("the engine alone"):
            settings = '{"max_num_batched_tokens": 8192}'
            command = ["-m", "tools.bench.engines", "kaiwa", "--workload", workload.to_json()]
            found = run_alone([*command, "--options", settings], seconds=part.seconds_left)
            for name, figures in zip(alone, found, strict=True):
                part.add(name, **figures)


def _measure_wire(part: Part, workload: Workload, sizes: _Sizes, character: Path) -> None:
    port = free_port()
    more = ["--character", str(character), "--max-num-batched-tokens", "8192"]
    more += ["--dtype", workload.dtype, "--max-model-len", "4096"]
    load = Load(f"ws://127.0.0.1:{port}/v1/realtime", _CHARACTER, sizes.turns, sizes.reply)
    try:
        with running(start_kaiwa(workload, port, more), port):
            talk_from_processes(load, 1)  # warms up
            for streams in sizes.streams:
                name = f"{streams} streams over the wire"
                if part.wants(name):
                    measured = talk_from_processes(load, streams)
                    part.add(name, **measured.summary(streams))
    except SystemExit as error:
        if not isinstance(error.code, str):  # somebody ends this process
            raise
        raise RuntimeError(error.code) from error  # the server did not start


def _write_character(folder: Path, persona: int) -> Path:
    """Write a character whose prompt has so many tokens, and no expressions to be enforced."""
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    vocabulary = tokenizer.get_vocab()
    words = sorted(w[1:] for w in vocabulary if w.startswith("Ġ") and w[1:].isalpha())
    rng = random.Random(0)
    text = "You are somebody who is listened to."
    while len(tokenizer.encode(text).ids) < persona:
        text += " " + rng.choice(words)
    file = folder / f"{_CHARACTER}.toml"
    file.write_text(
        f'name = "Listened To"\nexpressions = []\nprompt = """{text}"""\n', encoding="utf-8"
    )
    return file
