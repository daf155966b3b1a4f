"""A client process ends with its records, and with whoever started it."""

from __future__ import annotations

import socket
import subprocess
import sys
import time

import msgspec
import pytest

from clients.load.job import Begin, Job, Ready, TargetSpec, Told
from clients.load.worker import EXIT_ALONE
from clients.replay.script import Session, Turn
from tests.clients.load.test_driver import texts_of

pytestmark = pytest.mark.slow  # processes are started


def test_a_process_does_not_go_on_alone() -> None:
    """Its command was killed, and could end nobody any more."""
    workload = [Session(session_id="a", start_s=0.0, turns=[Turn(input_tokens=1)])]
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"ws://127.0.0.1:{silent.getsockname()[1]}/v1/realtime"
        target = TargetSpec(kind="kaiwa", url=url)
        job = Job(target=target, sessions=workload, texts=texts_of(workload))
        with subprocess.Popen(
            [sys.executable, "-m", "clients.load.worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(msgspec.json.encode(job) + b"\n")
            process.stdin.flush()
            assert msgspec.json.decode(process.stdout.readline(), type=Told) == Ready()
            process.stdin.write(msgspec.json.encode(Begin(time.monotonic())) + b"\n")
            process.stdin.flush()
            with silent.accept()[0]:
                process.stdin.close()
                assert process.wait(60) == EXIT_ALONE
