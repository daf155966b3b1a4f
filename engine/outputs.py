"""What crosses between the rooms of a step, and from the engine to its caller."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from engine.cost_model import EMPTY_SHAPE, StepShape
from engine.request import FinishReason
from engine.sampling_params import SamplingParams

BatchEntry = tuple[str, str, int]
"""Request id, ``prefill`` or ``decode``, and new tokens."""


@dataclass(frozen=True, slots=True)
class SlotLoad:
    """A sequence takes a slot: everything that the runner must know to compute for it.

    Attributes:
        slot: Which; whatever it held before is forgotten.
        request_id: Whose sequence this is, for caches and messages.
        params: How to sample.
        token_ids: Prompt and reply so far; the runner's own from here on.
        num_prompt_tokens: How many of them are the prompt.
        num_computed_tokens: How many have their KV in the blocks already.
        block_table: Block ids that cover all of ``token_ids``, oldest first; the runner's own.
        stop_token_ids: Tokens that end the reply.
    """

    slot: int
    request_id: str
    params: SamplingParams
    token_ids: list[int]
    num_prompt_tokens: int
    num_computed_tokens: int
    block_table: list[int]
    stop_token_ids: frozenset[int]


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some more of a prompt, or of what has to be computed again.

    Attributes:
        slot: Whose.
        num_tokens: How many, from where the slot has been computed to.
        samples: Whether this catches up with the sequence, so that a token is sampled.
    """

    slot: int
    num_tokens: int
    samples: bool


@dataclass(slots=True)
class StepPlan:
    """One step, as changes to what the runner knows; nothing is said twice.

    Carried out in this order: ``offloads``, ``block_copies``, ``restores``, ``loads``,
    ``new_blocks``, and then ``decodes`` and ``chunks`` are computed in one batch. All sources of a
    list are read before any of its destinations is written.

    Attributes:
        step: Rises by one per plan.
        decodes: Slots that compute the one token sampled for them last, and sample the next.
        chunks: Slots that compute several tokens.
        loads: Slots that were given to a sequence.
        new_blocks: Block ids to be put behind a slot's table.
        offloads: ``(block id, host slot)`` to copy to host memory.
        block_copies: ``(source, destination)`` block ids (copy-on-write of a partly shared block).
        restores: ``(host slot, block id)`` to copy back from host memory.
        shape: What there is to compute, for the cost model.
        batch: ``(request id, "prefill" | "decode", new tokens)`` for each sequence of the step.
        joined: Ids of requests that entered the batch with this step.
        preempted: Ids of requests that lost their blocks while planning.
        num_skipped: Streams that are ahead of their listeners and sit this step out.
        num_recomputed_tokens: Tokens that have to be computed again after a preemption.
    """

    step: int
    decodes: tuple[int, ...] = ()
    chunks: list[Chunk] = field(default_factory=list)
    loads: list[SlotLoad] = field(default_factory=list)
    new_blocks: list[tuple[int, list[int]]] = field(default_factory=list)
    offloads: list[tuple[int, int]] = field(default_factory=list)
    block_copies: list[tuple[int, int]] = field(default_factory=list)
    restores: list[tuple[int, int]] = field(default_factory=list)
    shape: StepShape = EMPTY_SHAPE
    batch: list[BatchEntry] = field(default_factory=list)
    joined: list[str] = field(default_factory=list)
    preempted: list[str] = field(default_factory=list)
    num_skipped: int = 0
    num_recomputed_tokens: int = 0

    @property
    def is_empty(self) -> bool:
        """Whether nothing is computed."""
        return not self.decodes and not self.chunks


class Logprob(msgspec.Struct, frozen=True, array_like=True):
    """One token's log probability under the raw distribution (before temperature and filters)."""

    token_id: int
    logprob: float


class TokenLogprobs(msgspec.Struct, frozen=True, array_like=True):
    """The chosen token's log probability and the likeliest alternatives, best first."""

    chosen: Logprob
    top: list[Logprob]


@dataclass(frozen=True, slots=True)
class SampledToken:
    """What the runner drew for one sequence that samples."""

    token_id: int
    logprobs: TokenLogprobs | None = None


@dataclass(frozen=True, slots=True)
class ModelRunnerOutput:
    """One step, executed.

    Attributes:
        sampled: By slot, for every decode and every chunk that samples, unless it failed.
        failed: Slot to a sentence, for rows that could not be sampled (their logits were not
            finite, say); such a request ends with ``error``, the others go on.
    """

    sampled: dict[int, SampledToken]
    failed: dict[int, str] = field(default_factory=dict)


class TokenOutput(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """What one step brought for one request; ``finish_reason`` marks the terminal one.

    Attributes:
        request_id: Whose.
        token_ids: New tokens, the end token that stopped it included.
        finish_reason: Set exactly once in a request's life, on its last output.
        logprobs: One entry per new token, when asked for.
        num_prompt_tokens: Length of the prompt.
        num_cached_tokens: Prompt tokens that came from the prefix cache.
        num_output_tokens: Sampled tokens so far, the end token included.
        queue_s: Seconds between arrival and first being scheduled.
        stop_token_id: The end token, when one ended it.
        error_code: Stable code, when ``finish_reason`` is ``error``.
        error_message: One sentence, likewise.
        error_param: The parameter at fault, likewise, if there is one.
        retry_after_s: Seconds after which trying again makes sense, where it was refused for want
            of room.
    """

    request_id: str
    token_ids: list[int]
    finish_reason: FinishReason | None = None
    logprobs: list[TokenLogprobs] | None = None
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_output_tokens: int = 0
    queue_s: float = 0.0
    stop_token_id: int | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_param: str | None = None
    retry_after_s: float | None = None


class StepStats(msgspec.Struct, frozen=True, array_like=True):
    """One step as the live view and the trace show it.

    Attributes:
        step: Rises by one per step.
        time_s: When the step ended, seconds on the engine's clock.
        duration_s: How long it took.
        num_running: Sequences in the batch after the step.
        num_waiting: Requests in the queue after the step.
        prefill_tokens: Prompt tokens computed.
        decode_tokens: Sequences that decoded one token.
        joined: Request ids that entered the batch in this step.
        left: Request ids that left it in this step, by ending or by preemption.
        kv_blocks_used: Blocks held by live requests.
        kv_blocks_cached: Free blocks that still hold a reusable prefix.
        kv_blocks_total: The budget.
        batch: ``(request id, "prefill" | "decode", new tokens)`` for each sequence of the step.
        num_preempted: Requests preempted while planning.
        num_recomputed: Tokens computed again because of a preemption.
        num_skipped: Streams ahead of their listeners that sat this step out.
        num_underruns: Listeners whom a token of this step reached too late.
        kv_blocks_warm: Free blocks that are kept for conversations.
        predicted_s: What the cost model thought that the step would take.
        kv_tokens_read: KV tokens that all sequences of the step read.
    """

    step: int
    time_s: float
    duration_s: float
    num_running: int
    num_waiting: int
    prefill_tokens: int
    decode_tokens: int
    joined: list[str]
    left: list[str]
    kv_blocks_used: int
    kv_blocks_cached: int
    kv_blocks_total: int
    batch: list[BatchEntry]
    num_preempted: int = 0
    num_recomputed: int = 0
    num_skipped: int = 0
    num_underruns: int = 0
    kv_blocks_warm: int = 0
    predicted_s: float = 0.0
    kv_tokens_read: int = 0


class StepFrame(msgspec.Struct, frozen=True, array_like=True):
    """Everything one step brought, in one piece.

    ``stats`` is ``None`` when nothing was computed: a refusal, or an abort between steps.
    """

    outputs: list[TokenOutput]
    stats: StepStats | None = None


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """What a started engine says of itself."""

    model: str
    architecture: str
    dtype: str
    device: str
    vocab_size: int
    max_model_len: int
    eos_token_ids: list[int]
    num_blocks: int
    block_size: int
    kv_bytes_per_token: int
    max_num_seqs: int
    max_num_batched_tokens: int
    num_parameters: int = 0
    model_path: str = ""
    """Local folder that holds the checkpoint and its tokenizer."""
    full_step_s: float = 0.0
    """Seconds that the largest step is thought to take; 0 when nothing is known."""


class RequestDelta(msgspec.Struct, frozen=True, gc=False):
    """What one step brought for one request, as text; what a front end hands to its callers.

    Attributes:
        request_id: Whose.
        text: Newly visible text; whole code points and grapheme clusters, stop strings left out.
        token_ids: Tokens behind this step (their text may still be held back).
        finish_reason: Set exactly once in a request's life, on its last delta.
        stop_reason: The stop string or the end token that ended it, if one did.
        logprobs: One entry per token of ``token_ids``, when asked for.
        num_prompt_tokens: Length of the prompt.
        num_cached_tokens: Prompt tokens that came from the prefix cache.
        num_output_tokens: Sampled tokens so far, the end token included.
        queue_s: Seconds between arrival and first being scheduled.
        batch_size: Sequences that the step computed, this one among them; 0 where not known.
        num_preemptions: How often the request has lost its blocks so far.
        error_code: Stable code, when ``finish_reason`` is ``error``.
        error_message: One sentence, likewise.
        error_param: The parameter at fault, likewise, if there is one.
        retry_after_s: Seconds after which trying again makes sense, where it was refused for want
            of room.
    """

    request_id: str
    text: str
    token_ids: list[int]
    finish_reason: FinishReason | None = None
    stop_reason: str | int | None = None
    logprobs: list[TokenLogprobs] | None = None
    num_prompt_tokens: int = 0
    num_cached_tokens: int = 0
    num_output_tokens: int = 0
    queue_s: float = 0.0
    batch_size: int = 0
    num_preemptions: int = 0
    error_code: str | None = None
    error_message: str | None = None
    error_param: str | None = None
    retry_after_s: float | None = None

    @property
    def met_stop_string(self) -> bool:
        """Whether a stop string ended it: the text may break off inside a word or a tag."""
        return isinstance(self.stop_reason, str)


def join_deltas(deltas: Sequence[RequestDelta]) -> RequestDelta:
    """Join deltas of one request, oldest first; counts and the end are those of the last."""
    last = deltas[-1]
    if len(deltas) == 1:
        return last
    logprobs = [entry for delta in deltas for entry in delta.logprobs or ()]
    return msgspec.structs.replace(
        last,
        text="".join(delta.text for delta in deltas),
        token_ids=[token_id for delta in deltas for token_id in delta.token_ids],
        logprobs=logprobs or None,
    )


class EngineStatus(enum.StrEnum):
    """Where an engine stands that may be started anew."""

    READY = "ready"
    RECOVERING = "recovering"
    """It was lost and is being started anew; requests are taken and wait."""
    LOST = "lost"
    """It was lost too often; nothing more comes of it."""


class LossCause(enum.StrEnum):
    """How an engine process was lost."""

    DIED = "died"
    """It ended by itself, or somebody ended it: a signal, a crash, the kernel out of memory."""
    HUNG = "hung"
    """It said nothing for too long, and was ended."""
    BROKEN = "broken"
    """It said that it cannot go on."""


@dataclass(frozen=True, slots=True)
class EngineNews:
    """The engine's status has changed.

    Attributes:
        status: From now on.
        cause: How it was lost, where it was.
        recovery_s: From the loss to being ready again, when it is; else 0.
    """

    status: EngineStatus
    cause: LossCause | None = None
    recovery_s: float = 0.0


@dataclass(frozen=True, slots=True)
class EngineHealth:
    """Whether the engine lives and makes progress.

    Attributes:
        alive: The engine can still take requests, if only to let them wait.
        reason: Why not, or why it should be watched; empty when all is well.
        num_live_requests: Accepted and not yet ended.
        seconds_since_progress: Since anything was heard of the engine, frame or heartbeat, while
            requests were live; 0 when idle, and while it is started anew.
        is_recovering: It was lost and is being started anew.
    """

    alive: bool
    reason: str
    num_live_requests: int
    seconds_since_progress: float
    is_recovering: bool = False
