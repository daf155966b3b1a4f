"""Prompts in words have exactly the tokens that the trace says."""

from __future__ import annotations

import functools
import json
from dataclasses import replace
from pathlib import Path

import pytest
import tokenizers

from clients.replay.prompt_texts import FEWEST_WORDS, PromptTexts
from clients.replay.script import ScriptError, Session, Turn
from clients.replay.token_estimate import estimated_tokens
from clients.replay.traces.read import read_trace
from tests.support.tokenizers import byte_level_backend, metaspace_backend, word_piece_backend

CONFIGS = Path(__file__).parents[3] / "configs"
BACKENDS = {
    "byte-level": byte_level_backend,
    "metaspace": metaspace_backend,
    "metaspace-legacy": lambda: metaspace_backend(legacy=True),
    "word-piece": word_piece_backend,
}
KINDS = [*BACKENDS, "demo", "none"]


def session(*turns: Turn, name: str = "a", persona_tokens: int = 0) -> Session:
    """A session of these turns."""
    return Session(
        session_id=name,
        start_s=0.0,
        turns=list(turns),
        persona="aoi",
        persona_tokens=persona_tokens,
    )


def blocks(tokens: int, *hash_ids: int) -> Turn:
    """A turn of shared blocks of 16 tokens."""
    return Turn(input_tokens=tokens, hash_ids=hash_ids, hash_block=16)


@functools.cache
def demo_texts() -> PromptTexts:
    """With the tokenizer of the demo model, whose words are few."""
    return PromptTexts(CONFIGS / "models" / "kaiwa-demo")


@pytest.fixture(scope="module", params=KINDS)
def texts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> PromptTexts:
    """A source of texts by each kind of tokenizer, and by none."""
    if request.param == "none":
        return PromptTexts(None)
    if request.param == "demo":
        return demo_texts()
    file = tmp_path_factory.mktemp(request.param) / "tokenizer.json"
    BACKENDS[request.param]().save(str(file))
    return PromptTexts(file)


def unigram(folder: Path, scores: dict[str, float]) -> Path:
    """Save a tokenizer that knows these pieces, and does not keep words apart."""
    pieces = [("<unk>", 0.0), ("▁", -50.0), *scores.items()]
    backend = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, 0, False))
    backend.normalizer = tokenizers.normalizers.Replace(" ", "▁")
    backend.save(str(folder / "tokenizer.json"))
    return folder


def test_texts_have_exactly_as_many_tokens(texts: PromptTexts) -> None:
    """Personas and turns of any length."""
    for tokens in (1, 2, 7, 64, 600):
        one = session(Turn(input_tokens=tokens), persona_tokens=tokens)
        assert texts.count(texts.turn(one, 0)) == tokens
        assert texts.count(texts.opening(one)) == tokens
        assert not texts.turn(one, 0)[0].isspace()
    assert texts.opening(session()) == ""


def test_words_of_a_trace_are_said_as_they_are(texts: PromptTexts) -> None:
    """Those of a persona too."""
    one = session(Turn(input_tokens=3, text="Good evening"), persona_tokens=5)
    one = replace(one, persona_text="You are Aoi.")
    assert (texts.opening(one), texts.turn(one, 0)) == ("You are Aoi.", "Good evening")


def test_shared_blocks_are_equal_words(texts: PromptTexts) -> None:
    """Prompts are alike as far as their blocks are, in words as in tokens, and then no more."""
    first = texts.turn(session(blocks(40, 1, 2, 3)), 0)
    second = texts.turn(session(blocks(48, 1, 2, 4), name="b"), 0)
    shared = texts.turn(session(blocks(32, 1, 2), name="c"), 0)
    assert first.startswith(shared + " ")
    assert second.startswith(shared + " ")
    assert first != second[: len(first)]
    assert [texts.count(text) for text in (first, second, shared)] == [40, 48, 32]


def test_personas_are_shared_and_questions_are_not(texts: PromptTexts) -> None:
    """The same in every run."""
    first, second = (
        session(Turn(input_tokens=30), name=name, persona_tokens=50) for name in ("a", "b")
    )
    assert texts.opening(first) == texts.opening(second)
    assert texts.turn(first, 0) != texts.turn(second, 0)
    assert texts.turn(first, 0) == texts.turn(first, 0)


def test_a_turn_with_words_of_its_own_says_them(texts: PromptTexts) -> None:
    """Whatever the estimate of its length is."""
    assert texts.turn(session(Turn(input_tokens=99, text="good morning")), 0) == "good morning"


def test_every_prompt_of_a_sample_is_exact() -> None:
    """Whatever its blocks are."""
    texts = demo_texts()
    assert texts.is_exact
    for one in read_trace(CONFIGS / "traces" / "mooncake_conversation.jsonl"):
        assert texts.count(texts.turn(one, 0)) == one.turns[0].input_tokens


def test_truncation_of_a_tokenizer_does_not_count(tmp_path: Path) -> None:
    """Some are saved as they were used in training."""
    backend = byte_level_backend()
    backend.enable_truncation(8)
    backend.enable_padding(length=100)
    backend.save(str(tmp_path / "tokenizer.json"))
    texts = PromptTexts(tmp_path)
    assert texts.count(texts.turn(session(Turn(input_tokens=50)), 0)) == 50


def test_without_a_tokenizer_a_word_counts_as_a_token() -> None:
    """And it says that this is a guess."""
    texts = PromptTexts(None)
    assert not texts.is_exact
    assert len(texts.turn(session(Turn(input_tokens=300)), 0).split()) == 300
    assert texts.count("Good morning, everybody!") == estimated_tokens("Good morning, everybody!")


def test_words_that_join_others_are_not_used(tmp_path: Path) -> None:
    """A vocabulary may hold tokens of two words; texts stay exact."""
    words = [f"w{letter}" for letter in "abcdefghijklmnopqrstuv"]
    joined = [f"▁{one}▁{other}" for one in words[:4] for other in words[:4]]
    names = [*words, *(f"▁{word}" for word in words), *joined]
    texts = PromptTexts(unigram(tmp_path, dict.fromkeys(names, -1.0)))
    text = texts.turn(session(Turn(input_tokens=200)), 0)
    assert texts.count(text) == 200
    assert set(text.split()) <= set(words[4:])


def test_a_text_that_came_out_otherwise_is_not_used(tmp_path: Path) -> None:
    """Tokens may lie across words in ways that no single word shows."""
    words = [f"{first}{letter}" for first in "wx" for letter in "abcdefghij"]
    names = [*words, *(f"▁{word}" for word in words)]
    scores = dict.fromkeys(names, -1.0) | dict.fromkeys("abcdefghij", -0.6)
    texts = PromptTexts(unigram(tmp_path, scores | {"▁w": -0.6, "w": -0.6, "a▁x": 5.0}))
    with pytest.raises(ScriptError, match="tokens of 200 words that are one token each: it joins"):
        texts.turn(session(Turn(input_tokens=200)), 0)


def test_a_vocabulary_without_words_is_refused(tmp_path: Path) -> None:
    """With the way out."""
    backend = tokenizers.Tokenizer(tokenizers.models.WordLevel({"the": 0, "[UNK]": 1}, "[UNK]"))
    backend.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    backend.save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(ScriptError, match=f"has 1 words .* {FEWEST_WORDS} are needed.*leave the"):
        PromptTexts(tmp_path)


def test_a_tokenizer_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder without one, and a file of something else."""
    with pytest.raises(ScriptError, match=r"there is no .*tokenizer\.json; name a"):
        PromptTexts(tmp_path)
    (tmp_path / "tokenizer.json").write_text(json.dumps({"a": 1}), encoding="utf-8")
    with pytest.raises(ScriptError, match="cannot be read as a tokenizer"):
        PromptTexts(tmp_path)
