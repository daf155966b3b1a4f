"""Where the engine's tests compute: on a CPU, or on the card that `tools/gpu_check.sh` is for."""

from __future__ import annotations

import os
from dataclasses import fields

from engine.config import CacheConfig, Device, ModelConfig, SchedulerConfig

DEVICE: Device = "cuda" if os.environ.get("KAIWA_TEST_DEVICE") == "cuda" else "cpu"


def is_known(setting: str) -> bool:
    """Whether the engine has a setting of this name."""
    rooms = (ModelConfig, CacheConfig, SchedulerConfig)
    return any(field.name == setting for room in rooms for field in fields(room))
