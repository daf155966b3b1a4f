"""What a model reads no more stays left out, and everything else goes on where it was."""

from __future__ import annotations

from engine.chat_template import ChatMessage
from server.conversation.memory import Memory, Recollection, about_to_go, compact, recall
from server.protocol.objects import TruncationSetting
from tests.support.fake_engine import FakeTokenizer

TOKENIZER = FakeTokenizer()
SYSTEM = ChatMessage("system", "persona")


def turns(count: int, *, first: int = 0) -> list[ChatMessage]:
    """Questions and answers of ten characters each."""
    return [
        ChatMessage(role, f"{role[0]}{number:02d}".ljust(10, "."))
        for number in range(first, first + count)
        for role in ("user", "assistant")
    ]


def build(
    memory: Memory,
    messages: list[ChatMessage],
    limit: int,
    truncation: TruncationSetting = "auto",
    summary: str = "",
) -> Recollection:
    """Recall with this much room."""
    return recall(
        memory,
        messages,
        TOKENIZER,
        max_prompt_tokens=limit,
        truncation=truncation,
        summary=summary,
    )


def text(memory: Memory) -> str:
    """What the model has read."""
    return "".join(map(chr, memory.log.token_ids))


def answered(memory: Memory, answer: str) -> Memory:
    """The memory after a reply."""
    return Memory(memory.log.with_reply([ord(c) for c in answer], TOKENIZER), memory.omission)


NEWEST = ChatMessage("user", "newest")


def test_what_fits_is_appended() -> None:
    """Each prompt begins with the last one and its reply."""
    messages = [SYSTEM, ChatMessage("user", "a")]
    first = build(Memory(), messages, 500)
    memory = answered(first.memory, "Hello.")
    messages += [ChatMessage("assistant", "Hello."), ChatMessage("user", "b")]
    second = build(memory, messages, 500)
    assert second.token_ids[: memory.num_tokens] == memory.log.token_ids
    assert second.rerendered is None


def test_a_cut_is_remembered() -> None:
    """Turns that were dropped stay dropped, so that the next prompt only grows."""
    messages = [SYSTEM, *turns(10), NEWEST]
    first = build(Memory(), messages, 250)
    assert first.memory.omission is not None
    assert "u00" not in text(first.memory)
    memory = answered(first.memory, "ok")
    messages += [ChatMessage("assistant", "ok"), ChatMessage("user", "next")]
    second = build(memory, messages, 250)
    assert second.token_ids[: memory.num_tokens] == memory.log.token_ids
    assert second.memory.omission == first.memory.omission


def test_a_second_cut_adds_to_the_first() -> None:
    """What is left out grows; the reason is told."""
    messages = [SYSTEM, *turns(10), NEWEST]
    first = build(Memory(), messages, 250)
    messages += [ChatMessage("assistant", "ok"), *turns(8, first=20), NEWEST]
    second = build(answered(first.memory, "ok"), messages, 250)
    assert second.rerendered == "dropped"
    assert first.memory.omission is not None
    assert second.memory.omission is not None
    before = first.memory.omission.messages
    assert second.memory.omission.messages[: len(before)] == before
    assert len(second.memory.omission.messages) > len(before)


def test_compacting_leaves_the_oldest_turns_out() -> None:
    """About the share that was asked for stays, and the next turn is appended to it."""
    messages = [SYSTEM, *turns(20)]
    memory = build(Memory(), messages[:-1], 5000).memory
    small = compact(memory, messages, TOKENIZER, share=0.5)
    assert small is not None
    assert 0.4 < small.num_tokens / memory.num_tokens < 0.55
    assert text(small).startswith("<system>persona<user>u")
    after = build(small, [*messages, NEWEST], 5000)
    assert after.token_ids[: small.num_tokens] == small.log.token_ids
    assert after.rerendered is None


def test_a_summary_is_read_in_place_of_what_was_left_out() -> None:
    """After the persona, as system text; a later one takes its place."""
    messages = [SYSTEM, ChatMessage("assistant", "greeting"), *turns(20)]
    small = compact(Memory(), messages, TOKENIZER, share=0.5, summary="They met.")
    assert small is not None
    assert text(small).startswith("<system>persona<system>They met.<assistant>greeting<user>u")
    again = compact(small, messages, TOKENIZER, share=0.5, summary="They met.")
    assert again is not None
    assert "They met." in text(again)
    other = compact(small, messages, TOKENIZER, share=0.5, summary="They met twice.")
    assert other is not None
    assert text(other).count("They met") == 1


def test_another_summary_is_read_with_the_very_next_prompt() -> None:
    """It takes the old one's place, an empty one removes it, and the reason is told."""
    messages = [SYSTEM, *turns(20)]
    small = compact(Memory(), messages, TOKENIZER, share=0.5, summary="They met.")
    assert small is not None
    same = build(small, [*messages, NEWEST], 5000, summary="They met.")
    assert same.rerendered is None
    other = build(same.memory, [*messages, NEWEST], 5000, summary="They parted.")
    assert text(other.memory).startswith("<system>persona<system>They parted.<user>u")
    assert other.rerendered == "summary"
    without = build(other.memory, [*messages, NEWEST], 5000)
    assert text(without.memory).startswith("<system>persona<user>u")
    assert without.rerendered == "summary"


def test_a_summary_waits_until_something_is_left_out() -> None:
    """A conversation that is read whole needs none; with the first cut it is read at once."""
    messages = [SYSTEM, *turns(10), NEWEST]
    whole = build(Memory(), messages, 5000, summary="They met.")
    assert "They met." not in text(whole.memory)
    cut = build(whole.memory, messages, 250, summary="They met.")
    assert text(cut.memory).startswith("<system>persona<system>They met.<user>u")
    assert cut.memory.omission is not None
    assert cut.memory.num_tokens <= 250
    assert cut.rerendered == "dropped"
    again = build(cut.memory, [*messages, *turns(1, first=30), NEWEST], 350, summary="They met.")
    assert (
        again.token_ids[: cut.memory.num_tokens - len("<assistant>")]
        == (cut.token_ids[: -len("<assistant>")])
    )


def test_what_is_about_to_go_is_the_beginning_of_what_was_read() -> None:
    """System text, the summary so far, greeting, and the very turns that compacting leaves out."""
    messages = [SYSTEM, ChatMessage("assistant", "greeting"), *turns(20)]
    small = compact(Memory(), messages, TOKENIZER, share=0.7, summary="They met.")
    assert small is not None
    assert small.omission is not None
    going = about_to_go(small, messages, share=0.5, summary="They met.")
    after = compact(small, messages, TOKENIZER, share=0.5, summary="They met again.")
    assert after is not None
    assert after.omission is not None
    gone = after.omission.messages[len(small.omission.messages) :]
    assert going == [SYSTEM, ChatMessage("system", "They met."), messages[1], *gone]
    read = TOKENIZER.encode_chat(going, add_generation_prompt=False)
    assert small.log.token_ids[: len(read)] == read


def test_nothing_is_about_to_go_where_all_must_stay() -> None:
    """Not even a system text is left to be summed up."""
    assert about_to_go(Memory(), [SYSTEM, *turns(1)], share=0.1) == []


def test_nothing_goes_where_all_must_stay() -> None:
    """One question and its answer cannot be compacted."""
    assert compact(Memory(), [SYSTEM, *turns(1)], TOKENIZER, share=0.1) is None


def test_an_edited_conversation_is_read_whole_again() -> None:
    """Where what was left out has been changed, nothing is left out any more."""
    messages = [SYSTEM, *turns(20)]
    small = compact(Memory(), messages, TOKENIZER, share=0.5)
    assert small is not None
    messages[3] = ChatMessage("user", "something else")
    built = build(small, [*messages, NEWEST], 5000)
    assert built.memory.omission is None
    assert "something else" in text(built.memory)
    assert built.rerendered == "edited"


def test_items_that_are_gone_altogether_change_nothing() -> None:
    """The conversation's own bound takes the oldest items out, which are left out already."""
    messages = [SYSTEM, *turns(20)]
    small = compact(Memory(), messages, TOKENIZER, share=0.5)
    assert small is not None
    built = build(small, [SYSTEM, *messages[5:], NEWEST], 5000)
    assert built.token_ids[: small.num_tokens] == small.log.token_ids


def test_the_number_of_turns_is_what_the_model_reads() -> None:
    """Turns that were left out do not count."""
    assert Memory().num_turns == 0
    built = build(Memory(), [SYSTEM, *turns(10), NEWEST], 250)
    read = text(built.memory)
    assert built.memory.num_turns == sum(f"u{n:02d}" in read for n in range(10)) + 1 < 11


def test_turns_that_the_next_cut_may_take_do_not_last() -> None:
    """All last while there is room; then all but the oldest half of what is read."""
    memory = build(Memory(), [SYSTEM, *turns(10), NEWEST], 1000).memory
    assert memory.lasting_turns(1000) == memory.num_turns == 11
    assert memory.lasting_turns(memory.num_tokens) == 5
    assert memory.lasting_turns(1000, num_reply_tokens=900) == 5
    persona = ChatMessage("system", "p" * 150)
    memory = build(Memory(), [persona, *turns(10), NEWEST], 1000).memory
    assert memory.lasting_turns(memory.num_tokens) == 2
    assert Memory().lasting_turns(100) == 0
