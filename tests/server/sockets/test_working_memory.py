"""What a session's model has read and said changes with its prompts and its own reply alone."""

from __future__ import annotations

from engine.chat_template import ChatMessage
from server.conversation.memory import Memory, recall
from server.sockets.working_memory import WorkingMemory
from tests.support.fake_engine import FakeTokenizer

ROOM = 1000
"""Tokens that a prompt may have."""


def read(*texts: str) -> Memory:
    """A memory of so many messages of the user."""
    messages = [ChatMessage("user", text) for text in texts]
    return recall(Memory(), messages, FakeTokenizer(), max_prompt_tokens=1000).memory


def test_tokens_of_the_reply_that_is_written_are_kept() -> None:
    """Those of others are not, nor those that come after it was called off."""
    told: list[int] = []
    memory = WorkingMemory(told.append)
    memory.begin("resp_1", read("a"), room=ROOM)
    memory.add("resp_1", [1, 2])
    memory.add("resp_2", [3])
    memory.stop("resp_2")
    memory.add("resp_1", [4])
    memory.stop("resp_1")
    memory.add("resp_1", [5])
    assert memory.reply_ids() == [1, 2, 4]
    assert memory.num_tokens == memory.memory.num_tokens + 3


def test_a_new_prompt_takes_the_place_of_all() -> None:
    """Whether a reply begins or the memory was made shorter; what is read is told."""
    told: list[int] = []
    memory = WorkingMemory(told.append)
    memory.begin("resp_1", read("a", "b"), room=ROOM)
    memory.add("resp_1", [1, 2])
    memory.shorten(read("b"))
    memory.add("resp_1", [3])
    assert memory.reply_ids() == []
    assert told == [2, 1]


def test_what_a_long_reply_leaves_no_room_for_does_not_last() -> None:
    """It is told when the reply is whole; of others nothing is."""
    told: list[int] = []
    memory = WorkingMemory(told.append)
    memory.begin("resp_1", read("a" * 300, "b" * 300), room=ROOM)
    memory.add("resp_1", [1] * 900)
    memory.end("resp_2")
    assert told == [2]
    memory.end("resp_1")
    assert told[-1] < 2
