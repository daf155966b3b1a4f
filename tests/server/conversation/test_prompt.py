"""Messages in, a prompt that fits out."""

from __future__ import annotations

import itertools
import random
from collections.abc import Sequence

import pytest

from engine.chat_template import ChatMessage, Role
from engine.tool_dialect import HERMES, Tool, ToolCall, ToolDialect
from server.conversation.prompt import build_prompt
from server.errors import PromptDoesNotFit
from server.protocol.objects import RetentionRatio, TokenLimits, TruncationSetting


class WordTokenizer:
    """One token per character, two around each message; remembers what it rendered."""

    def __init__(self) -> None:
        self.rendered: list[list[ChatMessage]] = []
        self._results: list[list[int]] = []

    @property
    def tool_dialect(self) -> ToolDialect:
        return HERMES

    def encode_chat(
        self,
        messages: Sequence[ChatMessage],
        *,
        tools: Sequence[Tool] = (),
        add_generation_prompt: bool = True,
    ) -> list[int]:
        self.rendered.append(list(messages))
        self._results.append([0] * sum(len(message.content) + 2 for message in messages) + [1])
        return self._results[-1]

    def encode_plain(self, text: str) -> list[int]:
        return [0] * len(text)

    def messages_of(self, token_ids: list[int]) -> list[ChatMessage]:
        """What was rendered to just these tokens."""
        index = next(i for i, result in enumerate(self._results) if result is token_ids)
        return self.rendered[index]


def system(size: int = 10) -> ChatMessage:
    """A system message."""
    return ChatMessage("system", "s" * size)


def turns(count: int, size: int = 8) -> list[ChatMessage]:
    """Questions and answers, numbered."""
    messages = []
    for number in range(count):
        messages.append(ChatMessage("user", f"u{number}".ljust(size, ".")))
        messages.append(ChatMessage("assistant", f"a{number}".ljust(size, ".")))
    return messages


def kept(
    messages: list[ChatMessage], limit: int, truncation: TruncationSetting = "auto"
) -> list[str]:
    """Build a prompt; return the first letters of what stayed."""
    tokenizer = WordTokenizer()
    prompt = build_prompt(messages, tokenizer, max_prompt_tokens=limit, truncation=truncation)
    stayed = tokenizer.messages_of(prompt.token_ids)
    assert len(prompt.token_ids) <= limit
    assert prompt.num_dropped_messages == len(messages) - len(stayed)
    return [message.content.rstrip(".")[:4] for message in stayed]


NEWEST = ChatMessage("user", "newest")


def test_what_fits_is_tokenised_once_and_whole() -> None:
    """The usual case costs one call."""
    tokenizer = WordTokenizer()
    prompt = build_prompt([system(), *turns(3), NEWEST], tokenizer, max_prompt_tokens=1000)
    assert prompt.num_dropped_messages == 0
    assert len(tokenizer.rendered) == 1


def test_the_oldest_turns_go_first_and_whole() -> None:
    """The first message after the system text is a user's, and the newest stays."""
    stayed = kept([system(), *turns(10), NEWEST], 120)
    assert stayed[0] == "ssss"
    assert stayed[1].startswith("u")
    assert stayed[-1] == "newe"
    assert stayed[-2] == "a9"


def test_a_full_ratio_drops_as_little_as_possible() -> None:
    """With a ratio of 1, one more turn would not have fitted."""
    ratio = RetentionRatio(retention_ratio=1.0)
    stayed = kept([system(), *turns(10), NEWEST], 100, ratio)
    assert stayed == ["ssss", "u7", "a7", "u8", "a8", "u9", "a9", "newe"]


def test_a_low_ratio_keeps_less() -> None:
    """The lower the ratio, the more room is won at once."""
    messages = [system(), *turns(40), NEWEST]
    sizes = [
        len(kept(messages, 400, RetentionRatio(retention_ratio=ratio))) for ratio in (1.0, 0.8, 0.3)
    ]
    assert sizes[0] >= sizes[1] > sizes[2]


def test_the_cut_stays_while_the_conversation_goes_on() -> None:
    """The prefix cache lives on the beginning: it moves much more rarely than turns are added."""
    beginnings = [
        tuple(kept([system(), *turns(count), NEWEST], 600, "auto")[:2]) for count in range(40, 80)
    ]
    moves = sum(before != after for before, after in zip(beginnings, beginnings[1:], strict=False))
    assert 1 <= moves <= 40 // 4


def test_the_greeting_goes_last() -> None:
    """It stays beside dropped turns while it fits, and goes when it does not."""
    greeting = ChatMessage("assistant", "greeting")
    messages = [system(), greeting, *turns(10), NEWEST]
    assert kept(messages, 60)[:2] == ["ssss", "gree"]
    assert kept(messages, 22) == ["ssss", "newe"]


def test_disabled_truncation_refuses_with_numbers() -> None:
    """The client that wants no truncation hears how much is too much."""
    with pytest.raises(PromptDoesNotFit) as caught:
        kept([system(), *turns(10), NEWEST], 100, "disabled")
    assert caught.value.code == "context_length_exceeded"
    assert (caught.value.length, caught.value.limit) == ("221 tokens", 100)
    assert "221" in caught.value.message
    assert "truncation to 'auto'" in caught.value.message


def test_instructions_that_leave_no_room_are_refused() -> None:
    """Nothing can be dropped any more: the message says what to shorten."""
    with pytest.raises(PromptDoesNotFit, match="shorten the instructions or the message"):
        kept([system(200), *turns(3), NEWEST], 100)


def test_post_instructions_bounds_what_follows_the_system_text() -> None:
    """The lower of the two limits holds."""
    bounded = RetentionRatio(retention_ratio=1.0, token_limits=TokenLimits(post_instructions=40))
    free = RetentionRatio(retention_ratio=1.0)
    messages = [system(50), *turns(10), NEWEST]
    assert len(kept(messages, 150, bounded)) < len(kept(messages, 150, free))


def test_a_conversation_without_a_user_is_a_prompt_too() -> None:
    """A character may speak first."""
    assert kept([system()], 100) == ["ssss"]
    assert kept([ChatMessage("assistant", "greeting")], 100) == ["gree"]


def test_what_is_far_too_long_is_not_tokenised_whole() -> None:
    """A history of a megabyte costs no more than the context holds, many times over."""
    tokenizer = WordTokenizer()
    build_prompt([system(), *turns(2000, 500), NEWEST], tokenizer, max_prompt_tokens=2000)
    longest = max(sum(len(message.content) for message in done) for done in tokenizer.rendered)
    assert longest <= 2000 * 16
    assert len(tokenizer.rendered) <= 12


def any_conversation(rng: random.Random) -> list[ChatMessage]:
    """Roles in any order, a user's message last."""
    roles: list[Role] = [
        rng.choice(["user", "assistant", "system"]) for _ in range(rng.randrange(20))
    ]
    return [
        ChatMessage(role, f"{role[0]}{number}" + "x" * rng.randrange(60))
        for number, role in enumerate([*roles, "user"])
    ]


def test_any_conversation_fits_or_is_refused_for_cause() -> None:
    """It is refused when system text and newest message are too much, and only then.

    Otherwise both stay, the limit holds, and no answer is left without its question.
    """
    rng = random.Random(13)
    for _ in range(500):
        messages = any_conversation(rng)
        limit = rng.randrange(20, 300)
        ratio = RetentionRatio(retention_ratio=rng.choice([0.2, 0.5, 1.0]))
        truncation: TruncationSetting = "auto" if rng.random() < 0.5 else ratio
        tokenizer = WordTokenizer()
        system_texts = list(itertools.takewhile(lambda message: message.role == "system", messages))
        fixed = [*system_texts, messages[-1]]
        if len(tokenizer.encode_chat(fixed)) > limit:
            with pytest.raises(PromptDoesNotFit):
                build_prompt(messages, tokenizer, max_prompt_tokens=limit, truncation=truncation)
            continue
        prompt = build_prompt(messages, tokenizer, max_prompt_tokens=limit, truncation=truncation)
        stayed = tokenizer.messages_of(prompt.token_ids)
        assert len(prompt.token_ids) <= limit
        assert len(stayed) == len(messages) - prompt.num_dropped_messages
        assert stayed[: len(system_texts)] == system_texts
        assert stayed[-1] is messages[-1]
        question = None
        for message in messages:
            if message.role == "user":
                question = message
            elif message.role == "assistant" and message in stayed:
                assert question is None or question in stayed


def test_replies_without_end_to_one_message_go_from_the_oldest() -> None:
    """However often a model is asked to go on, it can be asked once more."""
    replies = [ChatMessage("assistant", f"r{number}".ljust(8, ".")) for number in range(30)]
    greeting = ChatMessage("assistant", "greeting")
    stayed = kept([system(), greeting, *turns(2), NEWEST, *replies], 150)
    assert stayed[:2] == ["ssss", "newe"]
    assert stayed[2:] == [f"r{number}" for number in range(32 - len(stayed), 30)]
    assert len(stayed) > 8


def test_the_cut_among_replies_stays_while_more_come() -> None:
    """So that most of them find the prefix cache warm."""
    replies = [ChatMessage("assistant", f"r{number:03}".ljust(10, ".")) for number in range(200)]
    firsts = [kept([system(), NEWEST, *replies[:count]], 500)[2] for count in range(60, 200)]
    assert len(set(firsts)) < 20


def test_a_call_stays_with_its_result_when_replies_go() -> None:
    """A result that nobody asked for would be refused by templates."""
    call = ToolCall("call_1", "look", "{}")
    chained = [
        ChatMessage("assistant", "I look", tool_calls=(call,)),
        ChatMessage("tool", "result"),
        ChatMessage("assistant", "seen"),
    ]
    more = [ChatMessage("assistant", f"r{number}") for number in range(4)]
    for limit in range(20, 80):
        stayed = kept([NEWEST, *chained, *more], limit)
        assert ("I lo" in stayed) == ("resu" in stayed) == ("seen" in stayed)


@pytest.mark.parametrize("truncation", ["disabled", "auto"])
def test_what_cannot_fit_is_refused_untokenised(truncation: TruncationSetting) -> None:
    """A megabyte that must stay costs no more than the counting of its characters."""
    tokenizer = WordTokenizer()
    huge = [system(), *turns(4, 10), ChatMessage("user", "x" * 2**20)]
    with pytest.raises(PromptDoesNotFit, match="characters"):
        build_prompt(huge, tokenizer, max_prompt_tokens=2000, truncation=truncation)
    assert not tokenizer.rendered
