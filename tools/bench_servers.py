r"""Servers side by side: Kaiwa, vLLM and llama.cpp on the same weights, asked the same way.

Each server runs alone on this machine, in turn, and answers streaming chat completions from a
client on the same cores: a closed loop of so many listeners whose prompts begin alike. Rounds
alternate between servers, so that a machine that drifts drifts for all. Peers are named by what
starts them, and are measured only if they are there::

    python -m tools.bench_servers --model build/bench-s --streams 1,4,16,32,64 \
        --vllm PYTHON --llama-cpp LLAMA_SERVER --gguf FILE --report docs/benchmarks/servers-s
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import Progress
from tokenizers import Tokenizer

from tools.bench_peers import Timings, closed_loop, describe_machine
from tools.bench_report import Row, Run, write_report

_READY_S = 300.0
_SHARED, _OWN, _REPLY = 192, 64, 64


class Prompts:
    """Chats whose first message is the same for all and whose last is nobody else's."""

    def __init__(self, model: Path, seed: int = 0) -> None:
        self._tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
        self._rng = random.Random(seed)
        vocabulary = self._tokenizer.get_vocab()
        self._words = sorted(
            w for w in vocabulary if w.startswith("Ġ") and w[1:].isalpha() and w.isprintable()
        )
        self._shared = self._text(_SHARED)

    def make(self, count: int) -> list[list[dict[str, str]]]:
        """Return new chats."""
        return [
            [
                {"role": "system", "content": self._shared},
                {"role": "user", "content": self._text(_OWN)},
            ]
            for _ in range(count)
        ]

    def _text(self, num_tokens: int) -> str:
        text = ""
        while len(self._tokenizer.encode(text).ids) < num_tokens:
            text += self._rng.choice(self._words).replace("Ġ", " ")
        return text.strip()


def commands(options: argparse.Namespace, port: int) -> dict[str, tuple[list[str], dict[str, str]]]:
    """Return what starts each server, and with which environment."""
    model, most = options.model, str(max(options.streams))
    kaiwa = [sys.executable, "-m", "server", "serve", "--model", model, "--port", str(port)]
    kaiwa += ["--max-num-seqs", most, "--log-level", "warning", *options.kaiwa_args.split()]
    found: dict[str, tuple[list[str], dict[str, str]]] = {"kaiwa": (kaiwa, {})}
    if options.kaiwa_int8:
        found["kaiwa-int8"] = ([*kaiwa, "--quantization", "int8"], {})
    if options.vllm:
        cores = sorted(os.sched_getaffinity(0))
        library = next(Path(options.vllm).parent.parent.rglob("libiomp5.so"), None)
        command = [options.vllm, "-m", "vllm.entrypoints.openai.api_server", "--model", model]
        command += ["--port", str(port), "--max-num-seqs", most, "--block-size", "64"]
        command += ["--max-model-len", "1024", "--dtype", "bfloat16", "--served-model-name", "m"]
        environment = {
            "VLLM_CPU_OMP_THREADS_BIND": f"{cores[0]}-{cores[-1]}",
            "VLLM_CPU_KVCACHE_SPACE": "4",
            "LD_PRELOAD": "" if library is None else str(library),
        }
        found["vllm"] = (command, environment)
    if options.llama_cpp:
        threads = str(len(os.sched_getaffinity(0)))
        context = str(max(options.streams) * 512)
        command = [options.llama_cpp, "-m", options.gguf, "--port", str(port), "-np", most, "-cb"]
        command += ["-c", context, "-t", threads, "-tb", threads]
        found["llama.cpp"] = (command, {})
    return found


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], port: int) -> Iterator[None]:
    """Start a server, wait until it answers, and end it with all that it started."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            env={**os.environ, **environment},
            start_new_session=True,
        )
        try:
            _wait_until_ready(process, port, log)
            yield
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Any) -> None:
    deadline = time.monotonic() + _READY_S
    path = f"http://127.0.0.1:{port}"
    while time.monotonic() < deadline:
        if process.poll() is not None:
            log.seek(0)
            raise SystemExit(f"{process.args!r} ended:\n{log.read().decode()[-3000:]}")
        for where in ("/health", "/readyz"):
            if _status(path + where) == 200:
                return
        time.sleep(0.3)
    raise SystemExit(f"{process.args!r} was not ready after {_READY_S:g} s")


def _status(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:
            return int(answer.status)
    except OSError:
        return 0


def served_model(port: int, model: str) -> str:
    """Return the name under which a running server knows the model."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/v1/models", timeout=30) as answer:
        names = [entry["id"] for entry in json.load(answer)["data"]]
    return Path(model).name if Path(model).name in names else str(names[0])


async def ask(port: int, model: str, messages: list[dict[str, str]], on_piece: Any) -> int:
    """Stream one chat completion over a connection of its own; returns the tokens it was billed."""
    body = json.dumps(
        {
            "model": model,
            "messages": messages,
            "max_tokens": _REPLY,
            "temperature": 0,
            "stream": True,
            "ignore_eos": True,
            "stream_options": {"include_usage": True},
        }
    ).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body
    )
    status = await reader.readline()
    if b" 200 " not in status:
        raise SystemExit(f"refused: {status!r} {(await reader.read(2000)).decode()}")
    billed = 0
    async for line in reader:
        if not line.startswith(b"data: {"):
            continue
        event = json.loads(line[6:])
        if event.get("usage"):
            billed = event["usage"]["completion_tokens"]
        for choice in event.get("choices", ()):
            if choice.get("delta", {}).get("content"):
                on_piece()
    writer.close()
    return billed


async def measure(
    peer: str, options: argparse.Namespace, port: int, round_number: int
) -> list[Row]:
    """Ask a running server at every concurrency."""
    prompts = Prompts(Path(options.model), seed=round_number)
    model = served_model(port, options.model)
    rows = []
    for number, streams in enumerate([1, *options.streams]):
        timings = Timings()
        billed = 0

        async def reply(
            index: int, messages: list[dict[str, str]], timings: Timings = timings
        ) -> None:
            nonlocal billed
            tokens = await ask(port, model, messages, lambda: timings.take(index))
            billed += tokens

        chats = prompts.make(max(4, streams * options.requests_per_stream))
        await closed_loop(chats, streams, timings, reply)
        if number:
            rows.append(timings.row(peer, streams, tokens=billed))
    return rows


def main() -> None:
    """Read the command line, start, measure, end, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    option = parser.add_argument
    option("--model", default="build/bench-s", help="folder of the checkpoint (%(default)s)")
    option("--streams", default="1,4,16,32,64", help="concurrencies (%(default)s)")
    option("--requests-per-stream", type=int, default=3, help="(%(default)s)")
    option("--rounds", type=int, default=2, help="(%(default)s)")
    option("--kaiwa-int8", action="store_true", help="Kaiwa with int8 weights as well")
    option("--kaiwa-args", default="", help="more arguments for `kaiwa serve`")
    option("--vllm", metavar="PYTHON", help="interpreter that has vLLM for CPUs")
    option("--llama-cpp", metavar="FILE", help="the llama-server program")
    option("--gguf", metavar="FILE", help="the same weights for it, in bfloat16")
    option("--report", metavar="PATH", help="write PATH.md, PATH.json and PATH.svg")
    options = parser.parse_args()
    options.streams = [int(part) for part in options.streams.split(",")]
    rows: list[Row] = []
    peers = list(commands(options, 0))
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("measuring", total=options.rounds * len(peers))
        for round_number in range(options.rounds):
            for peer in peers:
                progress.update(task, description=f"round {round_number + 1}: {peer}")
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", 0))
                    port = probe.getsockname()[1]
                command, environment = commands(options, port)[peer]
                with running(command, environment, port):
                    rows += asyncio.run(measure(peer, options, port, round_number))
                progress.advance(task)
    run = Run(
        command="python -m tools.bench_servers, see docs/benchmarks/README.md",
        machine=describe_machine(),
        workload={
            "model": options.model,
            "shared_tokens": _SHARED,
            "own_tokens": _OWN,
            "output_tokens": _REPLY,
            "requests_per_stream": options.requests_per_stream,
            "kaiwa_args": options.kaiwa_args,
        },
        rounds=options.rounds,
        rows=rows,
    )
    write_report(run, Path(options.report) if options.report else None)


if __name__ == "__main__":
    main()
