"""Lore in a conversation that outgrows its context: always read, at most twice."""

from __future__ import annotations

import random

import pytest

from engine.chat_template import ChatMessage
from engine.tokenizer import Tokenizer
from server.config.shipped import DEMO_MODEL
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry
from server.conversation.memory import Memory, compact, recall
from server.conversation.said import length_behind, questions, spoken
from server.lore.lore import Lore
from server.lore.note import NoteWriter
from server.lore.scene import Scene
from server.protocol.items import ContentPart, MessageItem, Role
from tests.support.lore import book, entry

WORDS = ("mill", "harbour", "ferry", "chapel", "lamp", "island", "baker", "storm")
SYSTEM = ChatMessage("system", "You are Aoi, a student.")
TOKENIZER = Tokenizer.from_folder(DEMO_MODEL)
INSTRUCTIONS = "Be brief, Aoi."


def message(item_id: str, text: str, role: Role = "user") -> Entry:
    """One message as an entry."""
    item = MessageItem(id=item_id, role=role, content=[ContentPart(type="text", text=text)])
    return Entry(item, [text] if role == "assistant" else [], num_bytes=len(text.encode()))


class Visit:
    """A conversation as a session holds it."""

    def __init__(self, limit: int) -> None:
        entries = [entry(f"The {word} of {word}ton.", word) for word in WORDS]
        self.writer = NoteWriter(Lore([book(*entries, scan_depth=1)], seed=1))
        self.conversation = Conversation("c", max_items=30, max_bytes=4000)
        self.memory, self.limit, self.turn, self.num_read = Memory(), limit, 0, 0

    def ask(self, text: str) -> str:
        """Say something; returns what the model reads."""
        self.turn += 1
        asked, said = message(f"i{self.turn}", text), self.conversation
        standing = questions(said.entries, self.num_read)
        scene = Scene(
            said=spoken([*said.entries, asked]),
            item_id=asked.id,
            turn=self.turn,
            standing=standing,
        )
        stands_at = self.writer.post_history.item_id
        asked.add_note(
            self.writer.compose(
                scene,
                instructions=INSTRUCTIONS,
                num_read_since=length_behind([*said.entries, asked], stands_at),
            )
        )
        said.make_room(asked, keep=None, evict=True)
        said.insert(asked, None)
        messages = [SYSTEM, *said.messages()]
        built = recall(self.memory, messages, TOKENIZER, max_prompt_tokens=self.limit)
        self.memory = built.memory
        return TOKENIZER.decode(built.token_ids)

    def answer(self, text: str) -> None:
        """Have it answered, and now and then compacted."""
        ids = TOKENIZER.encode_marked("x" + text, 1)
        self.memory = self.memory.with_reply(ids, TOKENIZER)
        reply = message(f"r{self.turn}", text, "assistant")
        self.conversation.make_room(reply, keep=None, evict=True)
        self.conversation.insert(reply, None)
        self.conversation.check_integrity()
        self.num_read = self.memory.lasting_turns(self.limit)

    def compact(self) -> None:
        """Forget about half."""
        messages = [SYSTEM, *self.conversation.messages()]
        left = compact(self.memory, messages, TOKENIZER, share=0.5)
        if left is not None:
            self.memory, self.num_read = left, left.lasting_turns(self.limit)


@pytest.mark.parametrize("seed", range(8))
def test_what_comes_up_is_read_however_much_is_forgotten(seed: int) -> None:
    """Dropped turns, evicted items and compaction take notes along, and they come up again.

    It may be there twice where it stood in the part that the next cut might have taken.
    """
    draw, visit = random.Random(seed), Visit(limit=420)
    for _ in range(25):
        said = draw.sample(WORDS, draw.randrange(3))
        read = visit.ask(
            f"What of {' and '.join(said) or 'it'}? " + "So I ask. " * draw.randrange(4)
        )
        for word in WORDS:
            assert read.count(f"The {word} of {word}ton.") <= 2
        for word in said:
            assert f"The {word} of {word}ton." in read
        assert INSTRUCTIONS in read
        visit.answer("It is a fox. " * draw.randrange(1, 5))
        if draw.random() < 0.2:
            visit.compact()
