"""Executes planned steps on a GPU without ever waiting for the one before.

A step is launched with what the device knows by itself: which token each sequence was given last,
how long it is, how it samples (`engine.gpu.step.request_state`,
`engine.gpu.sampling.sampling_state`). Its tokens come back through pinned memory while the next
step runs, and are read when that one has been launched. Only a grammar makes a launch wait: what it
allows depends on the token before.
"""

from __future__ import annotations

import itertools
import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from engine.attention.host_store import HostStore
from engine.attention.kv_store import BlockStore
from engine.attention.metadata import Span
from engine.attention.transfer import bring
from engine.gpu.attention.choose_attention import choose_attention
from engine.gpu.attention.flash_attention import FlashAttention, why_not_flash
from engine.gpu.attention.measure_pieces import measure_pieces
from engine.gpu.attention.work_list import STRETCH, stretches_seen
from engine.gpu.attention.work_planner import WorkPlanner
from engine.gpu.sampling.sample import sample
from engine.gpu.sampling.sampling_state import SamplingState, SlotSampling
from engine.gpu.step.request_state import RequestState
from engine.gpu.step.slot_step import SlotPlan, SlotStep, decode_sizes, look_up, sequences_of
from engine.gpu.step.step_kinds import StepKind
from engine.model.gpu_forward import GpuForward
from engine.model.grammar_masks import GrammarMasks
from engine.model.launched_step import Fetched, Launched
from engine.model.loader import LoadedModel
from engine.model.runner import all_chunks
from engine.model.slot_sampling import sampling_of
from engine.model.slot_state import SlotState
from engine.model.step_graphs import StepGraphs, StepOutput
from engine.outputs import (
    Chunk,
    ModelRunnerOutput,
    StepPlan,
)
from engine.sampling_params import MAX_LOGPROBS

logger = logging.getLogger(__name__)

_FIRST_STRETCHES = (4, 8, 2, 1, 16)
"""Contexts of a thousand tokens, and what lies around them."""
_NO_GRAMMARS = "this engine follows no grammars; ask without one"


class GpuRunner:
    """Owns the KV memory and steps the model; used by one thread at a time.

    Args:
        loaded: A model whose forward is the GPU's.
        num_blocks: Blocks of KV memory; ids run from 0 to ``num_blocks - 1``.
        num_slots: Sequences at a time.
        masks: Keeps rows to their grammars; without it, rows with a grammar fail.
        num_host_slots: Blocks of host memory beside the device's.

    Attributes:
        loaded: As given.
        num_blocks: As given.
        graphs: What steps are replayed from.
    """

    def __init__(
        self,
        loaded: LoadedModel,
        num_blocks: int,
        *,
        num_slots: int,
        masks: GrammarMasks | None = None,
        num_host_slots: int = 0,
    ) -> None:
        """Allocate everything; nothing grows later but what graphs are captured."""
        self.loaded = loaded
        self.num_blocks = num_blocks
        forward = loaded.make_forward(num_blocks)
        assert isinstance(forward, GpuForward)
        self._forward = forward
        device = forward.device
        self._host_store = HostStore(forward.store, num_host_slots)
        self._requests = RequestState(num_slots, loaded.max_model_len, device)
        self._sampling = SamplingState(num_slots, loaded.vocab_size, device)
        self._masks = masks
        words = -(-loaded.vocab_size // 32)
        self._allowed = torch.zeros(num_slots, words, dtype=torch.int32, device=device)
        self._constrained = torch.zeros(num_slots, dtype=torch.int32, device=device)
        self._is_constrained = False
        self.graphs = StepGraphs(self._compute, forward.planner, device)
        self._slots: dict[int, SlotState] = {}
        self._hows: dict[int, SlotSampling] = {}
        self._in_flight: deque[Launched] = deque()
        self._num_loads = 0
        self._plan: tuple[object, SlotPlan] | None = None

    @property
    def store(self) -> BlockStore:
        """Where keys and values live."""
        return self._forward.store

    @property
    def max_model_len(self) -> int:
        """Longest sequence."""
        return self.loaded.max_model_len

    @property
    def planner(self) -> WorkPlanner:
        """What cuts its steps' attention."""
        return self._forward.planner

    @property
    def kv_bytes(self) -> int:
        """KV memory held."""
        return self.store.num_bytes

    @torch.inference_mode()
    def prepare(self, seconds: float) -> None:
        """Measure what attention costs, and capture the likeliest steps for so long."""
        store, planner = self._forward.store, self._forward.planner
        heads = self._forward.spec.heads
        if not planner.one_tile:  # with one tile, reading together only ever takes less
            planner.costs = measure_pieces(
                store.keys[0],
                store.values[0],
                heads,
                self._forward.spec.dtype,
                key_scales=store.key_scales[0],
                value_scales=store.value_scales[0],
            )
            self._try_flash(FlashAttention.find(store.keys[0].device))
        few = decode_sizes(2, 1, planner)
        for changes, filters in itertools.product((False, True), repeat=2):
            self.graphs.warm_up(StepKind(few, samples=True, changes=changes, filters=filters))
        longest = -(-self.max_model_len // STRETCH)
        stretches = [n for n in _FIRST_STRETCHES if n <= longest] or [longest]
        self.graphs.prepare(len(self._requests.num_tokens), stretches, seconds)

    def _try_flash(self, flash: FlashAttention | None) -> None:
        why_not = (
            "it is not there"
            if flash is None
            else why_not_flash(self._forward.spec, self.store.keys[0].dtype)
        )
        if flash is None or why_not is not None:
            logger.info("FlashAttention-3 is not used: %s", why_not)
            return
        keys, values = self.store.keys[0], self.store.values[0]
        self._forward.attention = choose_attention(flash, keys, values, self._forward.spec.heads)

    def set_num_threads(self, num_threads: int) -> None:
        """Leave it to the device."""

    def execute(self, plan: StepPlan) -> ModelRunnerOutput:
        """Launch a step when nothing is in flight, and wait for it."""
        self.launch(plan)
        return self.collect()

    @torch.inference_mode()
    def launch(self, plan: StepPlan) -> None:
        """Begin a step; its output waits for `collect`.

        Args:
            plan: Its loads' lists become the runner's own.
        """
        self._take_in(plan)
        chunks = all_chunks(plan)
        if not chunks:
            self._in_flight.append(Launched([], [], None))
            return
        failed = self._constrain(chunks)
        hows = [self._hows[chunk.slot] for chunk in chunks if chunk.samples]
        states = [self._slots[chunk.slot] for chunk in chunks]
        constrained = any(s.params.grammar is not None for s in states)
        output = self.graphs.run(
            self._planned(chunks, states),
            changes=constrained or any(how.changes_logits for how in hows),
            filters=any(how.filters for how in hows),
            reports=any(state.params.logprobs is not None for state in states),
        )
        for chunk, state in zip(chunks, states, strict=True):
            state.num_computed_tokens += chunk.num_tokens
        self._in_flight.append(Launched(chunks, states, Fetched.of(output), failed))

    def collect(self) -> ModelRunnerOutput:
        """Return the output of the step that was launched first, once it is there."""
        launched = self._in_flight.popleft()
        return launched.read()

    def _take_in(self, plan: StepPlan) -> None:
        """Bring memory, mirrors and the device's own state up to date."""
        self._host_store.offload(plan.offloads)
        self.store.copy_blocks(plan.block_copies)
        self._host_store.restore(plan.restores)
        for load in plan.loads:
            state = self._slots[load.slot] = SlotState(load)
            how = self._hows[load.slot] = sampling_of(state)
            self._requests.load(
                load.slot,
                state.token_ids,
                num_prompt_tokens=state.num_prompt_tokens,
                num_computed=state.num_computed_tokens,
                block_table=state.block_table,
            )
            self._sampling.load(load.slot, state.token_ids, state.num_prompt_tokens, how)
            self._num_loads += 1
        news = []
        for slot, blocks in plan.new_blocks:
            table = self._slots[slot].block_table
            news.append((slot, len(table), blocks))
            table.extend(blocks)
        self._requests.extend_tables(news)

    def _constrain(self, chunks: Sequence[Chunk]) -> dict[int, str]:
        """Bring what grammars allow; return a sentence for each slot that cannot go on."""
        rows = [
            row
            for row, chunk in enumerate(chunks)
            if chunk.samples and self._slots[chunk.slot].params.grammar is not None
        ]
        if not rows or self._masks is None:
            if self._is_constrained:
                self._constrained.zero_()
                self._is_constrained = False
            return {chunks[row].slot: _NO_GRAMMARS for row in rows}
        for launched in self._in_flight:
            launched.read()
        allowed = self._masks.of([self._slots[chunks[row].slot] for row in rows])
        found = [rows[index] for index in allowed.rows]
        flags = np.zeros(len(chunks), dtype=np.int32)
        flags[found] = 1
        device = self._allowed.device
        self._constrained[: len(chunks)].copy_(bring(flags, device))
        self._is_constrained = True
        if found:
            places = bring(found, device, torch.int64)
            self._allowed.index_copy_(
                0, places, bring(allowed.masks[:, : self._allowed.shape[1]].view(np.int32), device)
            )
        return {chunks[rows[index]].slot: why for index, why in allowed.failed.items()}

    def _planned(self, chunks: Sequence[Chunk], states: Sequence[SlotState]) -> SlotPlan:
        """Plan a step, or find that it is the one before it once more."""
        slots = [chunk.slot for chunk in chunks]
        samples = [chunk.samples for chunk in chunks]
        ends = np.array([state.num_computed_tokens + 1 for state in states], dtype=np.int32)
        planner = self._forward.planner
        key: object = None
        if all(chunk.num_tokens == 1 for chunk in chunks):
            seen = [stretches_seen(ends, window) for window in planner.windows]
            stretches = np.concatenate([numbers for pair in seen for numbers in pair]).tobytes()
            key = slots, samples, stretches, self._num_loads, planner.shares, planner.costs
            if self._plan is not None and self._plan[0] == key:
                return self._plan[1]
        spans = [
            Span(state.num_computed_tokens, chunk.num_tokens, state.block_table)
            for chunk, state in zip(chunks, states, strict=True)
        ]
        plan = SlotPlan(slots, spans, samples, planner)
        self._plan = None if key is None else (key, plan)
        return plan

    def _compute(self, step: SlotStep, kind: StepKind) -> StepOutput:
        """Launch a whole step, from slots to tokens."""
        count = len(step.slots)
        looked_up = look_up(step, self._requests)
        if self._forward.attention.serves(is_decode=step.is_decode):
            looked_up = replace(looked_up, sequences=sequences_of(step, self._requests))
        x = self._forward.body(looked_up)
        vocab = self.loaded.vocab_size
        logits = x.new_empty(1, vocab)  # of nobody
        if kind.samples:
            logits = self._forward.read_out(x if step.is_decode else x[step.last_tokens])
        tokens = torch.empty(count, dtype=torch.int32, device=x.device)
        sample(
            logits,
            step.slots,
            step.logit_rows,
            step.num_new,
            self._requests,
            self._sampling,
            tokens,
            changes=kind.changes,
            filters=kind.filters,
            masks=self._allowed if kind.changes else None,
            masked=self._constrained if kind.changes else None,
        )
        reports = None
        if kind.reports and kind.samples:
            raw = torch.log_softmax(logits.float(), dim=-1)
            best, ids = torch.topk(raw, min(MAX_LOGPROBS, vocab))
            drawn = tokens.long().clamp(0, vocab - 1)  # nothing is drawn for padding
            reports = raw.gather(1, drawn[:, None])[:, 0], best, ids
        return StepOutput(tokens, reports)
