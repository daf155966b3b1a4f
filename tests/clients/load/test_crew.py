"""Client processes play one workload together and bring back one list of records."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest

from clients.load import crew
from clients.load.job import Progress, TargetSpec
from clients.load.line import UnreadyTarget
from clients.replay.script import Session, Turn
from clients.replay.texts import SessionTexts
from tests.clients.load.scripted_server import Plan, ScriptedServer
from tests.clients.load.test_driver import texts_of

pytestmark = [pytest.mark.wire(only="asyncio"), pytest.mark.slow]  # processes are started


def sessions(count: int) -> list[Session]:
    """They begin a twentieth of a second apart."""
    return [
        Session(
            session_id=f"s{n}",
            start_s=0.05 * n,
            turns=[Turn(input_tokens=1, after="final")] * 2,
            persona=f"p{n}",
        )
        for n in range(count)
    ]


async def test_two_processes_share_a_workload_and_a_clock() -> None:
    """Every session is played once; records come in the order of sending."""
    server = ScriptedServer(lambda *_: Plan((0.01, 0.01)))
    seen: list[Progress] = []
    workload = sessions(6)
    async with server.serve() as url:
        played = await crew.play(
            workload,
            texts_of(workload),
            TargetSpec(kind="kaiwa", url=url),
            processes=2,
            on_progress=seen.append,
        )
    assert sorted(record.request_id for record in played.records) == sorted(
        f"s{n}/{turn}" for n in range(6) for turn in range(2)
    )
    sent = [record.sent_s for record in played.records]
    assert sent == sorted(sent)
    assert all(record.finish == "stop" for record in played.records)
    assert len(server.did) == 12
    assert all(one.ended <= one.sent <= 12 for one in seen)


async def test_ctrl_c_ends_the_command_and_its_processes_without_a_word() -> None:
    """The terminal sends it to all of them."""
    connected = asyncio.Event()

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()
        writer.close()

    server = await asyncio.start_server(hold, "127.0.0.1", 0)
    host, port = server.sockets[0].getsockname()[:2]
    # Whoever runs in a shell's background ignores it, and so would all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *(
            "-m",
            "server",
            "replay",
            "chat",
            "--limit=2",
            "--no-engine",
            f"--url=ws://{host}:{port}",
        ),
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    signal.signal(signal.SIGINT, before)
    await asyncio.wait_for(connected.wait(), 60)
    os.killpg(process.pid, signal.SIGINT)
    _, told = await asyncio.wait_for(process.communicate(), 60)
    server.close()
    await server.wait_closed()
    assert (process.returncode, told.strip()) == (130, b"")


async def test_a_process_that_fails_is_told_and_the_others_are_ended() -> None:
    """A workload without its words is our own mistake, and must not hang."""
    workload = sessions(2)
    texts = SessionTexts(texts_of(workload).openings, {"s0": [], "s1": ["a", "b"]})
    spec = TargetSpec(kind="kaiwa", url="ws://127.0.0.1:9/v1/realtime")
    with pytest.raises(UnreadyTarget, match="exit code"):
        await asyncio.wait_for(crew.play(workload, texts, spec, processes=2), 60)
