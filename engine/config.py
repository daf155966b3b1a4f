"""What the engine is started with: a few small configurations, composed and validated."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from engine.errors import ConfigError

DType = Literal["auto", "bfloat16", "float32"]
Device = Literal["auto", "cpu", "cuda"]
Policy = Literal["fcfs", "deadline", "paced"]
Quantization = Literal["int8", "fp8"]
Kernels = Literal["auto", "torch"]
KVCacheDType = Literal["auto", "fp8", "int8"]

BLOCK_SIZE = 16
"""Tokens per KV block."""

_UNITS = {"": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "kb": 10**3, "mb": 10**6, "gb": 10**9}
_SIZE = re.compile(r"\s*(\d*\.?\d+)\s*([kmg]i?b|)\s*", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """Which model, and how it is held."""

    model: str
    """Local folder or hub id of a safetensors checkpoint."""
    dtype: DType = "auto"
    """``auto`` takes the checkpoint's own, or float32 on a processor without bf16 arithmetic."""
    device: Device = "auto"
    """``auto`` takes CUDA where there is a GPU."""
    max_model_len: int | None = None
    """Longest sequence in tokens, prompt and reply together; ``None`` takes the model's own."""
    quantization: Quantization | None = None
    """``int8`` holds weights as 8-bit integers, one scale per output channel; a CPU multiplies them
    with activations rounded likewise, one scale per token, a GPU with activations as they are.
    ``fp8`` holds them as 8-bit floats (e4m3), on a GPU only."""
    deterministic: bool = False
    """Compute each token with the same bits whoever shares its batch. On a GPU it costs time; the
    compiled kernels of a CPU do so anyway."""
    kernels: Kernels = "auto"
    """``auto`` steps models of a known structure through compiled kernels on a CPU; ``torch``
    leaves every model to transformers' own modules."""
    num_threads: int | None = None
    """Threads of one step on a CPU; ``None`` measures one against all cores when loading."""
    self_check: bool = True
    """Compare a short paged forward with the untouched model when loading."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        _one_of("dtype", self.dtype, get_args(DType))
        _one_of("device", self.device, get_args(Device))
        if not self.model:
            raise ConfigError("model is empty; name a folder or a hub id", param="model")
        if self.max_model_len is not None:
            _at_least("max_model_len", self.max_model_len, 2)
        if self.num_threads is not None:
            _at_least("num_threads", self.num_threads, 1)
        _one_of("kernels", self.kernels, get_args(Kernels))
        if self.quantization is not None:
            _one_of("quantization", self.quantization, get_args(Quantization))
        _true_or_false("deterministic", self.deterministic)


@dataclass(frozen=True, slots=True, kw_only=True)
class CacheConfig:
    """How much KV memory there is; at most one of the two budgets may be given.

    On a GPU the largest steps that the scheduler's limits allow are run first, and what they take
    is not shared out: free memory is what weights and steps leave.
    """

    kv_cache_tokens: int | None = None
    """Budget in tokens; rounded down to whole blocks."""
    kv_cache_memory: int | float | str | None = None
    """Budget in bytes (``int``, or ``"512MiB"``), or as a fraction of free memory in (0, 1)."""
    kv_cache_dtype: KVCacheDType = "auto"
    """``auto`` keeps keys and values in the model's own type. ``fp8`` (e4m3) and ``int8`` keep them
    in eight bits with one scale per token and head: about half the memory and half the reading. On
    a GPU, for models of a known structure."""
    enable_prefix_caching: bool = True
    """Keep the KV of finished requests for prompts that begin alike."""
    pinned_share: float = 0.25
    """Share of the blocks that characters' prompts may keep when everything else is given up."""
    host_cache_memory: int | float | str | None = None
    """Host memory for conversations that lose their place on the device, as ``kv_cache_memory``
    is written; ``None`` takes a tenth of what is free beside a GPU and nothing on a CPU."""

    def __post_init__(self) -> None:
        """Refuse two budgets, or one that cannot be."""
        _true_or_false("enable_prefix_caching", self.enable_prefix_caching)
        _one_of("kv_cache_dtype", self.kv_cache_dtype, get_args(KVCacheDType))
        _number_within("pinned_share", self.pinned_share, 0.0, 0.9)
        if self.kv_cache_memory is not None:
            parse_memory(self.kv_cache_memory)
        if self.host_cache_memory not in (None, 0):
            parse_memory(self.host_cache_memory, param="host_cache_memory")
        if self.kv_cache_tokens is not None and self.kv_cache_memory is not None:
            raise ConfigError(
                "kv_cache_tokens and kv_cache_memory are both given; give one",
                param="kv_cache_memory",
            )
        if self.kv_cache_tokens is not None:
            _at_least("kv_cache_tokens", self.kv_cache_tokens, BLOCK_SIZE)


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerConfig:
    """Limits on what one step holds and on what may wait."""

    max_num_seqs: int = 64
    """Sequences in the running batch."""
    max_num_batched_tokens: int = 512
    """New tokens, prompt chunks and decodes together, that one step computes."""
    max_num_queued_reqs: int = 1024
    """Requests that may wait; one more is refused."""
    policy: Policy = "deadline"
    """``fcfs`` fills each step to ``max_num_batched_tokens`` in order of arrival. ``deadline`` cuts
    prompts to the milliseconds that running streams can spare, earliest first-token deadline
    first. ``paced`` also lets streams that are ahead of their listeners skip steps."""
    itl_target_s: float = 0.05
    """Seconds between two tokens that a step is planned to stay within."""
    ttft_target_s: float = 0.5
    """Seconds from arrival to the first token; a request's deadline."""
    aging_s: float = 5.0
    """Seconds of waiting that outweigh one step of priority."""
    look_ahead: bool | None = None
    """Plan and launch a step before the one before it has been read; ``None`` does so on a GPU."""

    def __post_init__(self) -> None:
        """Refuse limits under which nothing could run."""
        _at_least("max_num_seqs", self.max_num_seqs, 1)
        _at_least("max_num_batched_tokens", self.max_num_batched_tokens, 1)
        _at_least("max_num_queued_reqs", self.max_num_queued_reqs, 1)
        _one_of("policy", self.policy, get_args(Policy))
        _number_within("itl_target_s", self.itl_target_s, 1e-4, 60.0)
        _number_within("ttft_target_s", self.ttft_target_s, 1e-3, 3600.0)
        _number_within("aging_s", self.aging_s, 1e-3, 3600.0)
        if self.look_ahead not in (None, True, False):
            raise ConfigError(
                f"look_ahead is {self.look_ahead!r}; it must be true or false, or left out",
                param="look_ahead",
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisionConfig:
    """When an engine process is taken for lost, and how often it is started anew."""

    max_restarts: int = 5
    """Restarts within ``restart_window_s``; one more is not tried. With 0 a lost engine is lost."""
    restart_window_s: float = 600.0
    """Seconds within which restarts are counted."""
    backoff_s: float = 1.0
    """Seconds before the second restart in a row; the first is made at once, and each further one
    waits twice as long, up to 30 s."""
    step_timeout_s: float = 30.0
    """Seconds that a step may take before the engine is taken for hung; more on a machine whose
    steps are long: five times the longest of late, or of what the largest is thought to take."""
    heartbeat_timeout_s: float = 10.0
    """Seconds of silence after which an idle engine is taken for hung; it speaks once a second."""
    max_losses_per_request: int = 3
    """So many losses in a row, with no token in between, end the request that was there each
    time."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        _at_least("max_restarts", self.max_restarts, 0)
        _number_within("restart_window_s", self.restart_window_s, 1.0, 7 * 24 * 3600.0)
        _number_within("backoff_s", self.backoff_s, 0.0, 600.0)
        _number_within("step_timeout_s", self.step_timeout_s, 0.1, 24 * 3600.0)
        # the engine speaks once a second, so less would take it for hung between two words
        _number_within("heartbeat_timeout_s", self.heartbeat_timeout_s, 2.0, 3600.0)
        _at_least("max_losses_per_request", self.max_losses_per_request, 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineConfig:
    """The whole of it."""

    model: ModelConfig
    cache: CacheConfig = field(default_factory=CacheConfig)
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    supervision: SupervisionConfig = field(default_factory=SupervisionConfig)

    @classmethod
    def from_flat(cls, **settings: Any) -> EngineConfig:
        """Build from the command line's flat names, such as ``max_num_seqs=8``.

        Raises:
            ConfigError: A name is unknown or a value cannot work.
        """
        rooms: dict[str, type[ModelConfig | CacheConfig | SchedulerConfig | SupervisionConfig]]
        rooms = {
            "model": ModelConfig,
            "cache": CacheConfig,
            "scheduler": SchedulerConfig,
            "supervision": SupervisionConfig,
        }
        owner = {f.name: room for room, cls_ in rooms.items() for f in fields(cls_)}
        parts: dict[str, dict[str, Any]] = {room: {} for room in rooms}
        for name, value in settings.items():
            if name not in owner:
                known = ", ".join(sorted(owner))
                raise ConfigError(f"unknown setting {name!r}; known are {known}", param=name)
            parts[owner[name]][name] = value
        return cls(
            model=ModelConfig(**parts["model"]),
            cache=CacheConfig(**parts["cache"]),
            scheduler=SchedulerConfig(**parts["scheduler"]),
            supervision=SupervisionConfig(**parts["supervision"]),
        )


def parse_memory(asked: object, *, param: str = "kv_cache_memory") -> int | float:
    """Read an amount of memory.

    Args:
        asked: As it was written.
        param: Which setting it is, for the error.

    Returns:
        Bytes as ``int``, or a fraction of free memory between 0 and 1 as ``float``.

    Raises:
        ConfigError: It is neither.
    """
    value = asked
    if isinstance(asked, str) and (size := _SIZE.fullmatch(asked)):
        number, unit = float(size[1]), size[2].lower()
        value = number if not unit and number < 1 else int(number * _UNITS[unit])
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return value
    if isinstance(value, float) and 0 < value < 1:
        return value
    raise ConfigError(
        f"{param} is {asked!r}; give bytes (536870912), a size (512MiB) or a fraction of "
        "free memory between 0 and 1 (0.5)",
        param=param,
    )


def _one_of(name: str, value: object, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigError(
            f"{name} is {value!r}; it must be one of {', '.join(allowed)}", param=name
        )


def _true_or_false(name: str, value: object) -> None:
    if not isinstance(value, bool):
        raise ConfigError(f"{name} is {value!r}; it must be true or false", param=name)


def _at_least(name: str, value: object, least: int) -> None:
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise ConfigError(f"{name} is {value!r}; it must be a whole number >= {least}", param=name)


def _number_within(name: str, value: object, least: float, most: float) -> None:
    bad = not isinstance(value, int | float) or isinstance(value, bool)
    if bad or not least <= value <= most:  # type: ignore[operator]
        raise ConfigError(
            f"{name} is {value!r}; it must be a number from {least:g} to {most:g}", param=name
        )
