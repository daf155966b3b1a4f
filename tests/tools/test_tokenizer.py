"""The committed tokenizer gives every text back and marks what is to be learned."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from tools.demo_dialogues.generator import Dialogue, Message, dialogue
from tools.demo_dialogues.grammar import TAGS
from tools.demo_dialogues.tokenizer import END, encode_dialogue

MODEL = Path(__file__).resolve().parents[2] / "configs" / "models" / "kaiwa-demo"


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Return the committed tokenizer."""
    return Tokenizer.from_file(str(MODEL / "tokenizer.json"))


@pytest.mark.parametrize(
    "text",
    [
        "Hi, I'm Ken! [happy] It's 12 o'clock.",
        "ケンジさん、こんにちは！[sad] そうですか…",
        "👩‍👩‍👧‍👦 family, 🇯🇵 flag, 👍🏽 thumb, ❤️",
        "  blanks\tand\n\nlines  ",
        "Zażółć gęślą jaźń. Привет! مرحبا 你好 안녕하세요 𠮷野家",
        "\x00\x7f\ufeff\u200b",
        "",
    ],
)
def test_text_round_trips(tokenizer: Tokenizer, text: str) -> None:
    """Decoding gives back exactly what was encoded."""
    assert tokenizer.decode(tokenizer.encode(text).ids) == text


@pytest.mark.parametrize("tag", TAGS)
def test_tag_is_one_token(tokenizer: Tokenizer, tag: str) -> None:
    """An expression tag costs one step, wherever it stands."""
    assert len(tokenizer.encode(f"[{tag}]").ids) == 1


@pytest.mark.parametrize("name", ["Finyouri", "ケンジ", "ゆな", "春田"])
def test_name_is_tokenized_alike_everywhere(tokenizer: Tokenizer, name: str) -> None:
    """A name is the same tokens alone, after a tag and before an honorific."""
    ids = tokenizer.encode(name).ids
    for frame in ("[happy] {}さん", "{}です", "I'm {}.", "\n{}"):
        found = tokenizer.encode(frame.format(name)).ids
        assert any(found[i : i + len(ids)] == ids for i in range(len(found)))


def test_dialogues_are_short_in_tokens(tokenizer: Tokenizer) -> None:
    """The vocabulary fits the dialogues: fewer than half as many tokens as UTF-8 bytes."""
    rng = random.Random(2)
    texts = [m.content for _ in range(40) for m in dialogue(rng).messages]
    tokens = sum(len(tokenizer.encode(text).ids) for text in texts)
    assert tokens * 2 < sum(len(text.encode()) for text in texts)


def test_only_replies_are_targets(tokenizer: Tokenizer) -> None:
    """The targets are the reply and its end mark, nothing else."""
    item = Dialogue((Message("user", "Hi!"), Message("assistant", "[happy] Hello!", "all")))
    example = encode_dialogue(item, tokenizer)
    targets = [token for token, learn in zip(example.ids, example.learn, strict=True) if learn]
    assert tokenizer.decode(targets, skip_special_tokens=False) == "[happy] Hello!" + END
