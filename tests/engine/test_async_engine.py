"""The engine for servers: text deltas in step order, one end each, whoever leaves or fails."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from engine.async_engine import AsyncEngine
from engine.config import SupervisionConfig
from engine.core import EngineCore
from engine.engine_client import FrameListener, InProcessClient, LossListener, NewsListener
from engine.errors import DuplicateRequest, EngineDead, InvalidParameter
from engine.outputs import EngineStatus, RequestDelta, StepFrame, StepStats
from engine.request import FinishReason, Service
from engine.sampling_params import SamplingParams
from engine.supervised_client import SupervisedClient
from tests.support.mortal_client import Nursery
from tests.support.scripted_model import ScriptedModelRunner, scripted_core
from tests.support.tokenizers import chatml_tokenizer

TEXT = "One, two, three. こんにちは。 STOP and never this."


def spells(text: str) -> tuple[EngineCore, list[int]]:
    """Return a core whose model says ``text`` after any prompt, and the prompt that it ignores."""
    tokens = chatml_tokenizer().encode_plain(text)
    prompt = [5, 6, 7]

    def next_token(seen: Sequence[int]) -> int:
        return tokens[(len(seen) - len(prompt)) % len(tokens)]

    return scripted_core(next_token=next_token), prompt


@pytest.fixture
async def engine() -> AsyncIterator[AsyncEngine]:
    """An engine that says ``TEXT`` over and over."""
    core, _ = spells(TEXT)
    engine = AsyncEngine(InProcessClient(core), chatml_tokenizer())
    yield engine
    await engine.aclose()


def num_tokens() -> int:
    """Tokens in ``TEXT``."""
    return len(chatml_tokenizer().encode_plain(TEXT))


async def collect(
    engine: AsyncEngine, params: SamplingParams, prompt: Sequence[int] = (5, 6, 7)
) -> list[RequestDelta]:
    """Return all deltas of one request."""
    return [delta async for delta in engine.generate(prompt, params)]


async def test_the_deltas_are_the_text(engine: AsyncEngine) -> None:
    """Concatenated they are what the model says, and the last one ends it."""
    deltas = await collect(engine, SamplingParams(max_tokens=num_tokens()))
    assert "".join(delta.text for delta in deltas) == TEXT
    assert [d.finish_reason for d in deltas if d.finish_reason] == [FinishReason.LENGTH]
    assert deltas[-1].num_output_tokens == num_tokens()


async def test_each_step_brings_its_tokens_at_once(engine: AsyncEngine) -> None:
    """One delta per step: nothing is collected."""
    deltas = await collect(engine, SamplingParams(max_tokens=10))
    assert [len(delta.token_ids) for delta in deltas] == [1] * 10


async def test_a_stop_string_ends_the_reply_before_it(engine: AsyncEngine) -> None:
    """The engine is told to stop too, and nothing of the string is shown."""
    deltas = await collect(engine, SamplingParams(stop=["STOP"], max_tokens=400))
    assert "".join(delta.text for delta in deltas) == TEXT[: TEXT.index("STOP")]
    assert (deltas[-1].finish_reason, deltas[-1].stop_reason) == (FinishReason.STOP, "STOP")
    await asyncio.sleep(0.01)
    client = engine._client
    assert isinstance(client, InProcessClient)
    assert not client.core.has_work


async def test_cancel_ends_with_abort_and_no_more_text(engine: AsyncEngine) -> None:
    """Exactly one terminal delta follows, empty."""
    deltas: list[RequestDelta] = []

    def cancel_after_five(delta: RequestDelta) -> None:
        deltas.append(delta)
        if len(deltas) == 5:
            engine.cancel("a")
            engine.cancel("a")

    engine.submit("a", [5, 6, 7], SamplingParams(max_tokens=400), on_delta=cancel_after_five)
    await asyncio.sleep(0.01)
    assert [(d.text, d.finish_reason) for d in deltas[5:]] == [("", FinishReason.ABORT)]


async def test_an_id_may_be_used_again_as_soon_as_its_reply_has_ended(
    engine: AsyncEngine,
) -> None:
    """Even where the engine is still being told of a stop string that ended the first."""
    deltas: list[RequestDelta] = []

    def again(delta: RequestDelta) -> None:
        if delta.finish_reason is FinishReason.STOP:
            engine.submit("a", [5, 6, 7], SamplingParams(max_tokens=3), on_delta=deltas.append)

    engine.submit("a", [5, 6, 7], SamplingParams(stop="two"), on_delta=again)
    await asyncio.sleep(0.01)
    assert [d.finish_reason for d in deltas] == [None, None, FinishReason.LENGTH]
    assert engine.health().num_live_requests == 0
    client = engine._client
    assert isinstance(client, InProcessClient)
    assert not client.core.has_work


async def test_a_step_listener_that_fails_stops_nobody(engine: AsyncEngine) -> None:
    """Metrics and live view hang on steps; their faults are logged."""

    def fail(stats: StepStats) -> None:
        raise RuntimeError("listener")

    engine.add_step_listener(fail)
    assert len(await collect(engine, SamplingParams(max_tokens=4))) == 4


@pytest.mark.parametrize(
    "wrong",
    [
        {"prompt": [1.0]},
        {"prompt": ["x"]},
    ],
)
async def test_an_argument_of_the_wrong_type_is_refused_by_name(
    engine: AsyncEngine, wrong: dict[str, object]
) -> None:
    """It must not reach the engine, where it would be everybody's fault."""
    arguments = {"request_id": "a", "prompt": [5], **wrong}
    with pytest.raises(InvalidParameter):
        engine.submit(
            arguments.pop("request_id"),  # type: ignore[arg-type]
            arguments.pop("prompt"),  # type: ignore[arg-type]
            SamplingParams(),
            on_delta=lambda delta: None,
        )
    assert engine.health().num_live_requests == 0


async def test_leaving_the_loop_early_cancels(engine: AsyncEngine) -> None:
    """A reader who goes away does not leave a stream running."""
    stream = engine.generate([5, 6, 7], SamplingParams(max_tokens=400))
    await anext(stream)
    await stream.aclose()  # type: ignore[attr-defined]
    await asyncio.sleep(0.01)
    assert engine.health().num_live_requests == 0


async def test_a_refusal_comes_as_a_terminal_delta(engine: AsyncEngine) -> None:
    """There is one way to hear of the end; the code and the sentence are in it."""
    (delta,) = await collect(engine, SamplingParams(), prompt=[1] * 600)
    assert (delta.finish_reason, delta.error_code) == (
        FinishReason.ERROR,
        "context_length_exceeded",
    )
    assert "600 tokens" in (delta.error_message or "")


async def test_a_refusal_is_never_told_from_within_submit(engine: AsyncEngine) -> None:
    """The caller has its own books in order before the first delta."""
    deltas: list[RequestDelta] = []
    engine.submit("a", [1] * 600, SamplingParams(), on_delta=deltas.append)
    assert deltas == []
    await asyncio.sleep(0.01)
    assert len(deltas) == 1


async def test_a_live_id_is_refused_and_its_owner_does_not_notice(engine: AsyncEngine) -> None:
    """Two requests under one id could not be told apart."""
    deltas: list[RequestDelta] = []
    engine.submit("a", [5, 6, 7], SamplingParams(max_tokens=3), on_delta=deltas.append)
    with pytest.raises(DuplicateRequest):
        engine.submit("a", [5, 6, 7], SamplingParams(), on_delta=deltas.append)
    await asyncio.sleep(0.01)
    assert [d.finish_reason for d in deltas] == [None, None, FinishReason.LENGTH]


async def test_a_listener_that_fails_costs_nobody_else(
    engine: AsyncEngine, caplog: pytest.LogCaptureFixture
) -> None:
    """The fan-out goes on; the fault is logged without what was said."""

    def fail(delta: RequestDelta) -> None:
        raise RuntimeError("listener")

    deltas: list[RequestDelta] = []
    engine.submit("bad", [5, 6, 7], SamplingParams(max_tokens=3), on_delta=fail)
    engine.submit("good", [5, 6, 7], SamplingParams(max_tokens=3), on_delta=deltas.append)
    await asyncio.sleep(0.01)
    assert len(deltas) == 3
    assert "One" not in "".join(record.getMessage() for record in caplog.records)


async def test_step_listeners_hear_of_every_step_until_they_leave(engine: AsyncEngine) -> None:
    """The live view and the metrics hang on this."""
    steps: list[StepStats] = []
    leave = engine.add_step_listener(steps.append)
    await collect(engine, SamplingParams(max_tokens=4))
    assert [step.step for step in steps] == [1, 2, 3, 4]
    leave()
    await collect(engine, SamplingParams(max_tokens=4))
    assert len(steps) == 4


class LateClient(InProcessClient):
    """Hands on the frames of several steps in one piece, as where the loop was busy meanwhile."""

    def listen(
        self,
        on_frames: FrameListener,
        on_lost: LossListener,
        on_news: NewsListener | None = None,
    ) -> None:
        """Keep frames back until there are three, or one with an end."""
        kept: list[StepFrame] = []

        def keep(frames: Sequence[StepFrame]) -> None:
            kept.extend(frames)
            ends = any(output.finish_reason for frame in frames for output in frame.outputs)
            if ends or len(kept) >= 3:
                on_frames(list(kept))
                kept.clear()

        super().listen(keep, on_lost, on_news)


async def test_steps_that_come_at_once_bring_each_listener_one_delta() -> None:
    """It holds what the deltas of the steps would have held; step listeners hear of each step."""
    prompt = [5, 6, 7]
    params = SamplingParams(max_tokens=8, logprobs=2)
    alone = AsyncEngine(InProcessClient(spells(TEXT)[0]), chatml_tokenizer())
    late = AsyncEngine(LateClient(spells(TEXT)[0]), chatml_tokenizer())
    steps: list[StepStats] = []
    late.add_step_listener(steps.append)
    expected = await collect(alone, params, prompt)
    deltas = await collect(late, params, prompt)
    assert [len(delta.token_ids) for delta in deltas] == [3, 3, 2]
    assert "".join(delta.text for delta in deltas) == "".join(one.text for one in expected)
    assert [entry for delta in deltas for entry in delta.logprobs or ()] == [
        entry for delta in expected for entry in delta.logprobs or ()
    ]
    assert deltas[-1].num_output_tokens == expected[-1].num_output_tokens == 8
    assert deltas[-1].finish_reason is FinishReason.LENGTH
    assert [step.step for step in steps] == list(range(1, 9))
    await alone.aclose()
    await late.aclose()


async def test_a_stop_string_within_steps_that_come_at_once_ends_the_reply_before_it() -> None:
    """What the steps behind it brought is not said, and the engine is told to stop."""
    core, prompt = spells(TEXT)
    engine = AsyncEngine(LateClient(core), chatml_tokenizer())
    deltas = await collect(engine, SamplingParams(stop=["three"], max_tokens=400), prompt)
    assert "".join(delta.text for delta in deltas) == "One, two, "
    assert deltas[-1].stop_reason == "three"
    await asyncio.sleep(0.01)
    assert not core.has_work
    await engine.aclose()


async def test_when_the_engine_is_lost_every_live_request_ends_with_an_error() -> None:
    """Nobody waits for ever, and a newcomer is told at once."""
    core, prompt = spells(TEXT)
    engine = AsyncEngine(InProcessClient(core), chatml_tokenizer())
    deltas: list[RequestDelta] = []
    engine.submit("a", prompt, SamplingParams(max_tokens=400), on_delta=deltas.append)
    engine._lose("the engine process ended")
    assert (deltas[-1].finish_reason, deltas[-1].error_code) == (FinishReason.ERROR, "engine_dead")
    assert not engine.health().alive
    with pytest.raises(EngineDead):
        engine.submit("b", prompt, SamplingParams(), on_delta=deltas.append)
    await engine.aclose()


async def test_status_listeners_hear_of_restarts_until_they_leave() -> None:
    """And the health tells of them, while replies only pause."""
    nursery = Nursery(lambda: spells(TEXT)[0])
    client = SupervisedClient(
        await nursery.start(), nursery.start, SupervisionConfig(), max_queued=8
    )
    engine = AsyncEngine(client, chatml_tokenizer())
    statuses: list[EngineStatus] = []
    leave = engine.add_status_listener(lambda news: statuses.append(news.status))
    replying = asyncio.create_task(collect(engine, SamplingParams(max_tokens=num_tokens())))
    await asyncio.sleep(0.05)
    nursery.last.die()
    await asyncio.sleep(0.1)
    assert engine.health().alive
    assert engine.health().is_recovering
    deltas = await replying
    assert "".join(delta.text for delta in deltas) == TEXT
    assert not engine.health().is_recovering
    assert statuses == [EngineStatus.RECOVERING, EngineStatus.READY]
    leave()
    nursery.last.die()
    await asyncio.sleep(5)
    assert len(statuses) == 2
    await engine.aclose()


async def test_an_engine_that_waits_for_the_rest_of_a_prompt_makes_progress() -> None:
    """It says each second that it is idle; one that says nothing does not."""
    nursery = Nursery()
    engine = AsyncEngine(await nursery.start(), chatml_tokenizer())
    unfinished = Service(is_final=False)
    engine.submit("a", [5, 6], SamplingParams(), on_delta=lambda _: None, service=unfinished)
    await asyncio.sleep(20.5)
    assert engine.health().seconds_since_progress < 2
    nursery.last.is_frozen = True
    await asyncio.sleep(20)
    assert engine.health().seconds_since_progress > 19
    await engine.aclose()


async def test_a_failed_step_ends_its_requests_and_the_engine_goes_on(engine: AsyncEngine) -> None:
    """A request-scoped failure never costs the engine."""
    client = engine._client
    assert isinstance(client, InProcessClient)
    runner = client.core._runner
    assert isinstance(runner, ScriptedModelRunner)
    runner.fail_next = RuntimeError("boom")
    (failed,) = await collect(engine, SamplingParams(max_tokens=3))
    assert failed.finish_reason is FinishReason.ERROR
    assert len(await collect(engine, SamplingParams(max_tokens=3))) == 3


async def test_deltas_tell_how_many_shared_their_step() -> None:
    """And how often a request had to give its blocks up to the other."""
    core = scripted_core(num_blocks=5, max_num_seqs=2)
    engine = AsyncEngine(InProcessClient(core), chatml_tokenizer())
    params = SamplingParams(max_tokens=40, ignore_eos=True)
    first, second = await asyncio.gather(collect(engine, params), collect(engine, params))
    assert {delta.batch_size for delta in first + second if delta.token_ids} == {1, 2}
    assert max(delta.num_preemptions for delta in first + second) > 0
    await engine.aclose()
