"""How each server is started, tuned as well as we know how, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tools.bench.against import Peer
from tools.bench.workload import Workload

_READY_S = 300.0
_CONTEXT = 512
"""Tokens per sequence that llama.cpp sets aside."""


@dataclass(frozen=True, slots=True)
class Start:
    """What starts a server.

    Attributes:
        command: Program and arguments.
        environment: Beside our own.
    """

    command: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


def free_port() -> int:
    """Return a port that nobody has at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_kaiwa(workload: Workload, port: int, more: list[str]) -> Start:
    """Start our own, with more arguments of ``kaiwa serve``."""
    command = [sys.executable, "-m", "server", "serve", "--model", workload.model]
    command += ["--port", str(port), "--max-num-seqs", str(max(workload.streams))]
    environment = {"KAIWA_HISTORY_KEEP": "memory"}  # what is measured is not to be found at home
    return Start([*command, "--log-level", "warning", *more], environment)


def start_peer(peer: Peer, workload: Workload, port: int, gguf: str | None) -> Start:
    """Start a peer with both cores, prefix caching and room for every stream.

    vLLM for CPUs binds one core and reserves the other unless it is told otherwise; with Intel's
    OpenMP and blocks of 64 it was twice as fast as with its defaults.
    """
    cores = sorted(os.sched_getaffinity(0))
    most = str(max(workload.streams))
    if peer.name == "vllm":
        command = [peer.place, "-m", "vllm.entrypoints.openai.api_server"]
        command += ["--model", workload.model, "--port", str(port), "--max-num-seqs", most]
        command += ["--block-size", "64", "--max-model-len", "1024", "--dtype", workload.dtype]
        libraries = Path(peer.place).parent.parent.rglob("libiomp5.so")
        environment = {
            "VLLM_CPU_OMP_THREADS_BIND": f"{cores[0]}-{cores[-1]}",
            "VLLM_CPU_KVCACHE_SPACE": "4",
            "LD_PRELOAD": str(next(libraries, "")),
        }
        return Start([*command, "--served-model-name", "m"], environment)
    threads, context = str(len(cores)), str(max(workload.streams) * _CONTEXT)
    command = [peer.place, "-m", str(gguf), "--port", str(port), "-np", most, "-cb"]
    return Start([*command, "-c", context, "-t", threads, "-tb", threads])


@contextlib.contextmanager
def running(start: Start, port: int) -> Iterator[None]:
    """Start a server, wait until it answers, and end it with all that it started."""
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            start.command,
            stdout=log,
            stderr=log,
            env={**os.environ, **start.environment},
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
