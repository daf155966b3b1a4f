"""Real engine processes that are killed and stopped: replies go on, byte for byte."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import msgspec
import pytest

from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.outputs import EngineNews, EngineStatus, LossCause, RequestDelta
from engine.process_client import ProcessClient
from engine.request import FinishReason, Service
from engine.sampling_params import Grammar, SamplingParams
from engine.supervised_client import SupervisedClient
from server.app import EXIT_ENGINE_LOST
from tests.support.real_server import ROOT
from tests.support.tiny_models import make_checkpoint
from tests.support.waiting import until
from tools.kill_engine import Server

pytestmark = [pytest.mark.wire(only="uvloop"), pytest.mark.slow]  # as the server runs it

PATIENCE_S = 120.0
SCHEMA = '{"type": "array", "items": {"enum": ["the fox", "the dog", "moon"]}, "minItems": 12}'
UNFINISHED = Service(is_final=False)


@dataclass
class Reply:
    """What one caller hears."""

    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    ends: list[RequestDelta] = field(default_factory=list)

    def take(self, delta: RequestDelta) -> None:
        """Hear of a step."""
        self.text += delta.text
        self.token_ids += delta.token_ids
        if delta.finish_reason is not None:
            self.ends.append(delta)

    def told(self) -> tuple[object, ...]:
        """All that must not depend on what engines go through."""
        (end,) = self.ends
        return (
            self.text,
            self.token_ids,
            end.finish_reason,
            end.stop_reason,
            end.num_prompt_tokens,
            end.num_output_tokens,
        )


def kinds(stop: str) -> dict[str, SamplingParams]:
    """One of each way of sampling that keeps a state of its own."""
    whole = partial(msgspec.structs.replace, SamplingParams(max_tokens=150, ignore_eos=True))
    return {
        "greedy": whole(temperature=0),
        "seeded": whole(temperature=1.0, seed=5),
        "penalties": whole(
            temperature=0.9,
            seed=6,
            presence_penalty=0.4,
            frequency_penalty=0.3,
            repetition_penalty=1.1,
            dry_multiplier=0.8,
        ),
        "stop": whole(temperature=0, stop=[stop]),
        "grammar": whole(
            seed=7, ignore_eos=False, grammar=Grammar(kind="json_schema", source=SCHEMA)
        ),
    }


def ask_all(engine: AsyncEngine, stop: str, prefix: str) -> dict[str, Reply]:
    """Ask for one reply of each kind, and for one whose prompt comes in two pieces."""
    replies: dict[str, Reply] = {}
    for index, (kind, params) in enumerate(kinds(stop).items()):
        replies[kind] = Reply()
        prompt = [10 + index, 20, 30] * 5 if kind not in ("greedy", "stop") else [10, 20, 30] * 5
        engine.submit(f"{prefix}-{kind}", prompt, params, on_delta=replies[kind].take)
    replies["appended"] = Reply()
    engine.submit(
        f"{prefix}-appended",
        [40, 41] * 20,
        SamplingParams(temperature=1.0, seed=8, max_tokens=100, ignore_eos=True),
        on_delta=replies["appended"].take,
        service=UNFINISHED,
    )
    return replies


def finish_prompt(engine: AsyncEngine, prefix: str) -> None:
    """Append the second piece."""
    engine.append(f"{prefix}-appended", [42, 43], is_final=True)


async def ended(replies: dict[str, Reply]) -> dict[str, tuple[object, ...]]:
    """Wait for all of them."""
    await until(lambda: all(r.ends for r in replies.values()), patience_s=PATIENCE_S)
    return {kind: reply.told() for kind, reply in replies.items()}


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny checkpoint."""
    return make_checkpoint(tmp_path_factory.mktemp("tiny-llama"))


def config(checkpoint: Path, **settings: object) -> EngineConfig:
    """A small engine on one thread."""
    return EngineConfig.from_flat(
        model=str(checkpoint),
        dtype="float32",
        kv_cache_tokens=4096,
        num_threads=1,
        self_check=False,
        **settings,
    )


@pytest.fixture
async def engine(tiny_llama: Path) -> AsyncIterator[AsyncEngine]:
    """A supervised engine."""
    engine = await AsyncEngine.start(
        config(tiny_llama, max_restarts=100, step_timeout_s=1.0, heartbeat_timeout_s=3.0)
    )
    yield engine
    await engine.aclose()


def process_of(engine: AsyncEngine) -> ProcessClient:
    """Return the client of the process that is running."""
    client = engine._client
    assert isinstance(client, SupervisedClient)
    assert isinstance(client.process, ProcessClient)
    return client.process


def news_of(engine: AsyncEngine) -> list[EngineNews]:
    """Hear of restarts."""
    news: list[EngineNews] = []
    engine.add_status_listener(news.append)
    return news


def is_back(news: list[EngineNews], times: int = 1) -> Callable[[], bool]:
    """Whether the engine was back so often."""
    return lambda: [n.status for n in news].count(EngineStatus.READY) >= times


async def test_replies_of_every_kind_go_on_through_deaths_at_every_stage(
    engine: AsyncEngine,
) -> None:
    """Killed right after the submissions, in mid-reply twice, stopped, and idle: the same bytes."""
    plain = Reply()
    params = SamplingParams(temperature=0, max_tokens=150, ignore_eos=True)
    engine.submit("plain", [10, 20, 30] * 5, params, on_delta=plain.take)
    await until(lambda: plain.ends, patience_s=PATIENCE_S)
    stop = plain.text[-24:-16]
    undisturbed = ask_all(engine, stop, "undisturbed")
    finish_prompt(engine, "undisturbed")
    expected = await ended(undisturbed)
    assert expected["stop"][3] == stop
    assert FinishReason.ERROR not in [told[2] for told in expected.values()]

    news = news_of(engine)
    disturbed = ask_all(engine, stop, "disturbed")
    folder = process_of(engine)._folder
    pid = process_of(engine).pid
    os.kill(pid, signal.SIGKILL)  # while prompts are read
    await until(is_back(news), patience_s=PATIENCE_S)
    await until(lambda: len(disturbed["greedy"].token_ids) > 10, patience_s=PATIENCE_S)
    os.kill(process_of(engine).pid, signal.SIGKILL)
    finish_prompt(engine, "disturbed")
    await until(is_back(news, 2), patience_s=PATIENCE_S)
    reached = len(disturbed["seeded"].token_ids)
    await until(lambda: len(disturbed["seeded"].token_ids) > reached + 10, patience_s=PATIENCE_S)
    stopped = process_of(engine).pid
    os.kill(stopped, signal.SIGSTOP)
    assert await ended(disturbed) == expected
    assert [n.cause for n in news if n.status is EngineStatus.RECOVERING] == [
        LossCause.DIED,
        LossCause.DIED,
        LossCause.HUNG,
    ]
    assert folder is not None
    left = [Path(f"/proc/{pid}"), Path(f"/proc/{stopped}"), folder]
    assert not any(map(Path.exists, left))


async def test_an_idle_engine_that_is_killed_or_stopped_is_replaced(engine: AsyncEngine) -> None:
    """Before anybody asks for anything, and without a word to anybody but the health."""
    news = news_of(engine)
    os.kill(process_of(engine).pid, signal.SIGKILL)
    await until(lambda: news)
    assert engine.health().is_recovering
    await until(is_back(news), patience_s=PATIENCE_S)
    await until(lambda: process_of(engine).is_idle)
    os.kill(process_of(engine).pid, signal.SIGSTOP)
    await until(is_back(news, 2), patience_s=PATIENCE_S)
    assert news[2].cause is LossCause.HUNG
    assert not engine.health().is_recovering
    params = SamplingParams(temperature=0, max_tokens=3, ignore_eos=True)
    assert len([delta async for delta in engine.generate([5, 6], params)]) == 3


async def test_an_engine_that_dies_again_and_again_is_given_up(tiny_llama: Path) -> None:
    """Then its replies end with an error, once each."""
    engine = await AsyncEngine.start(config(tiny_llama, max_restarts=1))
    news = news_of(engine)
    reply = Reply()
    params = SamplingParams(max_tokens=400, ignore_eos=True)
    engine.submit("a", [5] * 10, params, on_delta=reply.take)
    await until(lambda: reply.token_ids, patience_s=PATIENCE_S)
    os.kill(process_of(engine).pid, signal.SIGKILL)
    await until(is_back(news), patience_s=PATIENCE_S)
    os.kill(process_of(engine).pid, signal.SIGKILL)
    await until(lambda: reply.ends)
    (end,) = reply.ends
    assert (end.finish_reason, end.error_code) == (FinishReason.ERROR, "engine_dead")
    assert news[-1].status is EngineStatus.LOST
    assert not engine.health().alive
    await engine.aclose()


def test_a_server_that_gives_its_engine_up_leaves_with_code_70(tiny_llama: Path) -> None:
    """So that whoever supervises the process starts it anew."""
    command = [sys.executable, "-m", "server", "serve", "--port", "0", "--model", str(tiny_llama)]
    environment = os.environ | {"KAIWA_SUPERVISION_MAX_RESTARTS": "0"}
    with subprocess.Popen(
        [*command, "--kv-cache-tokens", "2048"],
        env=environment,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        server = Server("", process)
        assert process.stdout is not None
        assert process.stdout.readline().startswith("ready ")
        engine_pid = server.engine_pid()
        assert engine_pid is not None
        os.kill(engine_pid, signal.SIGKILL)
        try:
            assert process.wait(PATIENCE_S) == EXIT_ENGINE_LOST
        finally:
            process.kill()
