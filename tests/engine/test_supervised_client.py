"""An engine that is replaced when it is lost: requests go on, none lost, nothing said twice."""

from __future__ import annotations

import asyncio
import random
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence

import pytest

from engine.config import SupervisionConfig
from engine.core import EngineCore
from engine.errors import EngineDead
from engine.outputs import EngineNews, EngineStatus, LossCause, StepFrame, TokenOutput
from engine.request import EngineRequest, FinishReason, Listener, RequestUpdate, Service
from engine.sampling_params import SamplingParams
from engine.supervised_client import SupervisedClient
from tests.support.mortal_client import MortalClient, Nursery
from tests.support.scripted_model import reply_of, scripted_core

Caller = tuple[SupervisedClient, Nursery, "Heard"]


class Heard:
    """What a caller is told."""

    def __init__(self) -> None:
        self.tokens: dict[str, list[int]] = defaultdict(list)
        self.ends: dict[str, list[TokenOutput]] = defaultdict(list)
        self.counts: dict[str, list[int]] = defaultdict(list)
        self.steps: list[int] = []
        self.news: list[EngineNews] = []
        self.losses: list[str] = []

    def on_frames(self, frames: Sequence[StepFrame]) -> None:
        """Take in frames."""
        for frame in frames:
            self._take(frame)

    def _take(self, frame: StepFrame) -> None:
        for output in frame.outputs:
            self.tokens[output.request_id] += output.token_ids
            self.counts[output.request_id].append(output.num_output_tokens)
            if output.finish_reason is not None:
                self.ends[output.request_id].append(output)
        if frame.stats is not None and frame.stats.batch:
            self.steps.append(frame.stats.step)

    def reason(self, name: str) -> FinishReason | None:
        """How a request has ended, once."""
        (end,) = self.ends[name]
        return end.finish_reason


async def supervise(
    nursery: Nursery, *, max_queued: int = 1024, **settings: object
) -> tuple[SupervisedClient, Heard]:
    """Start a supervised engine and listen to it."""
    heard = Heard()
    config = SupervisionConfig(**settings)  # type: ignore[arg-type]
    client = SupervisedClient(await nursery.start(), nursery.start, config, max_queued=max_queued)
    client.listen(heard.on_frames, heard.losses.append, heard.news.append)
    return client, heard


@pytest.fixture
async def caller() -> AsyncIterator[Caller]:
    """A supervised engine, who starts it, and what is heard."""
    nursery = Nursery()
    client, heard = await supervise(nursery, step_timeout_s=10.0, heartbeat_timeout_s=4.0)
    yield client, nursery, heard
    await client.aclose()


def ask(name: str, prompt: list[int], length: int, **service: object) -> EngineRequest:
    """A request for so many tokens."""
    return EngineRequest(
        request_id=name,
        prompt_token_ids=prompt,
        params=SamplingParams(max_tokens=length, ignore_eos=True),
        service=Service(**service),  # type: ignore[arg-type]
    )


async def test_a_reply_goes_on_where_it_was(caller: Caller) -> None:
    """Token for token what an engine that lives would have said, and counted through."""
    client, nursery, heard = caller
    client.submit([ask("a", [1, 2, 3], 40)])
    await asyncio.sleep(0.2)
    assert 5 < len(heard.tokens["a"]) < 35
    nursery.last.die()
    await asyncio.sleep(5)
    assert heard.tokens["a"] == reply_of([1, 2, 3], 40)
    assert heard.reason("a") is FinishReason.LENGTH
    assert heard.counts["a"] == list(range(1, 41))


@pytest.mark.slow
async def test_losses_anywhere_lose_and_repeat_nothing() -> None:
    """Random histories of many requests, appended prompts and listeners, through many engines."""
    for seed in range(6):
        rng = random.Random(seed)
        nursery = Nursery(
            lambda: scripted_core(num_blocks=40, max_num_seqs=4, policy="paced"),
            start_s=0.3,
        )
        client, heard = await supervise(nursery, max_restarts=1000, backoff_s=0.1)
        prompts: dict[str, list[int]] = {}
        lengths: dict[str, int] = {}
        unfinished: dict[str, list[int]] = {}
        for index in range(12):
            name = f"r{index}"
            prompts[name] = [rng.randrange(999) for _ in range(rng.randint(1, 60))]
            lengths[name] = rng.randint(1, 60)
            listener = Listener(tokens_per_s=50.0) if rng.random() < 0.3 else None
            request = ask(name, prompts[name], lengths[name], listener=listener)
            if rng.random() < 0.3:
                request = ask(name, prompts[name], lengths[name], is_final=False)
                unfinished[name] = [rng.randrange(999) for _ in range(rng.randint(1, 20))]
            client.submit([request])
            await asyncio.sleep(rng.random() * 0.2)
            if rng.random() < 0.5 and client.process is not None:
                nursery.last.die()
            if unfinished and rng.random() < 0.5:
                append(client, prompts, *unfinished.popitem())
            client._ledger.check_integrity()
        for name, rest in unfinished.items():
            append(client, prompts, name, rest)
        await asyncio.sleep(20)
        for name, prompt in prompts.items():
            assert heard.tokens[name] == reply_of(prompt, lengths[name]), (seed, name)
            assert heard.reason(name) is FinishReason.LENGTH
        assert len(client._ledger) == 0
        assert heard.steps == sorted(set(heard.steps))
        await client.aclose()


def append(
    client: SupervisedClient, prompts: dict[str, list[int]], name: str, rest: list[int]
) -> None:
    """Finish a prompt."""
    prompts[name] = prompts[name] + rest
    client.update([RequestUpdate(request_id=name, token_ids=rest, is_final=True)])


async def test_news_tell_of_loss_and_recovery(caller: Caller) -> None:
    """With the cause, and how long it took."""
    client, nursery, heard = caller
    client.submit([ask("a", [1], 10)])
    nursery.last.die()
    await asyncio.sleep(5)
    assert [(news.status, news.cause) for news in heard.news] == [
        (EngineStatus.RECOVERING, LossCause.DIED),
        (EngineStatus.READY, LossCause.DIED),
    ]
    assert heard.news[1].recovery_s == pytest.approx(1.0, abs=0.01)
    assert heard.losses == []


async def test_an_idle_engine_that_dies_is_replaced_too(caller: Caller) -> None:
    """The next request should not wait for a start."""
    client, nursery, heard = caller
    await asyncio.sleep(3)
    nursery.last.die()
    await asyncio.sleep(3)
    assert len(nursery.born) == 2
    client.submit([ask("a", [1], 5)])
    await asyncio.sleep(1)
    assert heard.tokens["a"] == reply_of([1], 5)


async def test_an_engine_that_hangs_in_a_step_is_killed_and_replaced(caller: Caller) -> None:
    """After the step timeout; its reply goes on."""
    client, nursery, heard = caller
    client.submit([ask("a", [1, 2, 3], 40)])
    await asyncio.sleep(0.2)
    first = nursery.last
    first.is_frozen = True
    await asyncio.sleep(9)
    assert not first.was_killed
    await asyncio.sleep(5)
    assert first.was_killed
    assert first.is_closed
    assert heard.news[0].cause is LossCause.HUNG
    assert heard.tokens["a"] == reply_of([1, 2, 3], 40)


async def test_an_idle_engine_that_hangs_is_replaced_sooner(caller: Caller) -> None:
    """It owes a word each second."""
    _, nursery, heard = caller
    await asyncio.sleep(3)
    nursery.last.is_frozen = True
    await asyncio.sleep(7)
    assert heard.news[0].cause is LossCause.HUNG
    assert len(nursery.born) == 2


async def test_an_engine_that_lives_is_left_alone(caller: Caller) -> None:
    """Idle for longer than any limit, with a talk now and then."""
    client, nursery, heard = caller
    for round_ in range(2):
        await asyncio.sleep(15)
        client.submit([ask(f"r{round_}", [round_], 3)])
    await asyncio.sleep(15)
    assert len(nursery.born) == 1
    assert heard.news == []


async def test_a_broken_device_is_told_apart(caller: Caller) -> None:
    """The engine said itself that it cannot go on."""
    _, nursery, heard = caller
    nursery.last.give_up()
    await asyncio.sleep(3)
    assert heard.news[0].cause is LossCause.BROKEN


async def test_nothing_is_left_of_a_lost_engine(caller: Caller) -> None:
    """It may hold the memory that the next one needs."""
    _, nursery, _ = caller
    first = nursery.last
    first.die()
    await asyncio.sleep(0.5)
    assert len(nursery.born) == 1
    assert first.was_killed
    assert first.is_closed


async def test_requests_wait_for_an_engine_that_is_being_started(caller: Caller) -> None:
    """Nobody is told of an error."""
    client, nursery, heard = caller
    nursery.last.die()
    await asyncio.sleep(0.1)
    client.submit([ask("a", [1, 2], 5)])
    assert heard.ends == {}
    await asyncio.sleep(3)
    assert heard.tokens["a"] == reply_of([1, 2], 5)


async def test_no_more_wait_than_the_queue_holds() -> None:
    """One more is refused, on a later turn of the loop, and told when to come back."""
    nursery = Nursery()
    client, heard = await supervise(nursery, max_queued=2)
    nursery.last.die()
    await asyncio.sleep(0.1)
    client.submit([ask(name, [1], 2) for name in "abc"])
    assert heard.ends == {}
    await asyncio.sleep(3)
    (refused,) = heard.ends["c"]
    assert (refused.error_code, refused.retry_after_s) == ("queue_full", 5.0)
    assert heard.reason("a") is heard.reason("b") is FinishReason.LENGTH
    await client.aclose()


async def test_a_full_queue_goes_on_behind_a_full_batch() -> None:
    """Whoever was accepted once is not refused by the next engine's bound."""
    nursery = Nursery(lambda: scripted_core(max_num_seqs=2, max_num_queued_reqs=4))
    client, heard = await supervise(nursery)
    client.submit([ask(name, [1], 20) for name in "ab"])
    await asyncio.sleep(0.1)
    client.submit([ask(name, [1], 20) for name in "cdef"])
    await asyncio.sleep(0.05)
    nursery.last.die()
    await asyncio.sleep(10)
    assert [heard.reason(name) for name in "abcdef"] == [FinishReason.LENGTH] * 6
    await client.aclose()


async def test_who_is_called_off_during_the_restart_ends_at_once(caller: Caller) -> None:
    """And is not computed by the next engine."""
    client, nursery, heard = caller
    client.submit([ask("a", [1], 40)])
    await asyncio.sleep(0.1)
    nursery.last.die()
    await asyncio.sleep(0.1)
    client.cancel(["a", "unknown"])
    assert heard.ends == {}
    await asyncio.sleep(0.01)
    assert heard.reason("a") is FinishReason.ABORT
    await asyncio.sleep(3)
    assert nursery.last.submitted == []


async def test_who_was_called_off_before_the_loss_ends_with_it(caller: Caller) -> None:
    """The lost engine cannot say so any more."""
    client, nursery, heard = caller
    client.submit([ask("a", [1], 40)])
    await asyncio.sleep(0.1)
    nursery.last.is_frozen = True
    client.cancel(["a"])
    nursery.last.die()
    await asyncio.sleep(3)
    assert heard.reason("a") is FinishReason.ABORT
    assert nursery.last.submitted == []


async def test_a_request_that_kills_engines_ends_and_the_others_go_on() -> None:
    """Three losses in a row name it, and cost nobody else a token."""
    nursery = Nursery()
    nursery.dies_of = lambda ids: "bad" in ids
    client, heard = await supervise(nursery)
    client.submit([ask("a", [1], 30), ask("b", [2], 30)])
    await asyncio.sleep(0.1)
    client.submit([ask("bad", [3], 30), ask("c", [4], 30)])
    await asyncio.sleep(30)
    (end,) = heard.ends["bad"]
    assert (end.finish_reason, end.error_code) == (FinishReason.ERROR, "engine_restarted")
    for name, prompt in (("a", [1]), ("b", [2]), ("c", [4])):
        assert heard.tokens[name] == reply_of(prompt, 30)
        assert heard.reason(name) is FinishReason.LENGTH
    assert len(nursery.born) == 4
    await client.aclose()


async def test_an_engine_lost_too_often_is_given_up(caller: Caller) -> None:
    """Once, with a sentence; nothing more is taken."""
    client, nursery, heard = caller
    for _ in range(6):
        nursery.last.die()
        await asyncio.sleep(12)
    assert len(nursery.born) == 6
    assert len(heard.losses) == 1
    assert "6 losses within 600 s" in heard.losses[0]
    with pytest.raises(EngineDead):
        client.submit([ask("a", [1], 1)])


async def test_a_start_that_fails_is_tried_again_later(caller: Caller) -> None:
    """The memory of the lost one may not be free yet."""
    client, nursery, heard = caller
    client.submit([ask("a", [1], 20)])
    await asyncio.sleep(0.05)
    nursery.fail_next = [EngineDead("no memory"), EngineDead("no memory")]
    nursery.last.die()
    await asyncio.sleep(10)
    assert heard.tokens["a"] == reply_of([1], 20)
    assert heard.losses == []


async def test_starts_that_go_on_failing_are_given_up(caller: Caller) -> None:
    """With why."""
    _, nursery, heard = caller
    nursery.fail_next = [EngineDead("no memory")] * 100
    nursery.last.die()
    await asyncio.sleep(300)
    assert len(heard.losses) == 1
    assert "no memory" in heard.losses[0]


async def test_without_restarts_a_lost_engine_is_lost_at_once() -> None:
    """No status in between."""
    nursery = Nursery()
    client, heard = await supervise(nursery, max_restarts=0)
    nursery.last.die()
    await asyncio.sleep(0.01)
    assert len(heard.losses) == 1
    assert heard.news == []
    await client.aclose()


async def test_an_engine_that_comes_back_as_another_is_given_up() -> None:
    """Its tokens would not be those that the reply began with."""
    lengths = iter([512, 256])
    nursery = Nursery(lambda: scripted_core(max_model_len=next(lengths)))
    client, heard = await supervise(nursery)
    nursery.last.die()
    await asyncio.sleep(3)
    assert "another max_model_len" in heard.losses[0]
    assert nursery.last.is_closed
    await client.aclose()


async def test_an_engine_may_come_back_with_another_budget() -> None:
    """Memory is not what it was; the reply goes on."""
    sizes = iter([64, 16])
    nursery = Nursery(lambda: scripted_core(num_blocks=next(sizes)))
    client, heard = await supervise(nursery)
    client.submit([ask("a", [1], 40)])
    await asyncio.sleep(0.1)
    nursery.last.die()
    await asyncio.sleep(5)
    assert client.info.num_blocks == 16
    assert heard.tokens["a"] == reply_of([1], 40)
    await client.aclose()


async def test_closing_in_the_middle_of_a_restart_leaves_nothing() -> None:
    """Neither the old nor a new one."""
    nursery = Nursery()
    client, heard = await supervise(nursery)
    first = nursery.last
    first.die()
    await asyncio.sleep(0.5)
    await client.aclose()
    await asyncio.sleep(10)
    assert first.is_closed
    assert len(nursery.born) == 1
    assert heard.losses == []


async def test_a_conversation_that_is_released_without_an_engine_is_gone_anyway(
    caller: Caller,
) -> None:
    """The next one knows nothing of it."""
    client, nursery, _ = caller
    client.release(["before"])
    assert nursery.last.released == ["before"]
    nursery.last.die()
    await asyncio.sleep(0.1)
    client.release(["meanwhile"])
    await asyncio.sleep(3)
    assert nursery.last.released == []


async def test_a_frame_of_a_lost_engine_is_passed_over(caller: Caller) -> None:
    """What it had still to say is computed again, and would be said twice."""
    client, nursery, heard = caller
    client.submit([ask("a", [1, 2, 3], 20)])
    await asyncio.sleep(0.1)
    first: MortalClient = nursery.last
    first.die()
    await asyncio.sleep(0.01)
    so_far = list(heard.tokens["a"])
    assert first._on_frames is not None
    first._on_frames([StepFrame([TokenOutput("a", [77])])])
    assert heard.tokens["a"] == so_far
    await asyncio.sleep(5)
    assert heard.tokens["a"] == reply_of([1, 2, 3], 20)


def test_scripted_cores_agree() -> None:
    """What these tests stand on: the same prompt gives the same reply in every engine."""
    core: EngineCore = scripted_core()
    core.submit([ask("a", [1, 2, 3], 5)])
    tokens = [t for _ in range(6) for output in core.step().outputs for t in output.token_ids]
    assert tokens == reply_of([1, 2, 3], 5)
