"""What may be computed before a reply is asked for."""

from __future__ import annotations

import pytest

from engine.chat_template import ChatMessage
from server.conversation.eager import certain_ids, stable_part
from server.conversation.memory import Memory, recall
from tests.support.tokenizers import one_of_each_kind

KINDS = one_of_each_kind()
SYSTEM = ChatMessage("system", "You are Aoi, a student.")
DRAFT = "Hello there! How are you today? I am fine, thank you very much. こんにちは。今日は"


def certain(kind: str, messages: list[ChatMessage], draft: str = "") -> list[int]:
    """With much room and no past."""
    return certain_ids(
        Memory(), messages, KINDS[kind], max_prompt_tokens=5000, truncation="auto", draft=draft
    )


def prompt(kind: str, *texts: str) -> list[int]:
    """What is asked for in the end."""
    messages = [SYSTEM, *(ChatMessage("user", text) for text in texts)]
    return recall(Memory(), messages, KINDS[kind], max_prompt_tokens=5000).token_ids


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_is_certain_without_the_opening_of_a_reply(kind: str) -> None:
    """It begins the prompt, and nearly fills it."""
    ids = certain(kind, [SYSTEM, ChatMessage("user", "Hello there!")])
    whole = prompt(kind, "Hello there!")
    assert whole[: len(ids)] == ids
    assert 0 < len(whole) - len(ids) <= 12 or kind.startswith("llama2")


@pytest.mark.parametrize("kind", KINDS)
def test_a_note_behind_a_message_is_certain_with_it(kind: str) -> None:
    """It is there before a reply is asked for."""
    messages = [SYSTEM, ChatMessage("user", "Hello there!"), ChatMessage("system", "It is dark.")]
    ids = certain(kind, messages)
    whole = recall(Memory(), messages, KINDS[kind], max_prompt_tokens=5000).token_ids
    assert whole[: len(ids)] == ids
    assert "It is dark" in KINDS[kind].decode(ids)


@pytest.mark.parametrize("kind", ["chatml"])
def test_a_message_is_certain_whatever_follows(kind: str) -> None:
    """A second message of the user goes on behind it."""
    ids = certain(kind, [SYSTEM, ChatMessage("user", "Hello there!")])
    assert prompt(kind, "Hello there!", "Are you there?")[: len(ids)] == ids


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_certain_of_a_draft_begins_what_is_said(kind: str) -> None:
    """However far it has come."""
    whole = prompt(kind, DRAFT)
    most = 0
    for end in range(1, len(DRAFT)):
        ids = certain(kind, [SYSTEM], DRAFT[:end])
        assert whole[: len(ids)] == ids
        most = max(most, len(ids))
    assert most > len(prompt(kind, "x"))


@pytest.mark.parametrize(
    ("draft", "stable"),
    [("", ""), ("Hel", ""), ("Hello the", "Hello"), ("今日はいい天気", "今日は"), ("今日", "")],
)
def test_the_last_word_is_not_stable(draft: str, stable: str) -> None:
    """Without spaces the last few characters are not."""
    assert stable_part(draft) == stable
