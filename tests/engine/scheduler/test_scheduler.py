"""Who computes what in which step, and who has to wait."""

from __future__ import annotations

import pytest

from engine.config import BLOCK_SIZE, SchedulerConfig
from engine.errors import (
    DuplicateRequest,
    NeverFits,
    PromptTooLong,
    QueueFull,
    RequestError,
    StepFailed,
)
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import ModelRunnerOutput, SampledToken, StepPlan, TokenOutput
from engine.request import EngineRequest, FinishReason, Listener, RequestUpdate, Service
from engine.sampling_params import SamplingParams
from engine.scheduler.scheduler import Scheduler

EOS = 7


def make_scheduler(
    *, num_blocks: int = 32, max_model_len: int = 256, **limits: object
) -> Scheduler:
    """Return a scheduler over an empty ledger."""
    return Scheduler(
        SchedulerConfig(**limits),  # type: ignore[arg-type]
        KVCacheManager(num_blocks, block_size=BLOCK_SIZE),
        max_model_len=max_model_len,
        eos_token_ids=[EOS],
    )


def add(
    scheduler: Scheduler, name: str, num_prompt: int = 4, *, priority: int = 0, **params: object
) -> None:
    """Queue a request whose prompt is like nobody else's."""
    prompt = [hash(name) % 1000 + 10, *range(100, 99 + num_prompt)]
    scheduler.add_request(
        EngineRequest(
            request_id=name,
            prompt_token_ids=prompt,
            params=SamplingParams(**params),  # type: ignore[arg-type]
            service=Service(priority=priority),
        ),
        now=0.0,
    )


def sampled(plan: StepPlan, token: int = 50) -> ModelRunnerOutput:
    """Pretend that everybody sampled ``token``."""
    slots = [*plan.decodes, *(chunk.slot for chunk in plan.chunks if chunk.samples)]
    return ModelRunnerOutput({slot: SampledToken(token) for slot in slots})


def step(
    scheduler: Scheduler, token: int = 50, *, now: float = 1.0
) -> tuple[StepPlan, list[TokenOutput]]:
    """Plan a step, pretend that everybody sampled ``token``, and check every invariant."""
    plan = scheduler.schedule(now)
    scheduler.check_integrity()
    if plan.is_empty:
        return plan, []
    results = scheduler.update_from_output(plan, sampled(plan, token), now)
    scheduler.check_integrity()
    return plan, results


def shares(plan: StepPlan) -> dict[str, int]:
    """Return how many tokens each request computes in a plan."""
    return {name: count for name, _, count in plan.batch}


def test_a_newcomer_joins_the_running_batch_at_the_next_step() -> None:
    """Nobody waits for a batch to drain: prompt and decode share a step."""
    scheduler = make_scheduler()
    add(scheduler, "a")
    step(scheduler)
    add(scheduler, "b", 6)
    plan, _ = step(scheduler)
    assert shares(plan) == {"a": 1, "b": 6}
    assert plan.joined == ["b"]


def test_one_sequence_leaves_and_another_joins_in_the_same_step_while_a_third_decodes() -> None:
    """Iteration-level batching, seen in one plan and its result."""
    scheduler = make_scheduler(max_num_seqs=2)
    add(scheduler, "stays")
    add(scheduler, "leaves", max_tokens=2)
    add(scheduler, "joins")
    step(scheduler)
    _, results = step(scheduler)
    assert [r.request_id for r in results if r.finish_reason] == ["leaves"]
    plan, _ = step(scheduler)
    assert (shares(plan), plan.joined) == ({"stays": 1, "joins": 4}, ["joins"])


def test_a_long_prompt_is_cut_to_the_token_budget() -> None:
    """Decodes come first; the prompt gets what is left of the step."""
    scheduler = make_scheduler(max_num_batched_tokens=8)
    add(scheduler, "a")
    step(scheduler)
    add(scheduler, "long", 20)
    chunks = [shares(step(scheduler)[0])["long"] for _ in range(3)]
    assert chunks == [7, 7, 6]


def test_only_the_last_chunk_samples() -> None:
    """A half-read prompt has nothing to say."""
    scheduler = make_scheduler(max_num_batched_tokens=3)
    add(scheduler, "a", 5)
    assert step(scheduler)[1] == []
    assert [r.token_ids for r in step(scheduler)[1]] == [[50]]


def test_no_more_than_max_num_seqs_run() -> None:
    """The others wait in order."""
    scheduler = make_scheduler(max_num_seqs=2)
    for name in "abc":
        add(scheduler, name)
    step(scheduler)
    assert (scheduler.num_running, scheduler.num_waiting) == (2, 1)


def test_priority_comes_before_arrival() -> None:
    """Lower numbers run first; equals in order of arrival."""
    scheduler = make_scheduler(max_num_seqs=1)
    add(scheduler, "first", priority=1, max_tokens=1)
    add(scheduler, "second", priority=1, max_tokens=1)
    add(scheduler, "urgent", priority=0, max_tokens=1)
    order = [step(scheduler)[0].joined[0] for _ in range(3)]
    assert order == ["urgent", "first", "second"]


def test_when_blocks_run_out_the_lowest_rank_is_preempted_and_comes_back() -> None:
    """Everybody finishes; the one that arrived last is recomputed."""
    scheduler = make_scheduler(num_blocks=3, policy="fcfs")
    add(scheduler, "old", 16, max_tokens=20)
    add(scheduler, "new", 16, max_tokens=20)
    preempted: list[str] = []
    ended: list[str] = []
    for _ in range(80):
        plan, results = step(scheduler)
        preempted += plan.preempted
        ended += [r.request_id for r in results if r.finish_reason]
    assert set(preempted) == {"new"}
    assert ended == ["old", "new"]
    assert scheduler.kv_cache.num_used_blocks == 0


def test_a_preempted_request_keeps_what_it_has_said() -> None:
    """Its tokens are recomputed, not sampled again: the outputs go on where they were."""
    scheduler = make_scheduler(num_blocks=3, policy="fcfs")
    add(scheduler, "old", 16, max_tokens=20)
    add(scheduler, "new", 16, max_tokens=20)
    counts: list[int] = []
    for _ in range(80):
        _, results = step(scheduler)
        counts += [r.num_output_tokens for r in results if r.request_id == "new"]
    assert counts == list(range(1, 21))


def test_an_end_token_stops_a_request_and_is_its_last_token() -> None:
    """Finish reason ``stop``, with the token that did it."""
    scheduler = make_scheduler()
    add(scheduler, "a")
    _, results = step(scheduler, token=EOS)
    assert [(r.finish_reason, r.stop_token_id, r.token_ids) for r in results] == [
        (FinishReason.STOP, EOS, [EOS])
    ]


def test_ignore_eos_goes_on_but_own_stop_tokens_still_stop() -> None:
    """``ignore_eos`` is about the model's end tokens only."""
    scheduler = make_scheduler()
    add(scheduler, "a", ignore_eos=True, stop_token_ids=[60])
    assert step(scheduler, token=EOS)[1][0].finish_reason is None
    assert step(scheduler, token=60)[1][0].finish_reason is FinishReason.STOP


def test_max_tokens_ends_with_length() -> None:
    """Exactly so many tokens, the last one terminal."""
    scheduler = make_scheduler()
    add(scheduler, "a", max_tokens=3)
    reasons = [step(scheduler)[1][0].finish_reason for _ in range(3)]
    assert reasons == [None, None, FinishReason.LENGTH]


def test_the_contexts_end_ends_with_length() -> None:
    """Without ``max_tokens`` a reply goes up to ``max_model_len``."""
    scheduler = make_scheduler(max_model_len=10)
    add(scheduler, "a", 8)
    assert step(scheduler)[1][0].finish_reason is None
    assert step(scheduler)[1][0].finish_reason is FinishReason.LENGTH


def test_without_max_tokens_a_reply_ends_where_the_whole_budget_ends() -> None:
    """One request alone uses every block and then ends with ``length``; nothing is stuck."""
    scheduler = make_scheduler(num_blocks=1)
    add(scheduler, "a", 4)
    results = [step(scheduler)[1][0] for _ in range(13)]
    assert [r.finish_reason for r in results[-2:]] == [None, FinishReason.LENGTH]
    assert scheduler.kv_cache.num_used_blocks == 0


@pytest.mark.parametrize("steps_before", [0, 1, 2, 5])
def test_abort_works_at_any_point_of_a_requests_life(steps_before: int) -> None:
    """Queued, half-read, decoding: one terminal output, and the blocks are free at once."""
    scheduler = make_scheduler(max_num_batched_tokens=3)
    add(scheduler, "a", 6)
    for _ in range(steps_before):
        step(scheduler)
    ended = scheduler.abort("a")
    assert ended is not None
    assert ended.finish_reason is FinishReason.ABORT
    assert scheduler.abort("a") is None
    assert (scheduler.kv_cache.num_used_blocks, scheduler.has_work) == (0, False)
    scheduler.check_integrity()


def test_what_a_step_brought_for_an_aborted_request_is_passed_over() -> None:
    """An abort that races the step does no harm."""
    scheduler = make_scheduler()
    add(scheduler, "a")
    add(scheduler, "b")
    plan = scheduler.schedule(now=1.0)
    scheduler.abort("a")
    results = scheduler.update_from_output(plan, sampled(plan), 1.0)
    assert [r.request_id for r in results] == ["b"]
    scheduler.check_integrity()


def test_a_row_that_failed_ends_its_request_and_nobody_elses() -> None:
    """A request-scoped failure costs one request."""
    scheduler = make_scheduler()
    add(scheduler, "bad")
    add(scheduler, "good")
    plan = scheduler.schedule(now=1.0)
    bad, good = (load.slot for load in plan.loads)
    output = ModelRunnerOutput({good: SampledToken(50)}, {bad: "its logits are not finite"})
    results = {r.request_id: r for r in scheduler.update_from_output(plan, output, 1.0)}
    assert results["bad"].finish_reason is FinishReason.ERROR
    assert results["bad"].error_message == "its logits are not finite"
    assert results["good"].finish_reason is None


def test_a_request_that_can_never_fit_is_refused_with_the_numbers() -> None:
    """Prompt and asked-for reply together exceed the whole budget."""
    scheduler = make_scheduler(num_blocks=2)
    with pytest.raises(NeverFits, match=r"59 tokens .* holds 32"):
        add(scheduler, "a", 10, max_tokens=50)


def test_a_prompt_without_room_for_a_reply_is_refused_with_the_numbers() -> None:
    """The context's end is a limit too."""
    scheduler = make_scheduler(max_model_len=16)
    with pytest.raises(PromptTooLong, match=r"16 tokens .* at most 15"):
        add(scheduler, "a", 16)


def test_an_empty_prompt_is_refused() -> None:
    """There would be nothing to continue."""
    scheduler = make_scheduler()
    empty = EngineRequest(request_id="a", prompt_token_ids=[], params=SamplingParams())
    with pytest.raises(RequestError, match="empty"):
        scheduler.add_request(empty, now=0.0)


def test_the_queue_is_bounded() -> None:
    """One more than the limit is refused, and nothing changes."""
    scheduler = make_scheduler(max_num_queued_reqs=2)
    add(scheduler, "a")
    add(scheduler, "b")
    with pytest.raises(QueueFull, match="2 requests are waiting and the limit is 2"):
        add(scheduler, "c")
    scheduler.check_integrity()


def test_a_live_id_cannot_be_used_twice() -> None:
    """Outputs could not be told apart."""
    scheduler = make_scheduler()
    add(scheduler, "a")
    with pytest.raises(DuplicateRequest, match="'a'"):
        add(scheduler, "a")


def test_a_storm_of_queued_aborts_leaves_nothing_behind() -> None:
    """The queue's memory follows the live requests, not the history."""
    scheduler = make_scheduler(max_num_seqs=1)
    add(scheduler, "runs")
    step(scheduler)
    for index in range(5000):
        add(scheduler, f"storm-{index}")
        scheduler.abort(f"storm-{index}")
    assert len(scheduler._queue._heap) <= 66
    scheduler.check_integrity()


def test_the_cached_part_of_a_prompt_is_not_computed_again() -> None:
    """A second prompt with the same beginning computes only its own end."""
    scheduler = make_scheduler()
    for name in ("first", "second"):
        prompt = [*range(40), 900 if name == "first" else 901]
        params = SamplingParams(max_tokens=1)
        submitted = EngineRequest(request_id=name, prompt_token_ids=prompt, params=params)
        scheduler.add_request(submitted, now=0.0)
        plan, results = step(scheduler)
    assert shares(plan) == {"second": 1}
    assert results[0].num_cached_tokens == 40


def test_queue_time_is_from_arrival_to_first_being_scheduled() -> None:
    """Seconds, reported with every output."""
    scheduler = make_scheduler()
    add(scheduler, "a")
    assert step(scheduler)[1][0].queue_s == 1.0


def submit(
    scheduler: Scheduler,
    name: str,
    prompt: list[int],
    *,
    max_tokens: int | None = None,
    **service: object,
) -> None:
    """Queue a request that wants to be served in some way."""
    scheduler.add_request(
        EngineRequest(
            request_id=name,
            prompt_token_ids=prompt,
            params=SamplingParams(max_tokens=max_tokens),
            service=Service(**service),  # type: ignore[arg-type]
        ),
        now=1.0,
    )


def append(scheduler: Scheduler, name: str, token_ids: list[int], *, is_final: bool = True) -> None:
    """Put more behind a prompt."""
    update = RequestUpdate(request_id=name, token_ids=token_ids, is_final=is_final)
    assert scheduler.update(update, now=1.0) is None
    scheduler.check_integrity()


def test_an_unfinished_prompt_is_computed_and_holds_nothing_while_it_waits() -> None:
    """Only the last chunk is left to pay when the user has finished."""
    scheduler = make_scheduler()
    submit(scheduler, "a", list(range(40)), is_final=False)
    assert step(scheduler)[1] == []
    assert (scheduler.has_work, scheduler.kv_cache.num_used_blocks) == (False, 0)
    append(scheduler, "a", [90, 91])
    plan, results = step(scheduler)
    assert shares(plan) == {"a": 2}
    assert [(r.num_prompt_tokens, r.num_cached_tokens, r.token_ids) for r in results] == [
        (42, 40, [50])
    ]


@pytest.mark.parametrize("steps_before", [0, 1])
def test_a_prompt_may_grow_before_it_has_been_read(steps_before: int) -> None:
    """In the queue, or in the middle of its first chunk."""
    scheduler = make_scheduler(max_num_batched_tokens=16)
    submit(scheduler, "a", list(range(40)), is_final=False)
    for _ in range(steps_before):
        step(scheduler)
    append(scheduler, "a", [90], is_final=False)
    append(scheduler, "a", [91])
    counts = [sum(shares(step(scheduler)[0]).values()) for _ in range(3 - steps_before)]
    assert sum(counts) + 16 * steps_before == 42


def test_what_is_appended_to_a_whole_prompt_ends_the_request() -> None:
    """Nobody could say what the reply would then be a reply to."""
    scheduler = make_scheduler()
    submit(scheduler, "a", [1, 2])
    ended = scheduler.update(RequestUpdate(request_id="a", token_ids=[3], is_final=True), now=1.0)
    assert ended is not None
    assert ended.error_message == "the prompt was final; nothing can be appended"
    scheduler.check_integrity()


def test_news_of_nobody_is_passed_over() -> None:
    """The request may have ended while they were on their way."""
    scheduler = make_scheduler()
    assert scheduler.update(RequestUpdate(request_id="gone", num_heard_tokens=3), now=1.0) is None


def test_uncached_duplicates_of_a_prefix_wait_for_the_first() -> None:
    """Five who open one character at once: it is read once."""
    scheduler = make_scheduler(num_blocks=64)
    for index in range(5):
        submit(scheduler, f"r{index}", [*range(48), 900 + index])
    assert shares(step(scheduler)[0]) == {"r0": 49}
    plan, _ = step(scheduler)
    assert shares(plan) == {"r0": 1, "r1": 1, "r2": 1, "r3": 1, "r4": 1}


def test_a_failed_step_ends_who_was_in_it_and_nobody_else() -> None:
    """And what it wrote is shared with nobody."""
    scheduler = make_scheduler(max_num_seqs=1)
    submit(scheduler, "in", list(range(40)))
    submit(scheduler, "out", [*range(40), 7])
    plan = scheduler.schedule(1.0)
    ended = scheduler.fail_plan(plan, StepFailed("boom"))
    assert [(o.request_id, o.finish_reason) for o in ended] == [("in", FinishReason.ERROR)]
    scheduler.check_integrity()
    assert shares(step(scheduler)[0]) == {"out": 41}


def test_an_error_ends_one_request() -> None:
    """Wherever it stands; an unknown id is passed over."""
    scheduler = make_scheduler()
    submit(scheduler, "a", [1])
    ended = scheduler.fail("a", RequestError("no"))
    assert ended is not None
    assert ended.error_message == "no"
    assert scheduler.fail("a", RequestError("no")) is None


def test_a_step_is_planned_before_the_last_is_read() -> None:
    """Prompts sample once, decodes go on, and results come in the order of planning."""
    scheduler = make_scheduler()
    submit(scheduler, "a", [1, 2, 3])
    plans = [scheduler.schedule(1.0) for _ in range(3)]
    scheduler.check_integrity()
    assert [shares(plan)["a"] for plan in plans] == [3, 1, 1]
    told = [scheduler.update_from_output(plan, sampled(plan), 1.0) for plan in plans]
    assert [results[0].num_output_tokens for results in told] == [1, 2, 3]


def test_what_a_step_in_flight_may_write_to_is_not_given_away() -> None:
    """Blocks of a cancelled request come free when that step has ended, its slot at once."""
    scheduler = make_scheduler(num_blocks=4, max_num_seqs=1)
    submit(scheduler, "a", list(range(60)))
    first = scheduler.schedule(1.0)
    scheduler.abort("a")
    assert scheduler.kv_cache.num_used_blocks == 4
    submit(scheduler, "b", list(range(100, 150)))
    assert scheduler.schedule(1.0).is_empty
    assert scheduler.update_from_output(first, sampled(first), 1.0) == []
    assert shares(step(scheduler)[0]) == {"b": 50}


def test_a_stream_that_needs_a_block_of_a_step_in_flight_sits_one_step_out() -> None:
    """Nobody is preempted for a block that is about to come free."""
    scheduler = make_scheduler(num_blocks=3, policy="fcfs")
    submit(scheduler, "stays", list(range(16)))
    submit(scheduler, "leaves", list(range(100, 120)))
    first = scheduler.schedule(1.0)
    scheduler.abort("leaves")
    second = scheduler.schedule(1.0)
    assert (shares(second), second.preempted) == ({}, [])
    scheduler.check_integrity()
    scheduler.update_from_output(first, sampled(first), 1.0)
    assert shares(step(scheduler)[0]) == {"stays": 1}


def decoding_ahead(scheduler: Scheduler, name: str, num_tokens: int, **listener: float) -> None:
    """Let a stream decode so many of a hundred tokens in no time at all."""
    submit(scheduler, name, [300, 1], max_tokens=100, listener=Listener(**listener))
    for _ in range(num_tokens):
        step(scheduler)


def test_a_stream_ahead_of_its_listener_sleeps_while_a_first_token_is_at_risk() -> None:
    """And wakes when nobody is."""
    scheduler = make_scheduler(policy="paced", ttft_target_s=0.001, num_blocks=64)
    decoding_ahead(scheduler, "ahead", 30, tokens_per_s=2.0, reserve_s=1.0)
    submit(scheduler, "new", [7, 8, 9])
    plan, _ = step(scheduler)
    assert (shares(plan), plan.num_skipped) == ({"new": 3}, 1)
    scheduler.abort("new")
    plan, _ = step(scheduler)
    assert (shares(plan), plan.num_skipped) == ({"ahead": 1}, 0)


def test_nobody_sleeps_for_who_could_not_join_anyway() -> None:
    """Two rows, one of them taken for good: a second such stream finds no room on average."""
    scheduler = make_scheduler(policy="paced", ttft_target_s=0.001, num_blocks=64, max_num_seqs=2)
    submit(scheduler, "unpaced", [5, 6])
    decoding_ahead(scheduler, "ahead", 30, tokens_per_s=2.0, reserve_s=1.0)
    submit(scheduler, "new", [7, 8, 9])
    plan, _ = step(scheduler)
    assert (set(shares(plan)), plan.num_skipped) == ({"unpaced", "ahead"}, 0)


def test_steps_are_within_the_target_when_no_first_token_is_at_risk() -> None:
    """What everybody could spare a while ago is no reason to take it now."""
    scheduler = make_scheduler(policy="paced", ttft_target_s=0.001, num_blocks=64)
    decoding_ahead(scheduler, "ahead", 30, tokens_per_s=2.0, reserve_s=1.0)
    submit(scheduler, "new", [7, 8, 9])
    step(scheduler)
    assert scheduler._pacer.spare_s > 0
    scheduler.abort("new")
    step(scheduler)
    assert scheduler._pacer.spare_s == 0


def test_nobody_sleeps_while_blocks_are_scarce() -> None:
    """A sleeper keeps its blocks for longer, and those are what is missing."""
    scheduler = make_scheduler(policy="paced", ttft_target_s=0.001, num_blocks=7)
    decoding_ahead(scheduler, "ahead", 90, tokens_per_s=2.0, reserve_s=1.0)
    submit(scheduler, "new", [7, 8, 9])
    assert step(scheduler)[0].num_skipped == 0


def pause(scheduler: Scheduler) -> None:
    """Step until somebody has to give way."""
    for _ in range(25):
        if step(scheduler)[0].preempted == ["ahead"]:
            return
    raise AssertionError("nobody paused")


def test_under_pressure_the_stream_furthest_ahead_pauses_and_is_back_in_time() -> None:
    """Its listener has enough for a minute; then it is read again and goes on where it was."""
    scheduler = make_scheduler(num_blocks=7)
    decoding_ahead(scheduler, "ahead", 44, tokens_per_s=0.5, reserve_s=1.0)
    submit(scheduler, "busy", [3] * 17, max_tokens=26)
    pause(scheduler)
    assert (scheduler.num_pauses, scheduler.num_waiting) == (1, 1)
    scheduler.abort("busy")
    results = step(scheduler, now=2.0)[1]
    assert [(r.request_id, r.num_output_tokens) for r in results] == [("ahead", 64)]


def test_a_paused_request_can_be_called_off() -> None:
    """It is in no queue and no batch, and must not come back."""
    scheduler = make_scheduler(num_blocks=7)
    decoding_ahead(scheduler, "ahead", 44, tokens_per_s=0.5, reserve_s=1.0)
    submit(scheduler, "busy", [3] * 17, max_tokens=26)
    pause(scheduler)
    assert scheduler.abort("ahead") is not None
    scheduler.check_integrity()
    scheduler.abort("busy")
    assert not scheduler.has_work


def test_a_report_of_playback_moves_the_lead() -> None:
    """Somebody who has heard everything has no lead to spare."""
    scheduler = make_scheduler(policy="paced", ttft_target_s=0.001, num_blocks=64)
    decoding_ahead(scheduler, "heard", 30, tokens_per_s=2.0, reserve_s=1.0)
    scheduler.update(RequestUpdate(request_id="heard", num_heard_tokens=30), now=1.0)
    submit(scheduler, "new", [7, 8, 9])
    assert step(scheduler)[0].num_skipped == 0


def test_a_listener_who_waits_is_counted() -> None:
    """One underrun for each token that came too late."""
    scheduler = make_scheduler()
    decoding_ahead(scheduler, "slow", 1, tokens_per_s=10.0, reserve_s=0.0)
    step(scheduler, now=9.0)
    assert scheduler.num_underruns == 1


def test_a_conversation_is_kept_until_it_is_released() -> None:
    """Its blocks are warm, and merely cached afterwards."""
    scheduler = make_scheduler()
    submit(scheduler, "a", list(range(40)), conversation_id="c")
    step(scheduler)
    scheduler.abort("a")
    assert scheduler.kv_cache.num_warm_blocks == 3
    scheduler.release_conversation("c")
    assert (scheduler.kv_cache.num_warm_blocks, scheduler.kv_cache.num_cached_blocks) == (0, 3)
