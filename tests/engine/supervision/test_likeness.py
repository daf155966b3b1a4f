"""Whether an engine that came back can go on with replies that another one began."""

from __future__ import annotations

import msgspec

from engine.config import EngineConfig
from engine.supervision.likeness import differences
from tests.support.scripted_model import scripted_info

INFO = scripted_info(64, EngineConfig.from_flat(model="scripted"))


def test_another_amount_of_memory_is_no_difference() -> None:
    """It depends on what else the machine holds at that moment."""
    after = msgspec.structs.replace(INFO, num_blocks=16, full_step_s=3.0)
    assert differences(INFO, after) == []


def test_whatever_changes_the_words_is_named() -> None:
    """Another number type gives other tokens."""
    after = msgspec.structs.replace(INFO, dtype="bfloat16", vocab_size=7)
    assert differences(INFO, after) == ["dtype", "vocab_size"]
