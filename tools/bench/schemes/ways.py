"""Five ways to serve generation requests that come one by one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import torch

from engine.async_engine import AsyncEngine
from engine.config import EngineConfig
from engine.sampling_params import SamplingParams
from engine.single_shot.dynamic_batcher import DynamicBatcher
from engine.single_shot.model_pool import ModelPool
from tools.bench.schemes.generate import generate, load
from tools.bench.schemes.plan import Ask, Plan

_KV_TOKENS = 4096
_WARMING = Ask(0.0, tuple(range(10, 30)), 4)
_WARMING_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Reply:
    """What came of a request: its tokens, and when the caller had the first (``perf_counter``)."""

    tokens: int
    first: float


class Way(Protocol):
    """One scheme, ready to serve; all calls on one event loop."""

    async def reply(self, ask: Ask) -> Reply:
        """Serve one request."""

    def expect(self, count: int) -> None:
        """Say how many requests are to come; only fixed batches need to know."""

    async def warm(self) -> None:
        """Serve what makes the first request no slower than others."""

    async def aclose(self) -> None:
        """Give everything back."""


class _Whole:
    """A scheme without streaming: the first token is there with the last."""

    async def _tokens(self, ask: Ask) -> int:
        raise NotImplementedError

    async def reply(self, ask: Ask) -> Reply:
        """Serve one request."""
        return Reply(await self._tokens(ask), time.perf_counter())

    def expect(self, count: int) -> None:
        """Nothing depends on it."""

    async def warm(self) -> None:
        """One request."""
        await self.reply(_WARMING)

    async def aclose(self) -> None:
        """Nothing is held."""


class Threads(_Whole):
    """So many threads that share one model in eval mode."""

    def __init__(self, plan: Plan) -> None:
        self._workers = plan.workers
        _share_cores(plan.cores, plan.workers)
        self._model = load(plan)
        self._threads = ThreadPoolExecutor(plan.workers)

    async def _tokens(self, ask: Ask) -> int:
        loop = asyncio.get_running_loop()
        return (await loop.run_in_executor(self._threads, generate, self._model, [ask]))[0]

    async def warm(self) -> None:
        """One request per thread."""
        await asyncio.gather(*(self.reply(_WARMING) for _ in range(self._workers)))


class Pool(_Whole):
    """So many instances, lent to one request each."""

    def __init__(self, plan: Plan) -> None:
        _share_cores(plan.cores, plan.workers)
        self._workers = plan.workers
        self._pool: ModelPool[Any] = ModelPool(
            partial(load, plan), max_instances=plan.workers, max_waiting=plan.requests
        )

    async def _tokens(self, ask: Ask) -> int:
        return (await self._pool.run(lambda model: generate(model, [ask])))[0]

    async def warm(self) -> None:
        """One request per instance, which makes it."""
        await asyncio.gather(*(self.reply(_WARMING) for _ in range(self._workers)))

    async def aclose(self) -> None:
        """Close the pool."""
        await self._pool.aclose()


class Static(_Whole):
    """Batches of a fixed size: one begins when it is full, the last when no more will come."""

    def __init__(self, plan: Plan) -> None:
        _share_cores(plan.cores, 1)
        self._model = load(plan)
        self._size = plan.batch_size
        self._thread = ThreadPoolExecutor(1)
        self._group: list[tuple[Ask, asyncio.Future[int]]] = []
        self._to_come = 1

    def expect(self, count: int) -> None:
        """The last of so many begins its batch, full or not."""
        self._to_come = count

    async def _tokens(self, ask: Ask) -> int:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[int] = loop.create_future()
        self._group.append((ask, future))
        self._to_come -= 1
        if len(self._group) == self._size or self._to_come == 0:
            group, self._group = self._group, []
            found = await loop.run_in_executor(
                self._thread, generate, self._model, [one for one, _ in group]
            )
            for (_, waiting), tokens in zip(group, found, strict=True):
                waiting.set_result(tokens)
        return await future


class Dynamic(_Whole):
    """Batches that begin when they are full or when their first has waited long enough."""

    def __init__(self, plan: Plan) -> None:
        _share_cores(plan.cores, 1)
        self._batcher: DynamicBatcher[Ask, int] = DynamicBatcher(
            partial(generate, load(plan)),
            max_batch_size=plan.batch_size,
            max_wait_s=plan.max_wait_s,
            max_waiting=max(plan.requests, plan.batch_size),
        )

    async def _tokens(self, ask: Ask) -> int:
        return await self._batcher.submit(ask)

    async def aclose(self) -> None:
        """Close the batcher."""
        await self._batcher.aclose()


class Continuous:
    """Kaiwa's engine: requests join and leave the batch at every step. It steps on this loop."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    @classmethod
    async def start(cls, plan: Plan) -> Continuous:
        """Load the model."""
        config = EngineConfig.from_flat(
            model=plan.model,
            dtype=plan.dtype,
            kernels=plan.kernels,
            num_threads=plan.cores,
            max_num_seqs=plan.batch_size,
            max_num_queued_reqs=plan.requests + _WARMING_AT_ONCE,
            kv_cache_tokens=_KV_TOKENS,
            enable_prefix_caching=False,
        )
        return cls(await AsyncEngine.start(config, in_process=True))

    async def reply(self, ask: Ask) -> Reply:
        """Serve one request."""
        params = SamplingParams(temperature=0, max_tokens=ask.output_tokens, ignore_eos=True)
        tokens, first = 0, 0.0
        async for delta in self._engine.generate(ask.prompt, params):
            if delta.error_message is not None:
                raise RuntimeError(delta.error_message)
            if delta.token_ids and not tokens:
                first = time.perf_counter()
            tokens += len(delta.token_ids)
        return Reply(tokens, first)

    def expect(self, count: int) -> None:
        """Nothing depends on it."""

    async def warm(self) -> None:
        """A few at once."""
        await asyncio.gather(*(self.reply(_WARMING) for _ in range(_WARMING_AT_ONCE)))

    async def aclose(self) -> None:
        """End the engine."""
        await self._engine.aclose()


async def start_way(name: str, plan: Plan) -> Way:
    """Return a scheme by its name on the command line, loaded."""
    if name == "continuous":
        return await Continuous.start(plan)
    makers: dict[str, Callable[[Plan], Way]] = {
        "threads": Threads,
        "pool": Pool,
        "static": Static,
        "dynamic": Dynamic,
    }
    return makers[name](plan)


def _share_cores(cores: int, workers: int) -> None:
    torch.set_num_threads(max(1, cores // workers))
