"""Whether an engine that came back can go on with replies that another one began."""

from __future__ import annotations

from engine.outputs import EngineInfo

_TELLING = (
    "model_path",
    "architecture",
    "dtype",
    "device",
    "vocab_size",
    "max_model_len",
    "eos_token_ids",
    "block_size",
)


def differences(before: EngineInfo, after: EngineInfo) -> list[str]:
    """Name what a reply depends on and what is not as it was; how much memory there is, may differ.

    Args:
        before: What the engine said of itself that began the replies.
        after: What the one says that should go on with them.
    """
    return [name for name in _TELLING if getattr(before, name) != getattr(after, name)]
