"""What the model reads after a barge-in over the wire, token for token, with the demo model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from server.characters.character import VRM_EXPRESSIONS
from server.text.tags import strip_tags
from tools.barge_in import INTERRUPTION, main

pytestmark = pytest.mark.slow


def test_the_next_prompt_holds_what_was_heard_and_nothing_else(tmp_path: Path) -> None:
    """The first prompt whole, sampled tokens as they were, the cut word, and the new message."""
    seen = main(["--json", str(tmp_path / "seen.json")])
    assert seen.second[: len(seen.first)] == seen.first
    assert seen.num_kept == len(seen.first)
    assert 0 < seen.num_heard < len(seen.sampled)
    said = seen.tail.partition("<|im_end|>")[0]
    assert strip_tags(said, VRM_EXPRESSIONS) == seen.heard
    assert INTERRUPTION in seen.tail
    assert seen.unheard
    assert seen.unheard.strip() not in seen.tail
    assert seen.cached_tokens >= len(seen.first)
    assert json.loads((tmp_path / "seen.json").read_text())["second"] == seen.second
