"""How a step's prompt tokens are spent."""

from __future__ import annotations

from engine.config import SchedulerConfig
from engine.cost_model import StepCostModel
from engine.kv_cache.manager import KVCacheManager
from engine.outputs import StepPlan
from engine.request import Request, RequestStatus
from engine.scheduler.admission import Admission
from engine.scheduler.batch import Batch
from engine.scheduler.ends import Ends
from engine.scheduler.prefix_leaders import PrefixLeaders
from engine.scheduler.prompt_budget import PromptBudget
from engine.scheduler.prompt_planner import PromptPlanner
from engine.scheduler.retry import RetryAdvice
from engine.scheduler.waiting import WaitingQueue
from tests.engine.scheduler.requests import make_request

BLOCK = 16


class Room:
    """The planner among the rooms that it asks; requests have prompts of their own."""

    def __init__(self, *, num_blocks: int = 32, max_rows: int = 4, follows: bool = True) -> None:
        self.kv_cache = KVCacheManager(num_blocks, block_size=BLOCK)
        self.batch = Batch(max_rows, max_rows, BLOCK)
        self.queue = WaitingQueue()
        self.admission = Admission(self.kv_cache, self.batch, max_rows=max_rows)
        self.leaders = PrefixLeaders(self.queue, BLOCK)
        config, costs = SchedulerConfig(), StepCostModel()
        self.planner = PromptPlanner(
            self.kv_cache,
            self.batch,
            self.queue,
            admission=self.admission,
            leaders=self.leaders,
            budget=PromptBudget(config, costs, self.batch, self.queue),
            ends=Ends(1000, num_blocks * BLOCK, []),
            retry=RetryAdvice(),
            follows=follows,
        )
        self._num_steps = 0

    def wait(
        self, name: str, num_prompt: int, *, first: int | None = None, key: float = 0.0
    ) -> Request:
        """Put a request into the queue; prompts that begin with the same token are the same."""
        request = make_request(name, num_prompt, key=key, max_tokens=8)
        request.token_ids[0] = 1000 + request.sequence_number if first is None else first
        self.queue.push(request)
        return request

    def plan(self, budget: int, now: float = 0.0) -> tuple[StepPlan, int, int]:
        """Plan a step of prompts alone."""
        self._num_steps += 1
        plan = StepPlan(self._num_steps)
        return plan, *self.planner.plan(plan, budget, now)

    def compute(self, request: Request) -> None:
        """Pretend that all that is planned of a prompt has been computed."""
        request.num_computed_tokens = request.num_planned_tokens
        self.kv_cache.commit(request)
        self.leaders.advance(request)

    def check(self) -> None:
        """Nothing is out of step."""
        self.kv_cache.check_integrity()
        self.batch.check_integrity()
        self.queue.check_integrity()
        self.leaders.check_integrity()
        self.admission.check_integrity()


def sizes(plan: StepPlan) -> list[tuple[int, int, bool]]:
    """Slot, tokens, and whether a token is sampled, chunk by chunk."""
    return [(chunk.slot, chunk.num_tokens, chunk.samples) for chunk in plan.chunks]


def test_who_is_in_the_batch_is_read_before_anybody_joins() -> None:
    """The first prompt takes what it needs, the next begins with the rest."""
    room = Room()
    first, second = room.wait("first", 40), room.wait("second", 40)
    plan, num_new, num_read = room.plan(30)
    assert sizes(plan) == [(first.slot, 30, False)]
    assert (num_new, num_read) == (30, 30)
    plan, num_new, num_read = room.plan(30)
    assert sizes(plan) == [(first.slot, 10, True), (second.slot, 20, False)]
    assert (num_new, num_read) == (30, 40 + 20)
    assert first.status is RequestStatus.DECODING
    room.check()


def test_a_newcomer_comes_with_all_that_a_slot_must_know() -> None:
    """Tokens, blocks and how far it is."""
    room = Room()
    request = room.wait("r", 20)
    plan, _, _ = room.plan(100, now=3.0)
    (load,) = plan.loads
    assert plan.joined == ["r"]
    assert (load.slot, load.token_ids, load.num_computed_tokens) == (
        request.slot,
        request.token_ids,
        0,
    )
    assert len(load.block_table) == 2
    assert request.first_scheduled_time == 3.0


def test_without_anything_to_spend_nobody_joins() -> None:
    """And nothing is planned."""
    room = Room()
    room.wait("r", 20)
    plan, num_new, num_read = room.plan(0)
    assert (plan.chunks, plan.joined, num_new, num_read) == ([], [], 0, 0)


def test_nobody_joins_a_step_in_which_somebody_had_to_leave() -> None:
    """Blocks are short; whoever joined would be next."""
    room = Room()
    room.wait("r", 20)
    plan = StepPlan(1, preempted=["other"])
    assert room.planner.plan(plan, 100, 0.0) == (0, 0)
    assert plan.joined == []


def test_rows_and_blocks_that_are_missing_keep_the_head_waiting() -> None:
    """And everybody behind it."""
    full = Room(max_rows=1)
    full.wait("a", 20), full.wait("b", 20)
    assert full.plan(100)[0].joined == ["a"]
    scarce = Room(num_blocks=4)
    head = scarce.wait("a", 40), scarce.wait("b", 40)
    assert scarce.plan(200)[0].joined == ["a"]
    assert not scarce.planner.could_join(head[1])
    scarce.check()


def test_where_growth_is_not_kept_free_only_free_blocks_count() -> None:
    """Until there are too few even for the prompt."""
    room = Room(num_blocks=5, follows=False)
    for name in "abc":
        room.wait(name, 30)
    assert room.plan(200)[0].joined == ["a", "b"]
    room.check()


def test_a_duplicate_waits_for_who_computes_its_prompt_and_finds_it_cached() -> None:
    """But for its last token, whose logits are needed."""
    room = Room()
    leader, follower = room.wait("leader", 48, first=7), room.wait("follower", 48, first=7)
    assert room.plan(100)[0].joined == ["leader"]
    assert room.plan(100)[0].joined == []
    room.compute(leader)
    plan, num_new, _ = room.plan(100)
    assert plan.joined == ["follower"]
    assert follower.num_cached_tokens >= 32
    assert num_new == 48 - follower.num_cached_tokens
    room.check()


def test_a_prompt_that_ends_within_a_shared_block_begins_with_a_copy() -> None:
    """Copy on write: what lies behind the shared part is another's."""
    room = Room()
    leader = room.wait("leader", 41, first=7)
    room.plan(100)
    room.compute(leader)
    room.kv_cache.free(leader)
    twin = make_request("twin", 41, max_tokens=8)
    twin.token_ids = [*leader.token_ids[:38], 5, 6, 8]
    room.queue.push(twin)
    plan, _, _ = room.plan(100)
    assert plan.joined == ["twin"]
    assert twin.num_cached_tokens == 38
    assert len(plan.block_copies) == 1


def test_a_prompt_that_is_not_final_samples_nothing() -> None:
    """When all that is known of it is planned, it waits."""
    room = Room()
    request = room.wait("r", 20)
    request.is_final = False
    plan, _, _ = room.plan(100)
    assert sizes(plan) == [(request.slot, 20, False)]
    plan, num_new, _ = room.plan(100)
    assert (plan.chunks, num_new) == ([], 0)


def test_what_a_preempted_request_lost_is_counted_when_it_comes_back() -> None:
    """Its arrival stays what it was."""
    room = Room()
    request = room.wait("r", 20)
    request.status = RequestStatus.PREEMPTED
    request.num_lost_tokens = 20
    request.first_scheduled_time = 1.0
    plan, _, _ = room.plan(100, now=9.0)
    assert plan.num_recomputed_tokens == 20
    assert (request.num_lost_tokens, request.first_scheduled_time) == (0, 1.0)
