"""Practice asks about what the prompt says, and its replies agree with it."""

from __future__ import annotations

import random
from itertools import islice, pairwise
from pathlib import Path

from tokenizers import Tokenizer

from tools.demo_dialogues.curriculum import TrainingConfig, batches, learning_share
from tools.demo_dialogues.generator import Dialogue
from tools.demo_dialogues.grammar import TAG_PATTERN
from tools.demo_dialogues.practice import practice

MODEL = Path(__file__).resolve().parents[2] / "configs" / "models" / "kaiwa-demo"


def _many(count: int = 200) -> list[Dialogue]:
    rng = random.Random(9)
    return [practice(rng) for _ in range(count)]


def test_same_seed_same_practice() -> None:
    """Practice depends on its seed alone."""
    assert _many(20) == _many(20)


def test_learned_replies_open_with_a_tag() -> None:
    """A reply that is learned whole opens with an expression tag."""
    for item in _many():
        for message in item.messages:
            if message.learn == "all":
                assert TAG_PATTERN.match(message.content), message.content


def test_both_languages_are_practised() -> None:
    """Neither language is forgotten."""
    languages = [item.language for item in _many()]
    assert 0.3 < languages.count("ja") / len(languages) < 0.7


def test_likes_and_dislikes_agree_with_the_prompt() -> None:
    """What a plain shipped prompt dislikes is never answered with love."""
    wrong = ("I love thunder", "I really like thunder", "雷は大好き", "雷が好き")
    for item in _many(400):
        if "You dislike thunder" not in item.messages[0].content:
            continue
        replies = [m.content for m in item.messages if m.role == "assistant"]
        assert not any(text in reply for text in wrong for reply in replies)


def test_a_resumed_run_continues_the_stream() -> None:
    """Batches from a later step are those that come then anyway."""
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    config = TrainingConfig(workers=1, batch_tokens=512, practice_at=5)
    whole = [batch.ids.tolist() for batch in islice(batches(tokenizer, config, 5), 4)]
    later = [batch.ids.tolist() for batch in islice(batches(tokenizer, config, 7), 2)]
    assert whole[2:] == later


def test_schedule_ends_at_zero() -> None:
    """The learning rate falls to nothing at the last step."""
    config = TrainingConfig()
    assert all(start < end for (start, _), (end, _) in pairwise(config.schedule))
    assert learning_share(config.steps, config.schedule) == 0.0
