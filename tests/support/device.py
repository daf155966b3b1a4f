"""Where the engine's tests compute: on a CPU, or on the card that `tools/gpu_check.sh` is for."""

from __future__ import annotations

import os

from engine.config import Device

DEVICE: Device = "cuda" if os.environ.get("KAIWA_TEST_DEVICE") == "cuda" else "cpu"
