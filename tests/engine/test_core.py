"""The whole step over a scripted model: right tokens, whatever happens around them."""

from __future__ import annotations

import random
from collections import defaultdict

import pytest

from engine.core import EngineCore
from engine.outputs import StepFrame
from engine.request import EngineRequest, FinishReason, Listener, RequestUpdate, Service
from engine.sampling_params import SamplingParams
from tests.support.scripted_model import (
    EOS_TOKEN_ID,
    VOCAB_SIZE,
    ManualClock,
    ScriptedModelRunner,
    reply_of,
    scripted_core,
)


def request(name: str, prompt: list[int], **params: object) -> EngineRequest:
    """Return a submission."""
    return EngineRequest(
        request_id=name,
        prompt_token_ids=prompt,
        params=SamplingParams(**params),  # type: ignore[arg-type]
    )


def run(core: EngineCore) -> dict[str, list[int]]:
    """Step until idle and return each request's tokens."""
    tokens: dict[str, list[int]] = defaultdict(list)
    while core.has_work:
        for output in core.step().outputs:
            tokens[output.request_id] += output.token_ids
        core.scheduler.check_integrity()
    return tokens


def test_a_reply_is_what_the_model_says_alone() -> None:
    """One request, start to end."""
    core = scripted_core()
    core.submit([request("a", [1, 2, 3], max_tokens=20)])
    assert run(core)["a"] == reply_of([1, 2, 3], 20)


def test_a_refusal_ends_in_the_frame_that_submit_returns() -> None:
    """The others of the same batch are taken."""
    core = scripted_core()
    frame = core.submit([request("bad", []), request("good", [1], max_tokens=1)])
    assert [(o.request_id, o.finish_reason, o.error_param) for o in frame.outputs] == [
        ("bad", FinishReason.ERROR, "prompt")
    ]
    assert list(run(core)) == ["good"]


def test_a_full_queue_says_when_to_come_back() -> None:
    """The advice follows how fast the queue moves."""
    core = scripted_core(max_num_queued_reqs=1)
    core.submit([request("a", [1])])
    (refused,) = core.submit([request("b", [1])]).outputs
    assert (refused.error_code, refused.retry_after_s) == ("queue_full", 1.0)


@pytest.mark.parametrize(
    ("prompt", "params", "param"),
    [
        ([VOCAB_SIZE], {}, "prompt"),
        ([-1], {}, "prompt"),
        ([1], {"logit_bias": {VOCAB_SIZE: 1.0}}, "logit_bias"),
        ([1], {"stop_token_ids": [VOCAB_SIZE + 5]}, "stop_token_ids"),
        ([1], {"banned_token_ids": [VOCAB_SIZE]}, "banned_token_ids"),
        ([1], {"allowed_token_ids": [1, VOCAB_SIZE]}, "allowed_token_ids"),
    ],
)
def test_a_token_outside_the_vocabulary_is_refused_by_its_field(
    prompt: list[int], params: dict[str, object], param: str
) -> None:
    """It would index past the end of the embeddings."""
    core = scripted_core()
    frame = core.submit([request("a", prompt, **params)])
    assert frame.outputs[0].error_param == param
    assert f"0 to {VOCAB_SIZE - 1}" in (frame.outputs[0].error_message or "")


def test_a_step_that_fails_costs_its_requests_and_not_the_engine() -> None:
    """They end with ``error``; the next request is served, from clean blocks."""
    core = scripted_core()
    runner = core._runner
    assert isinstance(runner, ScriptedModelRunner)
    prompt = list(range(40))
    core.submit([request("a", prompt, max_tokens=5)])
    runner.fail_next = RuntimeError("boom")
    frame = core.step()
    assert [(o.request_id, o.finish_reason) for o in frame.outputs] == [("a", FinishReason.ERROR)]
    core.submit([request("b", prompt, max_tokens=5)])
    assert run(core)["b"] == reply_of(prompt, 5)


def test_steps_that_fail_whatever_is_in_them_are_not_the_requests_fault() -> None:
    """After three in a row the engine says that it is broken; one good step clears it."""
    core = scripted_core()
    runner = core._runner
    assert isinstance(runner, ScriptedModelRunner)
    for name in ("a", "b"):
        runner.fail_next = RuntimeError("boom")
        core.submit([request(name, [1])])
        (ended,) = core.step().outputs
        assert ended.error_code == "step_failed"
    core.submit([request("good", [1], max_tokens=1)])
    core.step()
    for name in ("c", "d", "e"):
        assert not core.is_broken
        runner.fail_next = RuntimeError("boom")
        core.submit([request(name, [1])])
        core.step()
    assert core.is_broken


def test_aborting_the_last_request_tells_that_everything_is_free() -> None:
    """No step follows that could: watchers would show blocks in use for ever."""
    core = scripted_core()
    core.submit([request("a", [1] * 40), request("b", [2] * 40)])
    core.step()
    assert core.cancel(["a"]).stats is None
    stats = core.cancel(["b"]).stats
    assert stats is not None
    assert (stats.num_running, stats.kv_blocks_used, stats.batch) == (0, 0, [])


def test_the_stats_of_a_step_tell_who_joined_and_who_left() -> None:
    """What the live view and the trace show."""
    core = scripted_core(max_num_seqs=2)
    core.submit([request("stays", [1, 2], max_tokens=9), request("leaves", [3], max_tokens=2)])
    core.submit([request("joins", [4, 5, 6], max_tokens=3)])
    frames = [core.step() for _ in range(3)]
    stats = [frame.stats for frame in frames]
    assert stats[1] is not None
    assert stats[2] is not None
    assert (stats[1].left, stats[2].joined) == (["leaves"], ["joins"])
    assert sorted(stats[2].batch) == [("joins", "prefill", 3), ("stays", "decode", 1)]
    assert (stats[2].prefill_tokens, stats[2].decode_tokens) == (3, 1)


def test_an_end_token_ends_a_reply() -> None:
    """Finish reason ``stop``."""
    core = scripted_core(next_token=lambda tokens: EOS_TOKEN_ID if len(tokens) == 5 else 1)
    core.submit([request("a", [1, 2])])
    assert run(core)["a"] == [1, 1, 1, EOS_TOKEN_ID]


@pytest.mark.parametrize("chunk", range(1, 20))
def test_the_reply_does_not_depend_on_the_chunk_size(chunk: int) -> None:
    """Prompts are read in pieces of any size."""
    core = scripted_core(max_num_batched_tokens=chunk)
    prompts = {"a": list(range(37)), "b": [5] * 18, "c": [9]}
    core.submit([request(name, prompt, max_tokens=12) for name, prompt in prompts.items()])
    replies = run(core)
    assert replies == {name: reply_of(prompt, 12) for name, prompt in prompts.items()}


LISTENERS = [
    Listener(tokens_per_s=5.0, reserve_s=0.3),
    Listener(tokens_per_s=0.5, reserve_s=0.0),
]


class History:
    """Random arrivals, aborts and pressure on one core, with everything checked at each step."""

    def __init__(self, seed: int) -> None:
        self.rng = random.Random(seed)
        self.core = scripted_core(
            num_blocks=self.rng.randint(5, 14),
            max_num_seqs=self.rng.randint(2, 6),
            max_num_batched_tokens=self.rng.choice([1, 3, 16, 33, 512]),
            max_num_queued_reqs=8,
            enable_prefix_caching=self.rng.random() < 0.8,
            max_model_len=70,
            policy=self.rng.choice(["fcfs", "deadline", "paced"]),
            look_ahead=self.rng.random() < 0.5,
            ttft_target_s=self.rng.choice([0.01, 1.0]),
            num_host_slots=self.rng.choice([0, 1, 6]),
        )
        self.prompts: dict[str, list[int]] = {}
        self.said: dict[str, list[int]] = defaultdict(list)
        self.ended: dict[str, FinishReason] = {}
        self.unfinished: list[str] = []
        self.num_idle = 0
        self.stems = [[self.rng.randrange(9) for _ in range(30)] for _ in range(3)]

    def play(self, num_events: int) -> None:
        """Let things happen, then let everybody finish."""
        for _ in range(num_events):
            match self.rng.randrange(6):
                case 0 | 1:
                    self.arrive()
                case 2 if self.prompts and self.rng.random() < 0.4:
                    self.take(self.core.cancel([self.rng.choice(list(self.prompts))]))
                case 3 if self.unfinished:
                    self.append()
                case _:
                    self.step()
        while self.unfinished:
            self.append()
        while self.core.has_work:
            self.step()

    def arrive(self) -> None:
        """Submit a prompt that often shares its beginning with an earlier one."""
        name = f"r{len(self.prompts)}"
        stem = self.rng.choice(self.stems)[: self.rng.randint(1, 30)]
        prompt = stem + [self.rng.randrange(9) for _ in range(self.rng.randint(1, 20))]
        self.prompts[name] = prompt
        is_final = self.rng.random() < 0.7
        if not is_final:
            self.unfinished.append(name)
        submitted = EngineRequest(
            request_id=name,
            prompt_token_ids=list(prompt),
            params=SamplingParams(max_tokens=self.rng.randint(1, 25)),
            service=Service(
                priority=self.rng.randint(0, 2),
                cache_salt=self.rng.choice(["", "", "tenant"]),
                tenant=self.rng.choice(["", "a", "b"]),
                conversation_id=self.rng.choice(["", "c1", "c2"]),
                num_pinned_tokens=self.rng.choice([0, 0, 16]),
                listener=self.rng.choice([None, *LISTENERS]),
                is_final=is_final,
            ),
        )
        self.take(self.core.submit([submitted]))

    def append(self) -> None:
        """Put more behind a prompt, perhaps the last of it."""
        name = self.rng.choice(self.unfinished)
        more = [self.rng.randrange(9) for _ in range(self.rng.randint(0, 5))]
        is_final = self.rng.random() < 0.6
        if is_final:
            self.unfinished.remove(name)
        if name not in self.ended:
            self.prompts[name] += more
        update = RequestUpdate(request_id=name, token_ids=more, is_final=is_final)
        self.take(self.core.update([update]))

    def step(self) -> None:
        """Let time pass, step and check."""
        clock = self.core._clock
        assert isinstance(clock, ManualClock)
        clock.now += self.rng.choice([0.001, 0.02, 0.5])
        frame = self.core.step()
        if frame.stats is not None:
            assert frame.stats.kv_blocks_used <= frame.stats.kv_blocks_total
            did_nothing = not frame.stats.batch and not frame.outputs and self.core.has_work
            self.num_idle = self.num_idle + 1 if did_nothing else 0
            assert self.num_idle < 2, "there is work, and step after step does none of it"
        self.take(frame)

    def take(self, frame: StepFrame) -> None:
        """Note what came, and that nothing comes after an end."""
        for output in frame.outputs:
            assert output.request_id not in self.ended, "something came after the end"
            self.said[output.request_id] += output.token_ids
            if output.finish_reason is not None:
                self.ended[output.request_id] = output.finish_reason
        self.core.scheduler.check_integrity()


@pytest.mark.parametrize("seed", range(40))
def test_random_histories_end_every_request_once_with_the_right_tokens(seed: int) -> None:
    """Joins, chunks, sharing, preemption and aborts change no word and leave no block held."""
    history = History(seed)
    history.play(120)
    assert set(history.ended) == set(history.prompts)
    for name, said in history.said.items():
        assert said == reply_of(history.prompts[name], len(said)), name
    assert history.core.scheduler.kv_cache.num_used_blocks == 0


def test_random_histories_do_exercise_preemption_sharing_and_refusal() -> None:
    """The histories above reach the hard parts; otherwise they would prove little."""
    preempted = cached = copied = refused = skipped = paused = restored = 0
    for seed in range(40):
        history = History(seed)
        history.play(120)
        runner = history.core._runner
        assert isinstance(runner, ScriptedModelRunner)
        preempted += sum(len(plan.preempted) for plan in runner.plans)
        copied += sum(len(plan.block_copies) for plan in runner.plans)
        cached += sum(load.num_computed_tokens > 0 for plan in runner.plans for load in plan.loads)
        refused += sum(reason is FinishReason.ERROR for reason in history.ended.values())
        skipped += sum(plan.num_skipped for plan in runner.plans)
        paused += history.core.scheduler.num_pauses
        restored += sum(len(plan.restores) for plan in runner.plans)
    assert min(preempted, cached, copied, refused, skipped) > 20
    assert min(paused, restored) > 3


def resumed(name: str, prompt: list[int], said: list[int], **params: object) -> EngineRequest:
    """Return a submission whose reply was begun by another engine."""
    return EngineRequest(
        request_id=name,
        prompt_token_ids=prompt,
        params=SamplingParams(**params),  # type: ignore[arg-type]
        output_token_ids=said,
        is_resumed=True,
    )


def test_a_reply_that_another_engine_began_goes_on_where_it_was() -> None:
    """The rest of the tokens, counted on from there, to the end that was asked for."""
    core = scripted_core()
    whole = reply_of([1, 2, 3], 40)
    core.submit([resumed("a", [1, 2, 3], whole[:25], max_tokens=40, ignore_eos=True)])
    outputs = []
    while core.has_work:
        outputs += core.step().outputs
        core.scheduler.check_integrity()
    assert [token for output in outputs for token in output.token_ids] == whole[25:]
    assert [output.num_output_tokens for output in outputs] == list(range(26, 41))
    assert {output.num_prompt_tokens for output in outputs} == {3}
    assert outputs[-1].finish_reason is FinishReason.LENGTH


def test_a_resumed_request_is_not_held_to_the_queues_bound() -> None:
    """It was accepted once, behind a batch that is empty now."""
    core = scripted_core(max_num_seqs=1, max_num_queued_reqs=1)
    frame = core.submit([resumed(name, [1], [], max_tokens=2) for name in "abc"])
    assert frame.outputs == []
    (refused,) = core.submit([request("d", [1], max_tokens=2)]).outputs
    assert refused.error_code == "queue_full"


def test_tokens_of_a_reply_are_checked_as_those_of_a_prompt() -> None:
    """A frame may say anything."""
    (refused,) = scripted_core().submit([resumed("a", [1], [VOCAB_SIZE])]).outputs
    assert refused.error_code == "invalid_parameter"


def failing_core(error: Exception, *, is_replaceable: bool) -> EngineCore:
    """Return a core with a request in it, whose next step fails."""
    core = scripted_core()
    core.is_replaceable = is_replaceable
    core.submit([request("a", [1, 2], max_tokens=5)])
    runner = core._runner
    assert isinstance(runner, ScriptedModelRunner)
    runner.fail_next = error
    return core


def test_a_core_that_can_be_replaced_ends_nobody_for_want_of_memory() -> None:
    """Its requests go on in another process, which begins with all of it."""
    core = failing_core(MemoryError(), is_replaceable=True)
    assert core.step().outputs == []
    assert core.is_broken


def test_a_core_that_nobody_replaces_goes_on_without_those_who_were_in_the_step() -> None:
    """In a notebook there is no other process."""
    core = failing_core(MemoryError(), is_replaceable=False)
    (ended,) = core.step().outputs
    assert ended.error_code == "step_failed"
    assert not core.is_broken


def test_a_fault_in_one_step_never_costs_a_core() -> None:
    """Whoever may have caused it ends; a replaceable core goes on like any other."""
    core = failing_core(RuntimeError("boom"), is_replaceable=True)
    (ended,) = core.step().outputs
    assert ended.error_code == "step_failed"
    assert not core.is_broken
