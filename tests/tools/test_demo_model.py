"""The committed demo model answers in character, in both languages."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from tokenizers import Tokenizer
from transformers import AutoTokenizer, LlamaForCausalLM

from tools.demo_dialogues.evaluation import complete, evaluate
from tools.demo_dialogues.generator import Dialogue, Message, shipped_characters
from tools.demo_dialogues.grammar import TAGS
from tools.demo_dialogues.tokenizer import END, render_prompt

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
MODEL = CONFIGS / "models" / "kaiwa-demo"
CHARACTERS = sorted((CONFIGS / "characters").glob("*.toml"))
_OPENING_TAG = re.compile(r"\[(" + "|".join(TAGS) + r")\]")
_JAPANESE = re.compile(r"[ぁ-んァ-ヶ]")

Demo = tuple[LlamaForCausalLM, Tokenizer]


@pytest.fixture(scope="module")
def demo() -> Demo:
    """Return the committed model and its tokenizer."""
    model = LlamaForCausalLM.from_pretrained(MODEL)
    return model, Tokenizer.from_file(str(MODEL / "tokenizer.json"))


def _chat(demo: Demo, character: str, *lines: str) -> list[str]:
    """Say the lines one after another and return the replies."""
    card = tomllib.loads((CONFIGS / "characters" / f"{character}.toml").read_text(encoding="utf-8"))
    messages = [Message("system", card["prompt"])]
    replies: list[str] = []
    for line in lines:
        messages += [Message("user", line), Message("assistant", "")]
        reply = complete(*demo, [Dialogue(tuple(messages))])[0]
        assert reply.endswith(END)
        replies.append(reply.removesuffix(END))
        messages[-1] = Message("assistant", replies[-1])
    return replies


def test_weights_are_small() -> None:
    """The weights stay within the 12 MB that the repository grants them."""
    assert (MODEL / "model.safetensors").stat().st_size <= 12_000_000


@pytest.mark.parametrize("path", CHARACTERS, ids=lambda path: str(path.stem))
def test_character_file_is_complete(path: Path) -> None:
    """A character file has what the server and the picker read."""
    card = tomllib.loads(path.read_text(encoding="utf-8"))
    assert {"name", "name_ja", "description", "description_ja", "prompt", "greeting"} <= set(card)
    assert set(card["expressions"]) == set(TAGS)
    assert card["avatar"]["style"] in {"bob", "long", "short", "twin", "hood", "robot"}


def test_every_character_file_is_trained() -> None:
    """The generator knows every shipped character."""
    trained = {character.prompt for character in shipped_characters()}
    files = {tomllib.loads(p.read_text(encoding="utf-8"))["prompt"].strip() for p in CHARACTERS}
    assert files == trained


@pytest.mark.slow
def test_chat_template_is_what_was_trained() -> None:
    """The template of ``AutoTokenizer`` writes the prompt that training wrote."""
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    item = Dialogue(
        (Message("system", "Be kind."), Message("user", "Hi!"), Message("assistant", ""))
    )
    messages = [{"role": m.role, "content": m.content} for m in item.messages[:-1]]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == render_prompt(item)


@pytest.mark.slow
def test_says_its_name(demo: Demo) -> None:
    """Aoi says who she is."""
    assert "Aoi" in _chat(demo, "aoi", "Hi! What is your name?")[0]


@pytest.mark.slow
def test_answers_japanese_in_japanese(demo: Demo) -> None:
    """A character with an English prompt answers Japanese in Japanese."""
    assert _JAPANESE.search(_chat(demo, "aoi", "こんにちは！")[0])


@pytest.mark.slow
def test_remembers_the_users_name(demo: Demo) -> None:
    """A name that was told is known two turns later."""
    replies = _chat(demo, "aoi", "Hi, I'm Mika.", "How are you?", "What is my name?")
    assert "Mika" in replies[-1]


@pytest.mark.slow
def test_remembers_the_users_name_in_japanese(demo: Demo) -> None:
    """A name that was told in Japanese is known two turns later."""
    replies = _chat(
        demo, "suzu", "はじめまして、ケンタです。", "元気ですか？", "私の名前は何ですか？"
    )
    assert "ケンタ" in replies[-1]


@pytest.mark.slow
def test_knows_its_likes_from_its_dislikes(demo: Demo) -> None:
    """Aoi says yes to cats and no to thunder, in both languages."""
    cats, thunder = _chat(demo, "aoi", "Do you like cats?", "Do you like thunder?")
    assert not re.search("not|n't", cats)
    assert re.search("not|n't", thunder)
    assert re.search("苦手|好きでは", _chat(demo, "aoi", "雷は好き？")[0])


@pytest.mark.slow
def test_admits_an_unknown_name(demo: Demo) -> None:
    """A name that was never told is not made up."""
    reply = _chat(demo, "aoi", "What is my name?")[0]
    assert "not" in reply or reply.endswith("?")


@pytest.mark.slow
@pytest.mark.parametrize("line", ["Tell me a joke.", "I'm sad.", "冗談を言って。", "asdkjh"])
def test_replies_open_with_one_known_tag(demo: Demo, line: str) -> None:
    """Every reply opens with an expression tag and has words after it."""
    reply = _chat(demo, "marina", line)[0]
    found = _OPENING_TAG.match(reply)
    assert found
    assert reply[found.end() :].strip()


@pytest.mark.slow
def test_evaluation_stays_high(demo: Demo) -> None:
    """The figures on the card are not an accident: a small evaluation is not far below."""
    result = evaluate(*demo, samples=10, distances=(2,))
    assert result.tagged >= 0.97 * result.replies
    names = [row for row in result.rows if row.title == "user's name"]
    assert sum(row.correct for row in names) >= 0.5 * sum(row.total for row in names)
