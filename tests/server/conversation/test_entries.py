"""Notes stand behind their items, and the next prompt begins with the last one all the same."""

from __future__ import annotations

import random

import pytest

from engine.chat_template import CHATML, PLAIN, ChatMessage
from engine.tokenizer import Tokenizer
from engine.tool_dialect import ToolCall
from server.config.shipped import DEMO_MODEL
from server.conversation.conversation import Conversation
from server.conversation.entries import Entry, count_bytes, join_notes, render_messages
from server.conversation.memory import Memory, compact, recall
from server.conversation.said import questions
from server.protocol.items import (
    ContentPart,
    FunctionCallItem,
    FunctionCallOutputItem,
    MessageItem,
    Role,
)
from tests.support.chat_templates import GATHERING, LLAMA3, MISTRAL, QWEN3, SYSTEM_FIRST
from tests.support.tokenizers import byte_level_backend, metaspace_backend, one_of_each_kind

CHATML_NAMES = {"eos_token": "<|im_end|>", "bos_token": "<|im_start|>"}
LLAMA_NAMES = {"bos_token": "<s>", "eos_token": "</s>"}
KINDS: dict[str, Tokenizer] = {
    "demo": Tokenizer.from_folder(DEMO_MODEL),
    **one_of_each_kind(),
    "qwen3": Tokenizer(byte_level_backend(), named_tokens=CHATML_NAMES, template=QWEN3),
    "llama3": Tokenizer(byte_level_backend(), named_tokens=CHATML_NAMES, template=LLAMA3),
    "system_first": Tokenizer(
        byte_level_backend(), named_tokens=CHATML_NAMES, template=SYSTEM_FIRST
    ),
    "gathering": Tokenizer(byte_level_backend(), named_tokens=CHATML_NAMES, template=GATHERING),
    "fallback": Tokenizer(byte_level_backend(), template=CHATML),
    "mistral": Tokenizer(metaspace_backend(), named_tokens=LLAMA_NAMES, template=MISTRAL),
    "plain": Tokenizer(metaspace_backend(strip=False), template=PLAIN),
}
SYSTEM = ChatMessage("system", "You are Aoi, a student.")


def message(item_id: str, text: str = "hi", role: Role = "user") -> Entry:
    """One message as an entry."""
    item = MessageItem(id=item_id, role=role, content=[ContentPart(type="text", text=text)])
    raw = [text] if role == "assistant" else []
    return Entry(item, raw, num_bytes=len(text.encode()))


def make(max_bytes: int = 100_000) -> Conversation:
    """An empty conversation."""
    return Conversation("conv_t", max_items=500, max_bytes=max_bytes)


def test_a_note_is_read_right_behind_its_item() -> None:
    """As system text; the item itself shows nothing of it."""
    asked = message("a", "who is there?")
    asked.add_note("The door is open.")
    assert render_messages([asked, message("b", "me", "assistant")]) == [
        ChatMessage("user", "who is there?"),
        ChatMessage("system", "The door is open."),
        ChatMessage("assistant", "me"),
    ]
    assert asked.words == "who is there?"


def test_notes_of_an_item_are_joined_and_counted() -> None:
    """By an empty line, in bytes."""
    entry = message("a", "hi")
    entry.add_note("é")
    entry.add_note("")
    entry.add_note("b")
    assert entry.note == join_notes("é", "b") == "é\n\nb"
    assert entry.num_bytes == 2 + 5


def test_recounting_an_item_keeps_its_note() -> None:
    """What is said may change, the note behind it does not."""
    entry = message("a", "hi")
    entry.add_note("note")
    entry.recount(10)
    assert entry.num_bytes == 14


def test_calls_belong_to_the_words_before_them() -> None:
    """But for those that broke off; a result knows its call's name, and has its own note."""
    call = FunctionCallItem(id="f", name="look", arguments='{"at": 1}', call_id="c")
    broken = FunctionCallItem(id="g", name="look", arguments="{", call_id="d", status="incomplete")
    result = Entry(FunctionCallOutputItem(id="o", call_id="c", output="a fox"))
    result.add_note("It is dusk.")
    entries = [message("a", "Wait.", "assistant"), Entry(call), Entry(broken), result]
    calls = (ToolCall("c", "look", '{"at": 1}'),)
    assert render_messages(entries) == [
        ChatMessage("assistant", "Wait.", calls),
        ChatMessage("tool", "a fox", (), "c", "look"),
        ChatMessage("system", "It is dusk."),
    ]
    assert render_messages([Entry(call)]) == [ChatMessage("assistant", "", calls)]
    assert entries[1].words == ""
    assert not entries[1].is_in_progress


def test_calls_and_results_count_by_their_texts() -> None:
    """In bytes."""
    call = FunctionCallItem(id="f", name="look", arguments="{}", call_id="c")
    assert count_bytes(call) == len("look{}c")
    assert count_bytes(FunctionCallOutputItem(id="o", call_id="c", output="é")) == 3


def test_an_item_without_words_shows_its_note_alone() -> None:
    """The note was put there to be read."""
    silent = message("a", "")
    silent.add_note("The door opens.")
    assert render_messages([silent, message("b", "")]) == [ChatMessage("system", "The door opens.")]


def test_a_reply_goes_on_only_behind_the_one_that_it_goes_on_with() -> None:
    """With that taken out, emptied, or something between, it stands for itself."""
    first, other = message("a", "I like ", "assistant"), message("b", "Well. ", "assistant")
    rest = message("c", "cats.", "assistant")
    rest.continues = "a"
    empty = message("a", "", "assistant")
    for entries, said in (
        ([first, rest], ["I like cats."]),
        ([other, first, rest], ["Well. ", "I like cats."]),
        ([other, rest], ["Well. ", "cats."]),
        ([first, other, rest], ["I like ", "Well. ", "cats."]),
        ([other, empty, rest], ["Well. ", "cats."]),
        ([first, message("u", "Oh?"), rest], ["I like ", "Oh?", "cats."]),
    ):
        assert [message.content for message in render_messages(entries)] == said


class Talk:
    """A conversation whose model says what the test wants."""

    def __init__(self, kind: str) -> None:
        self.tokenizer = KINDS[kind]
        self.conversation = make()
        self.memory = Memory()
        self.num_items = 0

    def ask(self, text: str, note: str, limit: int = 50_000) -> list[int]:
        """Say something, note something, and return the prompt."""
        self.num_items += 1
        self.conversation.insert(message(f"i{self.num_items}", text), None)
        self.conversation.add_note(note)
        built = recall(self.memory, self.messages, self.tokenizer, max_prompt_tokens=limit)
        self.memory = built.memory
        return built.token_ids

    def reply(self, text: str) -> list[int]:
        """Have it answered; returns the prompt with the sampled reply."""
        ids = self.tokenizer.encode_marked("x" + text, 1)  # no space that a tokenizer puts first
        self.memory = self.memory.with_reply(ids, self.tokenizer)
        self.num_items += 1
        self.conversation.insert(message(f"i{self.num_items}", text, "assistant"), None)
        self.conversation.check_integrity()
        return self.memory.log.token_ids

    @property
    def messages(self) -> list[ChatMessage]:
        """What the model reads."""
        return [SYSTEM, *self.conversation.messages()]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "mistral"])
def test_each_prompt_begins_with_the_last_prompt_and_reply(kind: str) -> None:
    """Token for token, whatever a template makes of system text in the middle."""
    talk = Talk(kind)
    known: list[int] = []
    for number in range(6):
        note = f"Lore {number}: the fox lives here." if number % 3 != 2 else ""
        prompt = talk.ask(f"What is it, {number}?", note)
        assert prompt[: len(known)] == known
        said = talk.tokenizer.decode(prompt)
        assert said.count("the fox lives here") == len([n for n in range(number + 1) if n % 3 != 2])
        known = talk.reply("It is a fox.")
        if kind == "plain" or kind.startswith(
            "llama2"
        ):  # they write a space that this reply did not begin with
            known = prompt


def test_a_template_that_moves_system_text_still_has_each_note_once() -> None:
    """Mistral's writes it into the newest message; little can be kept, and nothing may be lost."""
    talk = Talk("mistral")
    for number in range(3):
        prompt = talk.ask(f"What is it, {number}?", f"Lore {number}: a fox.")
        text = talk.tokenizer.decode(prompt)
        assert [text.count(f"Lore {n}: a fox.") for n in range(number + 1)] == [1] * (number + 1)
        talk.reply("It is a fox.")


@pytest.mark.parametrize("kind", ["demo", "gemma", "gathering", "system_first", "llama2"])
def test_a_reply_of_which_nothing_was_heard_costs_no_note(kind: str) -> None:
    """The next question goes on behind the note."""
    talk = Talk(kind)
    first = talk.ask("Hello there!", "The door is open.")
    second = talk.ask("Are you there?", "")
    text = talk.tokenizer.decode(first, skip_special_tokens=False)
    end = text.index("door is open.") + len("door is open.")
    assert talk.tokenizer.decode(second, skip_special_tokens=False).startswith(text[:end])


def test_a_note_leaves_the_context_with_its_turn() -> None:
    """Dropped turns take their notes along, and the count of turns says which are left."""
    talk = Talk("demo")
    for number in range(30):
        limit = 400
        prompt = talk.ask(f"What is it, {number}?", f"Lore {number}.", limit)
        read = talk.tokenizer.decode(prompt)
        kept = questions(talk.conversation.entries, talk.memory.num_turns)
        numbers = [(int(item_id[1:]) - 1) // 2 for item_id in kept]
        assert [n for n in range(number + 1) if f"Lore {n}." in read] == numbers
        talk.reply("It is a fox.")
    assert len(numbers) < 30


def test_compaction_takes_notes_along() -> None:
    """What is left begins with a whole turn."""
    talk = Talk("demo")
    for number in range(10):
        talk.ask(f"What is it, {number}?", f"Lore {number}.")
        talk.reply("It is a fox.")
    left = compact(talk.memory, talk.messages, talk.tokenizer, share=0.5)
    assert left is not None
    assert left.log.messages[1].role == "user"
    kept = [m.content for m in left.log.messages[1:] if m.role == "system"]
    assert kept == [f"Lore {number}." for number in range(10 - left.num_turns, 10)]


@pytest.mark.parametrize("seed", range(20))
def test_any_history_keeps_the_books(seed: int) -> None:
    """Insert, note, delete, truncate, finish and evict in any order."""
    draw = random.Random(seed)
    conversation = make(max_bytes=400)
    for number in range(60):
        ids = conversation.item_ids
        match draw.randrange(4):
            case 0 | 1:
                role: Role = draw.choice(["user", "assistant"])
                entry = message(f"n{number}", "é" * draw.randrange(1, 9), role)
                if draw.random() < 0.5:
                    entry.add_note("n" * draw.randrange(1, 30))
                conversation.make_room(entry, keep=None, evict=True)
                conversation.insert(entry, None)
            case 2 if ids:
                chosen = conversation.entry(draw.choice(ids)).item
                assert isinstance(chosen, MessageItem)
                if chosen.role == "assistant" and draw.random() < 0.7:
                    if draw.random() < 0.5:
                        conversation.truncate(chosen.id or "", 0, 0)
                    else:
                        conversation.finish_reply(chosen, "finished")
                else:
                    conversation.delete(chosen.id or "")
            case _ if conversation.num_bytes < 300:
                conversation.add_note("w" * draw.randrange(0, 40))
        conversation.check_integrity()
        assert conversation.num_bytes <= 400
