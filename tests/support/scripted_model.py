"""A model runner without a model: the next token is a function of the tokens before it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from engine.config import BLOCK_SIZE, EngineConfig
from engine.core import EngineCore
from engine.model.slot_state import SlotState
from engine.outputs import EngineInfo, ModelRunnerOutput, SampledToken, StepPlan

VOCAB_SIZE = 1000
EOS_TOKEN_ID = 999

NextToken = Callable[[Sequence[int]], int]


def hashed_next_token(token_ids: Sequence[int]) -> int:
    """Return a token that depends on every token before it; never the end token."""
    return hash(tuple(token_ids)) % (VOCAB_SIZE - 1)  # of integers: the same in every process


def reply_of(
    prompt: Sequence[int], length: int, next_token: NextToken = hashed_next_token
) -> list[int]:
    """Return what a runner with this function says to a prompt, computed without an engine."""
    tokens = list(prompt)
    for _ in range(length):
        tokens.append(next_token(tokens))
    return tokens[len(prompt) :]


class ScriptedModelRunner:
    """Keeps real "KV" per slot, the token itself, so that a wrong block shows in the reply.

    What a real model would read from its cache is read from the blocks here: the next token is
    computed from the tokens found in the blocks, not from the request.

    Attributes:
        plans: Every plan that was launched.
        fail_next: Raised by the next step that is computed.
    """

    def __init__(self, num_blocks: int, next_token: NextToken = hashed_next_token) -> None:
        self._blocks: list[list[int | None]] = [[None] * BLOCK_SIZE for _ in range(num_blocks)]
        self._host: dict[int, list[int | None]] = {}
        self._next_token = next_token
        self._slots: dict[int, SlotState] = {}
        self._waiting: deque[StepPlan] = deque()
        self.plans: list[StepPlan] = []
        self.fail_next: Exception | None = None

    def launch(self, plan: StepPlan) -> None:
        """Let a step wait until it is collected: as late as a device may be."""
        self.plans.append(plan)
        self._waiting.append(plan)

    def collect(self) -> ModelRunnerOutput:
        """Write the new tokens into their blocks and continue what the blocks hold."""
        plan = self._waiting.popleft()
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        self._move_blocks(plan)
        for load in plan.loads:
            self._slots[load.slot] = SlotState(load)
        for slot, blocks in plan.new_blocks:
            self._slots[slot].block_table.extend(blocks)
        shares = [(slot, 1, True) for slot in plan.decodes]
        shares += [(chunk.slot, chunk.num_tokens, chunk.samples) for chunk in plan.chunks]
        sampled = {}
        for slot, num_tokens, samples in shares:
            state = self._slots[slot]
            end = state.num_computed_tokens + num_tokens
            for position in range(state.num_computed_tokens, end):
                self._place(state, position, write=state.token_ids[position])
            state.num_computed_tokens = end
            if samples:
                assert end == state.num_tokens, f"{state.request_id} samples in mid-prompt"
                seen = [self._place(state, position) for position in range(end)]
                assert None not in seen, f"{state.request_id} reads an empty slot"
                token = self._next_token([t for t in seen if t is not None])
                state.token_ids.append(token)
                sampled[slot] = SampledToken(token)
        return ModelRunnerOutput(sampled)

    def _move_blocks(self, plan: StepPlan) -> None:
        for block, host_slot in plan.offloads:
            self._host[host_slot] = list(self._blocks[block])
        copied = [list(self._blocks[source]) for source, _ in plan.block_copies]
        for (_, destination), content in zip(plan.block_copies, copied, strict=True):
            self._blocks[destination] = content
        for host_slot, block in plan.restores:
            self._blocks[block] = list(self._host[host_slot])

    def _place(self, state: SlotState, position: int, write: int | None = None) -> int | None:
        block = self._blocks[state.block_table[position // BLOCK_SIZE]]
        if write is not None:
            block[position % BLOCK_SIZE] = write
        return block[position % BLOCK_SIZE]


def scripted_info(num_blocks: int, config: EngineConfig, max_model_len: int = 512) -> EngineInfo:
    """Return what an engine with a scripted model says of itself."""
    return EngineInfo(
        model="scripted",
        architecture="ScriptedModel",
        dtype="float32",
        device="cpu",
        vocab_size=VOCAB_SIZE,
        max_model_len=max_model_len,
        eos_token_ids=[EOS_TOKEN_ID],
        num_blocks=num_blocks,
        block_size=BLOCK_SIZE,
        kv_bytes_per_token=1,
        max_num_seqs=config.scheduler.max_num_seqs,
        max_num_batched_tokens=config.scheduler.max_num_batched_tokens,
    )


class ManualClock:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """Return the present second."""
        return self.now


def scripted_core(
    *,
    num_blocks: int = 64,
    next_token: NextToken = hashed_next_token,
    max_model_len: int = 512,
    num_host_slots: int = 0,
    **settings: object,
) -> EngineCore:
    """Return a core over a scripted model; ``settings`` are the flat names of the configuration."""
    config = EngineConfig.from_flat(model="scripted", **settings)
    return EngineCore(
        scripted_info(num_blocks, config, max_model_len),
        config,
        ScriptedModelRunner(num_blocks, next_token),
        ManualClock(),
        num_host_slots=num_host_slots,
    )
