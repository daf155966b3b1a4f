"""Flat settings find their room, and wrong ones are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from engine.config import EngineConfig
from engine.errors import ConfigError


def test_flat_names_reach_their_rooms() -> None:
    """One flat namespace, three small configurations."""
    config = EngineConfig.from_flat(model="m", max_num_seqs=3, kv_cache_tokens=64, dtype="float32")
    assert (config.scheduler.max_num_seqs, config.cache.kv_cache_tokens, config.model.dtype) == (
        3,
        64,
        "float32",
    )


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    """A misspelt setting must not be dropped silently."""
    with pytest.raises(ConfigError, match="unknown setting 'max_seqs'.*max_num_seqs"):
        EngineConfig.from_flat(model="m", max_seqs=3)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("max_num_seqs", 0),
        ("max_num_seqs", True),
        ("max_num_batched_tokens", -1),
        ("max_num_queued_reqs", 0),
        ("max_model_len", 1),
        ("kv_cache_tokens", 15),
        ("dtype", "float16"),
        ("device", "tpu"),
        ("model", ""),
        ("quantization", "int3"),
        ("deterministic", "yes"),
        ("num_threads", 0),
        ("enable_prefix_caching", "false"),
        ("kv_cache_dtype", "int4"),
        ("kv_cache_memory", "bogus"),
        ("kv_cache_memory", -5),
        ("kv_cache_memory", float("nan")),
        ("kv_cache_memory", float("inf")),
        ("kv_cache_memory", 1.0),
        ("kv_cache_memory", [1]),
    ],
)
def test_a_value_that_cannot_work_is_refused_by_name(name: str, value: Any) -> None:
    """The error's ``param`` is the setting."""
    with pytest.raises(ConfigError) as caught:
        EngineConfig.from_flat(**{"model": "m", name: value})
    assert caught.value.param == name
