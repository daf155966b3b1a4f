"""From a configuration to an engine core with a loaded model; the only way torch comes in."""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

import torch
from llguidance import LLExecutor

from engine.attention.host_store import staging_bytes
from engine.config import BLOCK_SIZE, EngineConfig
from engine.core import EngineCore
from engine.core import ModelRunner as StepRunner
from engine.cost_model import StepCostModel, StepShape
from engine.errors import ConfigError, ModelError
from engine.grammar.compile import compile_grammar
from engine.grammar.compile_threads import CompileThreads
from engine.grammar.compiler import GrammarCompiler
from engine.grammar.gate import GrammarGate
from engine.grammar.tokens import vocabulary_of
from engine.kv_cache.budget import resolve_num_blocks, resolve_num_host_slots
from engine.model.grammar_masks import GrammarMasks
from engine.model.loader import LoadedModel, load_model
from engine.model.memory import free_memory_bytes
from engine.model.rehearsal import Rehearsing, rehearse
from engine.model.runner import ModelRunner
from engine.model.threads import (
    available_cores,
    keep_faster_num_threads,
    prepare_stepping_thread,
)
from engine.model.worst_case import bytes_beside_steps, read_cuda_memory
from engine.outputs import EngineInfo
from engine.threaded_runner import ThreadedRunner
from engine.tokenizer import Tokenizer

if TYPE_CHECKING:
    from engine.model.gpu_runner import GpuRunner

logger = logging.getLogger(__name__)

OnProgress = Callable[[float, str], None]
_BUSY_BATCH = 16
"""What the number of threads is chosen for: a small batch is served well by either."""
_LONG_CONTEXT = 512
"""Tokens; without it nothing would tell what keys cost from what rows do."""
_MOST_MASK_THREADS = 8
_PROFILE_ROUNDS = 3
"""Rehearsals of each size that the cost model begins with, unless one takes longer than that."""
_PROFILE_BUDGET_S = 1.0
_CONVERSATIONS_PER_SLOT = 2
"""Whole contexts that host memory holds for each place in the batch, if nothing is said."""
_CAPTURE_BUDGET_S = 4.0
"""For steps to be captured before the first request comes."""


def build_core(config: EngineConfig, *, on_progress: OnProgress | None = None) -> EngineCore:
    """Load the model, take the KV memory and put the core together.

    To be called in the thread that will step the core: torch's thread settings are per thread.

    Args:
        config: What to load and how much of everything.
        on_progress: Called with a share of 1 and a phrase while loading.

    Raises:
        ModelError: The checkpoint cannot be served.
        ConfigError: The settings cannot work with this model on this machine.
    """
    loaded = load_model(
        config.model, kv_cache_dtype=config.cache.kv_cache_dtype, on_progress=on_progress
    )
    return assemble_core(loaded, config)


def assemble_core(
    loaded: LoadedModel, config: EngineConfig, *, rehearses: bool = True
) -> EngineCore:
    """Take the KV memory for a loaded model and put the core together.

    Args:
        loaded: The model.
        config: How much of everything.
        rehearses: Whether steps are rehearsed first, which warms everything up and tells what they
            cost; to be left out where a step takes seconds.

    Raises:
        ConfigError: The budget cannot work on this machine.
    """
    useful_tokens = config.scheduler.max_num_seqs * loaded.max_model_len
    num_host_slots = resolve_num_host_slots(
        config.cache,
        bytes_per_token=loaded.kv_bytes_per_token,
        free_host_bytes=free_memory_bytes(torch.device("cpu")),
        device=loaded.device.type,
        useful_tokens=_CONVERSATIONS_PER_SLOT * useful_tokens,
    )
    num_blocks = resolve_num_blocks(
        config.cache,
        bytes_per_token=loaded.kv_bytes_per_token,
        free_bytes=_free_for_kv(loaded, config, num_host_slots),
        device=loaded.device.type,
        useful_tokens=useful_tokens,
    )
    grammars = _grammars(loaded, config)
    gate, masks = (None, None) if grammars is None else grammars
    try:
        runner = _make_runner(loaded, config, num_blocks, masks, num_host_slots)
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"{num_blocks} blocks of KV do not fit beside what else the device holds; lower "
            "kv_cache_memory or kv_cache_tokens",
            param="kv_cache_memory",
        ) from error
    if rehearses:
        if not isinstance(runner, ModelRunner):
            runner.prepare(_CAPTURE_BUDGET_S)
        rehearse(runner, 1)
    busy = min(_BUSY_BATCH, config.scheduler.max_num_seqs)
    if config.model.num_threads is not None:
        runner.set_num_threads(config.model.num_threads)
    elif loaded.device.type == "cpu" and rehearses:
        keep_faster_num_threads(
            lambda: rehearse(runner, busy), runner.set_num_threads, available_cores()
        )
    cost_model = _rehearsed_cost(runner, busy) if rehearses else StepCostModel()
    info = EngineInfo(
        model=config.model.model,
        architecture=loaded.architecture,
        dtype=str(loaded.dtype).removeprefix("torch."),
        device=str(loaded.device),
        vocab_size=loaded.vocab_size,
        max_model_len=loaded.max_model_len,
        eos_token_ids=list(loaded.eos_token_ids),
        num_blocks=num_blocks,
        block_size=BLOCK_SIZE,
        kv_bytes_per_token=loaded.kv_bytes_per_token,
        max_num_seqs=config.scheduler.max_num_seqs,
        max_num_batched_tokens=config.scheduler.max_num_batched_tokens,
        num_parameters=loaded.num_parameters,
        model_path=str(loaded.folder),
        full_step_s=_full_step_s(cost_model, config, num_blocks) if rehearses else 0.0,
    )
    looks_ahead = config.scheduler.look_ahead
    if looks_ahead is None:
        looks_ahead = loaded.device.type == "cuda"
    stepper: StepRunner = runner
    if looks_ahead and isinstance(runner, ModelRunner):  # the GPU's own does not wait for a step
        num_threads = torch.get_num_threads()
        stepper = ThreadedRunner(runner, prepare=lambda: prepare_stepping_thread(num_threads))
    return EngineCore(
        info,
        config,
        stepper,
        time.monotonic,
        cost_model=cost_model,
        gate=gate,
        looks_ahead=looks_ahead,
        num_host_slots=num_host_slots,
    )


def _full_step_s(cost_model: StepCostModel, config: EngineConfig, num_blocks: int) -> float:
    """Return what a step may take that is as large as the limits allow."""
    limits = config.scheduler
    num_seqs = min(limits.max_num_seqs, limits.max_num_batched_tokens)
    shape = StepShape(num_seqs, limits.max_num_batched_tokens, num_blocks * BLOCK_SIZE)
    return cost_model.predict(shape)


def _make_runner(
    loaded: LoadedModel,
    config: EngineConfig,
    num_blocks: int,
    masks: GrammarMasks | None = None,
    num_host_slots: int = 0,
) -> ModelRunner | GpuRunner:
    """Make what steps the model, with all its memory."""
    if loaded.forward != "triton":
        return ModelRunner(loaded, num_blocks, masks=masks, num_host_slots=num_host_slots)
    from engine.model.gpu_runner import GpuRunner

    return GpuRunner(
        loaded,
        num_blocks,
        num_slots=config.scheduler.max_num_seqs,
        masks=masks,
        num_host_slots=num_host_slots,
    )


def _free_for_kv(loaded: LoadedModel, config: EngineConfig, num_host_slots: int) -> int:
    """Return what is free on the device; on a GPU, beside the largest steps."""
    if loaded.device.type != "cuda":
        return free_memory_bytes(loaded.device)
    return bytes_beside_steps(
        loaded,
        config.scheduler,
        partial(_make_runner, loaded, config),
        partial(read_cuda_memory, loaded.device),
        kept_bytes=staging_bytes(BLOCK_SIZE * loaded.kv_bytes_per_token, num_host_slots),
    )


def _rehearsed_cost(runner: Rehearsing, busy: int) -> StepCostModel:
    """Return a cost model that has seen some steps of each kind, for about a second."""
    cost_model = StepCostModel()
    started = time.perf_counter()
    for _ in range(_PROFILE_ROUNDS):
        for num_seqs, context in ((1, 0), (busy, 0), (busy, _LONG_CONTEXT)):
            for shape, seconds in rehearse(runner, num_seqs, context=context):
                cost_model.observe(shape, seconds)
        if time.perf_counter() - started > _PROFILE_BUDGET_S:
            break
    return cost_model


def _grammars(loaded: LoadedModel, config: EngineConfig) -> tuple[GrammarGate, GrammarMasks] | None:
    """Make ready for constrained replies; nothing if the tokenizer does not allow them."""
    try:
        vocabulary = vocabulary_of(Tokenizer.from_folder(loaded.folder), loaded.vocab_size)
    except ModelError as error:
        logger.info("replies cannot follow grammars: %s", error.message)
        return None
    compiler = GrammarCompiler(lambda g: compile_grammar(g, vocabulary), CompileThreads())
    num_threads = (os.cpu_count() or 1) // 2
    executor = LLExecutor(min(num_threads, _MOST_MASK_THREADS)) if num_threads > 1 else None
    masks = GrammarMasks(compiler.compiled, vocabulary.num_words, loaded.eos_token_ids, executor)
    return GrammarGate(compiler, max_held=config.scheduler.max_num_queued_reqs), masks
