"""Turns are appended: the text of a full rendering, with the ids that are known in front."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence

import pytest

from engine.chat_template import CHATML, PLAIN, ChatMessage
from engine.tokenizer import Tokenizer
from server.config.shipped import DEMO_MODEL
from server.conversation.token_log import TokenLog, Turn, encode_turn
from tests.support.chat_templates import LLAMA3, MISTRAL, QWEN3
from tests.support.fake_engine import FakeTokenizer
from tests.support.texts import random_text
from tests.support.tokenizers import byte_level_backend, metaspace_backend, one_of_each_kind

CHATML_NAMES = {"eos_token": "<|im_end|>", "bos_token": "<|im_start|>"}
LLAMA_NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
KINDS: dict[str, Tokenizer] = {
    "demo": Tokenizer.from_folder(DEMO_MODEL),
    **one_of_each_kind(),
    "qwen3": Tokenizer(byte_level_backend(), named_tokens=CHATML_NAMES, template=QWEN3),
    "llama3": Tokenizer(byte_level_backend(), named_tokens=CHATML_NAMES, template=LLAMA3),
    "mistral": Tokenizer(metaspace_backend(), named_tokens=LLAMA_NAMES, template=MISTRAL),
    "fallback": Tokenizer(byte_level_backend(), template=CHATML),
    "plain": Tokenizer(metaspace_backend(strip=False), template=PLAIN),
}
APPENDING = ["demo", "chatml", "gemma", "qwen3", "fallback", "plain", "llama2"]
"""Whose templates never write in another way what was said before."""
WORDS = [
    "Hello there! ", "How are you today?", "こんにちは。", "今日はいい天気ですね", " I am fine",
    "<|im_end|>", "</s>", "<start_of_turn>", "<|im_", "\n\n", "\n", "[happy] ", "葵", "👨\u200d👩",
]  # fmt: skip
FAKE = FakeTokenizer()


def text_of(tokenizer: Tokenizer, ids: Sequence[int]) -> str:
    """What the ids say; a space that a tokenizer puts behind a control token counts for none."""
    text = tokenizer.decode(ids, skip_special_tokens=False)
    return re.sub(r"(<s>|</s>|<(?:start|end)_of_turn>) ", r"\1", text).lstrip(" ")


def words(draw: random.Random) -> str:
    """Something to say, nasty now and then."""
    if draw.random() < 0.3:
        return "a" + random_text(draw, 6).strip() + "z"
    return "".join(draw.choices(WORDS, k=draw.randrange(1, 6))).strip() or "yes"


class Person:
    """Talks with a model that says what the test wants, token by token."""

    def __init__(self, kind: str, seed: int) -> None:
        self.tokenizer = KINDS[kind]
        self.draw = random.Random(seed)
        self.log = TokenLog()
        self.messages: list[ChatMessage] = []
        self.ends = [
            token_id
            for token_id in map(self.tokenizer.token_to_id, ("<|im_end|>", "</s>", "<end_of_turn>"))
            if token_id is not None
        ]

    def ask(self, text: str) -> Turn:
        """Put a message in and encode the next prompt."""
        self.messages.append(ChatMessage("user", text))
        turn = encode_turn(self.log, self.messages, self.tokenizer)
        self.log = turn.log
        return turn

    def reply(self, text: str, *, heard: float = 1.0, end: bool = True) -> None:
        """Have the model say something; only a share of it counts."""
        # Whatever the text is cut into, the model may have sampled it so.
        middle = self.draw.randrange(len(text) + 1)
        opening = self.log.text + ("" if self.log.text else "x")
        ids = self.tokenizer.encode_marked(opening + text[:middle], len(opening)) if middle else []
        ids += self.tokenizer.encode_marked("x" + text[middle:], 1)
        if end and self.ends:
            ids.append(self.draw.choice(self.ends))
        self.log = self.log.with_reply(ids, self.tokenizer)
        kept = text[: round(len(text) * heard)]
        if kept:
            self.messages.append(ChatMessage("assistant", kept))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", range(6))
def test_any_conversation_says_the_same_as_its_full_rendering(kind: str, seed: int) -> None:
    """Whatever is said, heard, cut or edited, the appended prompt decodes to the whole text."""
    person = Person(kind, seed)
    draw = person.draw
    if draw.random() < 0.7:
        person.messages.append(ChatMessage("system", "You are Aoi.\n" + words(draw)))
    for _ in range(7):
        turn = person.ask(words(draw))
        full = person.tokenizer.encode_chat(person.messages)
        assert text_of(person.tokenizer, turn.log.token_ids) == text_of(person.tokenizer, full)
        controls = person.tokenizer.special_token_ids
        assert [i for i in turn.log.token_ids if i in controls] == [
            i for i in full if i in controls
        ]
        person.reply(words(draw), heard=draw.choice([0, 0.5, 1, 1]), end=draw.random() < 0.7)
        if draw.random() < 0.2:
            del person.messages[draw.randrange(len(person.messages))]
        person.messages = person.messages or [ChatMessage("user", "again")]


@pytest.mark.parametrize("kind", APPENDING)
def test_earlier_turns_are_a_strict_prefix(kind: str) -> None:
    """Prompt and sampled reply of each turn begin the next prompt, token for token."""
    person = Person(kind, 1)
    person.messages.append(ChatMessage("system", "You are Aoi."))
    known: list[int] = []
    for number in range(5):
        turn = person.ask(f"What is it, {number}?")
        assert turn.rerendered is None
        assert turn.log.token_ids[: len(known)] == known
        assert len(turn.log.token_ids) > len(known)
        person.reply("It is a fox.", end=False)
        known = person.log.token_ids
        if kind in ("llama2", "plain"):  # they write a space that this reply did not begin with
            known = known[: turn.log.num_prompt_tokens]


def test_a_reply_that_begins_with_its_templates_space_is_kept() -> None:
    """The text of such a reply has no space, its tokens have, and so has the template."""
    person = Person("llama2", 1)
    person.ask("Hello")
    ids = person.tokenizer.encode_plain("It is a fox.")
    assert person.tokenizer.decode(ids) == "It is a fox."
    person.log = person.log.with_reply(ids, person.tokenizer)
    known = person.log.token_ids
    person.messages.append(ChatMessage("assistant", "It is a fox."))
    assert person.ask("Really?").log.token_ids[: len(known)] == known


@pytest.mark.parametrize("kind", ["demo", "chatml", "qwen3"])
def test_the_sampled_end_token_is_kept_once(kind: str) -> None:
    """It stands both in the reply and in the template."""
    person = Person(kind, 2)
    person.ask("Hello")
    person.reply("Hi.", end=True)
    if person.log.token_ids[-1] != person.tokenizer.token_to_id("<|im_end|>"):
        pytest.skip("the model ends its replies otherwise")
    known = person.log.token_ids
    turn = person.ask("And you?")
    assert turn.log.token_ids[: len(known)] == known
    assert turn.log.token_ids == person.tokenizer.encode_chat(person.messages)


def test_a_reply_keeps_the_tokens_that_were_heard() -> None:
    """The rest of what was heard is encoded behind them."""
    tokenizer = KINDS["chatml"]
    log = encode_turn(TokenLog(), [ChatMessage("user", "a")], tokenizer).log
    sampled = [*tokenizer.encode_plain("Hello there! "), *tokenizer.encode_plain("How are you")]
    heard = [ChatMessage("user", "a"), ChatMessage("assistant", "Hello there! Ho")]
    turn = encode_turn(
        log.with_reply(sampled, tokenizer), [*heard, ChatMessage("user", "b")], tokenizer
    )
    first = len(log.token_ids) + len(tokenizer.encode_plain("Hello there! "))
    assert turn.num_kept >= first
    assert turn.rerendered is None
    assert "there! Ho<|im_end|>" in tokenizer.decode(turn.log.token_ids, skip_special_tokens=False)


@pytest.mark.parametrize(
    ("messages", "reason"),
    [
        ([ChatMessage("system", "t"), ChatMessage("user", "a")], "instructions"),
        ([ChatMessage("system", "s"), ChatMessage("user", "b")], "edited"),
        ([ChatMessage("system", "s")], "edited"),
        ([ChatMessage("system", "s"), ChatMessage("user", "a")], None),
    ],
)
def test_it_says_why_known_ids_were_given_up(
    messages: list[ChatMessage], reason: str | None
) -> None:
    """So that somebody can count it."""
    first = [ChatMessage("system", "s"), ChatMessage("user", "a")]
    log = encode_turn(TokenLog(), first, FAKE).log.with_reply([ord("x")], FAKE)
    assert encode_turn(log, [*messages, ChatMessage("assistant", "x")], FAKE).rerendered == reason


def test_a_template_that_moves_the_system_text_is_found_out() -> None:
    """What was said is written otherwise; the reason is the template's."""
    person = Person("mistral", 3)
    person.messages.append(ChatMessage("system", "You are Aoi."))
    person.ask("Hello")
    person.reply("Hi.")
    assert person.ask("Well?").rerendered == "template"


def test_a_reply_that_said_nothing_is_no_fault_of_anybody() -> None:
    """A reply that was called off before its first word leaves only its opening behind."""
    person = Person("chatml", 4)
    person.ask("Hello")
    turn = person.ask("Are you there?")
    assert turn.rerendered is None
    assert turn.num_kept > 0
