"""Who computes what in which step, and who has to wait."""

from __future__ import annotations

import pytest

from engine.config import BLOCK_SIZE, SchedulerConfig
from engine.errors import DuplicateRequest, NeverFits, PromptTooLong, QueueFull, RequestError
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import ModelRunnerOutput, SampledToken, StepPlan, TokenOutput
from engine.request import EngineRequest, FinishReason, Service
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
