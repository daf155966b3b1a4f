"""The engine in its own process: a private socket, clean ends, nobody left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import stat
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.errors import EngineDead, ModelNotFound
from engine.outputs import RequestDelta
from engine.process_client import ProcessClient
from engine.request import FinishReason
from engine.sampling_params import SamplingParams
from engine.supervised_client import SupervisedClient
from tests.support.tiny_models import make_checkpoint
from tests.support.waiting import until

pytestmark = [pytest.mark.wire(only="uvloop"), pytest.mark.slow]  # as the server runs it


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint."""
    return make_checkpoint(tmp_path_factory.mktemp("tiny-llama"))


@pytest.fixture
async def engine(tiny_llama: Path) -> AsyncIterator[AsyncEngine]:
    """An engine in its own process over the tiny model."""
    config = EngineConfig.from_flat(
        model=str(tiny_llama), dtype="float32", kv_cache_tokens=2048, max_restarts=0
    )
    engine = await AsyncEngine.start(config)
    yield engine
    await engine.aclose()


def process_of(engine: AsyncEngine) -> ProcessClient:
    """Return the client of the process that is running."""
    client = engine._client
    assert isinstance(client, SupervisedClient)
    assert isinstance(client.process, ProcessClient)
    return client.process


@pytest.mark.wire
async def test_many_replies_at_once_each_end_once(engine: AsyncEngine) -> None:
    """Twenty streams over one process border, each with its own tokens to its own end."""
    params = SamplingParams(temperature=0, max_tokens=12, ignore_eos=True)

    async def reply(prompt: list[int]) -> list[int]:
        deltas = [delta async for delta in engine.generate(prompt, params)]
        assert [d.finish_reason for d in deltas if d.finish_reason] == [FinishReason.LENGTH]
        return [token for delta in deltas for token in delta.token_ids]

    prompts = [[10 + i, 20, 30 + i] for i in range(10)]
    together = await asyncio.gather(*(reply(prompt) for prompt in prompts * 2))
    assert together[:10] == together[10:]
    assert all(len(tokens) == 12 for tokens in together)


async def test_a_cancelled_reply_frees_its_blocks(engine: AsyncEngine) -> None:
    """The next steps show none in use."""
    deltas: list[RequestDelta] = []
    used: list[int] = []
    engine.add_step_listener(lambda stats: used.append(stats.kv_blocks_used))
    long = SamplingParams(max_tokens=400, ignore_eos=True)
    engine.submit("long", [5] * 100, long, on_delta=deltas.append)
    await until(lambda: len(deltas) >= 3)
    engine.cancel("long")
    await until(lambda: deltas[-1].finish_reason)
    assert deltas[-1].finish_reason is FinishReason.ABORT
    async for _ in engine.generate([7, 8], SamplingParams(max_tokens=1)):
        pass
    assert used[-1] == 0


async def test_the_socket_lies_in_a_folder_that_only_its_owner_can_enter(
    engine: AsyncEngine,
) -> None:
    """Mode 0700; the socket takes exactly one connection and is closed to others."""
    client = process_of(engine)
    assert client._folder is not None
    assert stat.S_IMODE(client._folder.stat().st_mode) == 0o700
    with pytest.raises(OSError, match=r"refused|No such file"):
        await asyncio.open_unix_connection(str(client._folder / "engine.sock"))


async def test_closing_ends_the_process_and_removes_the_folder(tiny_llama: Path) -> None:
    """Nothing is left behind."""
    config = EngineConfig.from_flat(model=str(tiny_llama), kv_cache_tokens=256)
    client = await ProcessClient.start(config)
    folder, pid = client._folder, client.pid
    await client.aclose()
    await until(lambda: not Path(f"/proc/{pid}").exists())
    assert folder is not None
    assert not folder.exists()


async def test_a_killed_engine_ends_its_replies_with_an_error(engine: AsyncEngine) -> None:
    """``kill -9`` in mid-reply, no restart allowed: one terminal delta, and the health says why."""
    client = process_of(engine)
    deltas: list[RequestDelta] = []
    long = SamplingParams(max_tokens=400, ignore_eos=True)
    engine.submit("long", [5] * 10, long, on_delta=deltas.append)
    await until(lambda: deltas)
    os.kill(client.pid, signal.SIGKILL)
    await until(lambda: deltas[-1].finish_reason)
    assert (deltas[-1].finish_reason, deltas[-1].error_code) == (FinishReason.ERROR, "engine_dead")
    assert not engine.health().alive
    with pytest.raises(EngineDead):
        engine.submit("next", [5], long, on_delta=deltas.append)


async def test_a_model_that_is_not_there_is_told_with_its_own_error(tmp_path: Path) -> None:
    """The error crosses the process border with its code and sentence."""
    config = EngineConfig.from_flat(model=str(tmp_path / "nowhere"))
    with pytest.raises(Exception, match="nowhere") as caught:
        await ProcessClient.start(config)
    assert getattr(caught.value, "code", "") == ModelNotFound.code


async def test_a_stranger_on_the_socket_is_turned_away_and_the_engine_still_starts(
    tiny_llama: Path,
) -> None:
    """Only the very process that was started is taken, though the user is the same."""
    config = EngineConfig.from_flat(model=str(tiny_llama), kv_cache_tokens=256)
    starting = asyncio.create_task(ProcessClient.start(config))
    while not (sockets := list(Path(tempfile.gettempdir()).glob("kaiwa-*/engine.sock"))):  # noqa: ASYNC110, ASYNC240
        await asyncio.sleep(0.001)
    for path in sockets:
        with contextlib.suppress(OSError):
            reader, writer = await asyncio.open_unix_connection(str(path))
            assert await reader.read() == b""
            writer.close()
    client = await starting
    assert client.info.num_blocks == 16
    await client.aclose()


async def test_an_engine_that_hangs_while_it_loads_is_not_waited_for(tiny_llama: Path) -> None:
    """Nobody else would notice: it is not ready, so no step and no idle heartbeat is missed."""
    config = EngineConfig.from_flat(
        model=str(tiny_llama), kv_cache_tokens=256, step_timeout_s=0.5, heartbeat_timeout_s=2.0
    )
    loading: list[Path] = []

    def stop(share: float, what: str) -> None:
        if not loading:
            loading.extend(Path(f"/proc/{os.getpid()}/task").glob("*/children"))
            for child in {pid for file in loading for pid in file.read_text().split()}:
                if b"engine.worker" in Path(f"/proc/{child}/cmdline").read_bytes():
                    os.kill(int(child), signal.SIGSTOP)

    async with asyncio.timeout(60):
        with pytest.raises(EngineDead, match="while it was loading, said nothing for"):
            await ProcessClient.start(config, on_progress=stop)


async def test_giving_up_while_loading_ends_the_process_quietly(
    tiny_llama: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A cancelled start leaves neither a process nor a complaint."""
    config = EngineConfig.from_flat(model=str(tiny_llama), kv_cache_tokens=256)
    loading = asyncio.Event()
    starting = asyncio.create_task(
        ProcessClient.start(config, on_progress=lambda share, what: loading.set())
    )
    await loading.wait()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert caplog.records == []
