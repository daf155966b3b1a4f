"""A model runner without a model: the next token is a function of the tokens before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from engine.config import BLOCK_SIZE, EngineConfig
from engine.core import EngineCore
from engine.outputs import EngineInfo, ModelRunnerOutput, SampledToken, SchedulerOutput

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

    What a real model would read from its cache is read from the slots here: the next token is
    computed from the tokens found in the blocks, not from the request.
    """

    def __init__(self, num_blocks: int, next_token: NextToken = hashed_next_token) -> None:
        self._slots: list[list[int | None]] = [[None] * BLOCK_SIZE for _ in range(num_blocks)]
        self._next_token = next_token
        self.plans: list[SchedulerOutput] = []
        self.fail_next: Exception | None = None

    def execute(self, plan: SchedulerOutput) -> ModelRunnerOutput:
        """Write the new tokens into their slots and continue what the slots hold."""
        self.plans.append(plan)
        if self.fail_next is not None:
            error, self.fail_next = self.fail_next, None
            raise error
        copied = [list(self._slots[source]) for source, _ in plan.block_copies]
        for (_, destination), content in zip(plan.block_copies, copied, strict=True):
            self._slots[destination] = content
        sampled = {}
        for sequence in plan.sequences:
            end = sequence.start + sequence.num_tokens
            for position in range(sequence.start, end):
                token_id = sequence.request.token_ids[position]
                self._slot(sequence.block_table, position, write=token_id)
            if sequence.samples:
                seen = [self._slot(sequence.block_table, position) for position in range(end)]
                assert None not in seen, f"{sequence.request.request_id} reads an empty slot"
                token = self._next_token([t for t in seen if t is not None])
                sampled[sequence.request.request_id] = SampledToken(token)
        return ModelRunnerOutput(sampled)

    def _slot(self, table: list[int], position: int, write: int | None = None) -> int | None:
        block = self._slots[table[position // BLOCK_SIZE]]
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
    **settings: object,
) -> EngineCore:
    """Return a core over a scripted model; ``settings`` are the flat names of the configuration."""
    config = EngineConfig.from_flat(model="scripted", **settings)
    return EngineCore(
        scripted_info(num_blocks, config, max_model_len),
        config,
        ScriptedModelRunner(num_blocks, next_token),
        ManualClock(),
    )
