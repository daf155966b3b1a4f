"""The next turn is read ahead, summed up and made shorter while nobody waits for a reply."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from engine.chat_template import ChatMessage
from engine.errors import TemplateRefused
from server.session.effects import Compact, Prepare
from server.sockets.look_ahead import BACKGROUND_PRIORITY, PREPARE_DELAY_S
from tests.server.sockets.desk import PERSONA, REPLY, Desk, desk
from tests.support.fake_engine import FakeEngine, FakeTokenizer


async def test_what_was_prepared_becomes_the_reply() -> None:
    """Only the opening of the reply is left to be appended; the deltas have the reply's name."""
    async with desk() as one:
        one.user("I have something long to tell you.")
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(1)
        ((ahead, prompt),) = [(name, list(ids)) for name, ids in one.engine.prompts.items()]
        assert not one.engine.services[ahead].is_final
        whole = await one.reply()
        assert list(one.engine.prompts) == [ahead]
        assert whole[: len(prompt)] == prompt
        assert whole == one.engine.tokenizer.encode_chat(one.messages[:-1])
        assert one.messages[-1].content == REPLY
        assert one.engine.cancelled == []


async def test_a_reply_that_is_asked_for_at_once_is_not_prepared() -> None:
    """Most programs send both in one breath."""
    async with desk() as one:
        one.user("hi, this is a message of some length")
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(PREPARE_DELAY_S / 2)
        await one.reply()
        assert list(one.engine.prompts) == ["resp_1"]


async def test_what_does_not_fit_the_prompt_is_called_off() -> None:
    """The reply gets a request of its own."""
    async with desk() as one:
        one.user("I have something long to tell you.")
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(1)
        one.messages[-1] = ChatMessage("user", "Never mind what I said before.")
        await one.reply()
        assert one.engine.cancelled == ["sess_1-ahead-1"]
        assert "resp_1" in one.engine.prompts


async def test_a_draft_grows_one_request() -> None:
    """What is stable of it is appended; what is said in the end needs only its last words."""
    async with desk() as one:
        text = (
            "Well, あのね、今日はとてもいい天気だったから、公園まで散歩に行ってきたんだよ。それでね"
        )
        for end in (20, 40):
            one.replies.prepare(Prepare(one.wanted(), text[:end]))
            await asyncio.sleep(1)
        ((ahead, prompt),) = [(name, list(ids)) for name, ids in one.engine.prompts.items()]
        assert len(prompt) > 20
        one.user(text)
        whole = await one.reply()
        assert list(one.engine.prompts) == [ahead]
        assert whole == one.engine.tokenizer.encode_chat(one.messages[:-1])


async def test_a_draft_that_is_changed_begins_anew() -> None:
    """The words before are called off."""
    async with desk() as one:
        for text in (
            "Tomorrow we could go to the park, I",
            "Yesterday I have been to the sea, and",
        ):
            one.replies.prepare(Prepare(one.wanted(), text))
            await asyncio.sleep(1)
        assert one.engine.cancelled == ["sess_1-ahead-1"]
        one.replies.discard()
        assert one.engine.cancelled == ["sess_1-ahead-1", "sess_1-ahead-2"]


async def test_a_prepared_request_that_ends_by_itself_is_forgotten() -> None:
    """The reply is asked for anew, and is told what is wrong."""
    engine = FakeEngine(refuse_with="queue_full")
    async with desk(engine) as one:
        one.user("I have something long to tell you.")
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(1)
        assert engine.num_live == 0
        await one.reply()
        assert one.deltas[-1].error_code == "queue_full"
        assert "resp_1" in engine.prompts


@pytest.mark.parametrize("inline", [0, 10**6])
async def test_a_long_conversation_is_compacted_in_the_background(inline: int) -> None:
    """The shorter prompt is computed behind everybody else's, and the next turn is appended."""
    engine = FakeEngine(max_model_len=1024)
    async with desk(engine, limits__inline_prompt_chars=inline) as one:
        for number in range(6):
            one.user(f"question {number} ".ljust(30, "."))
            one.messages.append(ChatMessage("assistant", f"answer {number} ".ljust(20, ".")))
        one.user("and now?")
        if inline:
            before = await one.reply()
        else:
            one.replies.start(one.wanted(request_id="resp_0"))
            while not one.deltas or one.deltas[-1].finish_reason is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            before = engine.prompts["resp_0"]
            one.messages.append(ChatMessage("assistant", REPLY))
        one.replies.compact(Compact(one.wanted(summary="They talked.")))
        while not one.compacted:  # noqa: ASYNC110
            await asyncio.sleep(0)  # threads know no virtual clock
        ((tokens_before, tokens_after),) = one.compacted
        assert tokens_before == len(before) + len(REPLY)
        assert tokens_after < 0.75 * tokens_before
        ahead = engine.prompts["sess_1-ahead-1"]
        assert engine.services["sess_1-ahead-1"].priority == BACKGROUND_PRIORITY
        assert "<system>They talked.<user>" in "".join(map(chr, ahead))
        if inline:
            one.user("go on")
            assert (await one.reply(summary="They talked."))[: len(ahead)] == ahead
            assert engine.services["resp_2"].priority == 0
            assert one.reasons() == {}


def long_talk(one: Desk, count: int = 6) -> None:
    """Have so much said that something can go."""
    for number in range(count):
        one.user(f"question {number} ".ljust(60, "."))
        one.messages.append(ChatMessage("assistant", f"answer {number} ".ljust(60, ".")))
    one.user("and now?")


class Writer(FakeEngine):
    """Says something else where a summary is asked for."""

    summary = "[happy] They talked about questions."

    def submit(self, request_id: str, *args: Any, **kwargs: Any) -> None:
        reply = self.reply
        if "-summary-" in request_id:
            self.reply = self.summary
        super().submit(request_id, *args, **kwargs)
        self.reply = reply


def summaries(engine: FakeEngine) -> list[str]:
    """Names of the requests that write one."""
    return [name for name in engine.prompts if "-summary-" in name]


@pytest.mark.parametrize("inline", [0, 10**6])
async def test_the_model_sums_up_what_it_will_not_read(inline: int) -> None:
    """In the background and beside the conversation; the next turn goes on from the summary."""
    engine = Writer(max_model_len=2048)
    async with desk(engine, limits__inline_prompt_chars=inline) as one:
        long_talk(one)
        if inline:
            before = await one.reply()
        else:
            one.replies.start(one.wanted(request_id="resp_0"))
            while not one.deltas or one.deltas[-1].finish_reason is None:  # noqa: ASYNC110
                await asyncio.sleep(0)
            before = engine.prompts["resp_0"]
            one.messages.append(ChatMessage("assistant", REPLY))
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        for _ in range(100_000):
            if one.summarised:
                break
            await asyncio.sleep(0)  # threads know no virtual clock
        ((summary, tokens_before, tokens_after),) = one.summarised
        assert summary == "They talked about questions."
        assert tokens_before == len(before) + len(REPLY)
        assert tokens_after < tokens_before
        (name,) = summaries(engine)
        service, params = engine.services[name], engine.params[name]
        assert (service.priority, service.conversation_id) == (BACKGROUND_PRIORITY, "")
        assert (service.tenant, service.listener) == ("mio", None)
        assert (params.temperature, params.max_tokens) == (0.3, 192)
        asked = "".join(map(chr, engine.prompts[name]))
        assert "".join(map(chr, before)).startswith(asked.rpartition("<user>")[0])
        ahead = engine.prompts["sess_1-ahead-1"]
        assert f"<system>{summary}<user>question" in "".join(map(chr, ahead))
        assert one.compacted == []
        assert one.read[-1] < one.read[0]
        if inline:
            one.user("go on")
            assert (await one.reply(summary=summary))[: len(ahead)] == ahead
            assert one.reasons() == {}


async def test_a_reply_calls_a_summary_off() -> None:
    """It begins at once, on what there was; after it the summary is tried again."""
    engine = Writer(max_model_len=2048, step_s=0.01)
    async with desk(engine) as one:
        long_talk(one)
        before = await one.reply()
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(0.05)
        one.user("hurry!")
        after = await one.reply()
        assert engine.cancelled == ["sess_1-summary-1"]
        assert after[: len(before)] == before
        assert one.summarised == []
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(1)
        assert len(one.summarised) == 1


async def test_words_that_are_still_typed_do_not_call_a_summary_off() -> None:
    """Words that were said do: a reply will be asked for."""
    engine = Writer(max_model_len=2048, step_s=0.01)
    async with desk(engine) as one:
        long_talk(one)
        await one.reply()
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(0.05)
        one.replies.prepare(Prepare(one.wanted(), "Well, then I would like to know"))
        await asyncio.sleep(1)
        assert len(one.summarised) == 1
        long_talk(one)
        await one.reply()
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(0.05)
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(1)
        assert engine.cancelled[-1] == "sess_1-summary-2"
        assert len(one.summarised) == 1


async def test_the_next_summary_takes_up_the_last() -> None:
    """It is part of what is read for it."""
    engine = Writer(max_model_len=2048)
    async with desk(engine) as one:
        long_talk(one)
        await one.reply()
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(1)
        ((summary, *_),) = one.summarised
        long_talk(one)
        await one.reply(summary=summary)
        engine.summary = "They talked on."
        one.replies.compact(Compact(one.wanted(summary=summary), writes_summary=True))
        await asyncio.sleep(1)
        asked = "".join(map(chr, engine.prompts["sess_1-summary-2"]))
        assert asked.startswith(f"<system>{PERSONA}<system>{summary}<user>")
        assert [news[0] for news in one.summarised] == [summary, "They talked on."]


@pytest.mark.parametrize("summary", ["", "[happy]"])
async def test_an_empty_summary_leaves_the_old_one(summary: str) -> None:
    """The conversation is compacted all the same."""
    engine = Writer(max_model_len=2048)
    engine.summary = summary
    async with desk(engine) as one:
        long_talk(one)
        await one.reply()
        one.replies.compact(Compact(one.wanted(summary="They met."), writes_summary=True))
        await asyncio.sleep(1)
        assert one.summarised == []
        assert len(one.compacted) == 1
        assert "<system>They met.<user>" in "".join(map(chr, engine.prompts["sess_1-ahead-1"]))


async def test_a_summary_that_says_too_much_is_not_read() -> None:
    """What it would take the place of is shorter."""
    engine = Writer(max_model_len=2048, obeys_max_tokens=False)
    engine.summary = "x" * 2000
    async with desk(engine) as one:
        long_talk(one)
        await one.reply()
        one.replies.compact(Compact(one.wanted(summary="They met."), writes_summary=True))
        await asyncio.sleep(1)
        assert one.summarised == []
        assert len(one.compacted) == 1


async def test_a_summary_that_is_refused_leaves_the_old_one() -> None:
    """As where the engine's queue is full."""
    engine = Writer(max_model_len=2048)
    async with desk(engine) as one:
        long_talk(one)
        await one.reply()
        engine.refuse_with = "queue_full"
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(1)
        assert one.summarised == []
        assert len(one.compacted) == 1


async def test_a_server_that_drains_writes_no_summary() -> None:
    """It could not stop before that had ended."""
    engine = Writer(max_model_len=2048)
    async with desk(engine) as one:
        long_talk(one)
        await one.reply()
        one.state.is_draining = True
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        assert summaries(engine) == []
        assert len(one.compacted) == 1


async def test_leaving_calls_a_summary_off() -> None:
    """Nobody will read it."""
    engine = Writer(max_model_len=2048, step_s=0.01)
    async with desk(engine) as one:
        long_talk(one)
        await one.reply()
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(0.05)
        one.replies.close()
        assert engine.cancelled == ["sess_1-summary-1"]


async def test_an_edited_summary_is_read_with_the_next_prompt() -> None:
    """And is counted by a reason of its own."""
    engine = Writer(max_model_len=2048)
    async with desk(engine) as one:
        long_talk(one)
        await one.reply()
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(1)
        one.user("go on")
        prompt = await one.reply(summary="They quarrelled.")
        text = "".join(map(chr, prompt))
        assert text.startswith(f"<system>{PERSONA}<system>They quarrelled.<user>")
        assert engine.summary not in text
        assert one.reasons() == {"summary": 1}


class Strict(FakeTokenizer):
    """Renders everything but the instruction."""

    def mark_chat(self, messages: Sequence[ChatMessage], **options: Any) -> str:
        if messages[-1].content.startswith("(This is not part"):
            raise TemplateRefused("no such message")
        return super().mark_chat(messages, **options)


class StrictEngine(Writer):
    """Has such a template."""

    @property
    def tokenizer(self) -> FakeTokenizer:
        return Strict()


async def test_a_template_that_takes_no_instruction_costs_the_summary_alone() -> None:
    """The conversation is compacted with the one there was."""
    async with desk(StrictEngine(max_model_len=2048)) as one:
        long_talk(one)
        await one.reply()
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(1)
        assert summaries(one.engine) == []
        assert len(one.compacted) == 1


async def test_an_engine_that_is_gone_costs_no_session() -> None:
    """Nothing is written, and nobody is told."""
    async with desk(Writer(max_model_len=2048)) as one:
        long_talk(one)
        await one.reply()
        one.engine.is_alive = False
        one.replies.compact(Compact(one.wanted(), writes_summary=True))
        await asyncio.sleep(1)
        assert one.summarised == []
        assert one.failures == []


async def test_nothing_is_prepared_while_others_wait() -> None:
    """Work that nobody waits for is the first to go."""
    engine = FakeEngine()
    async with desk(engine) as one:
        now = asyncio.get_running_loop().time()
        waiting = [one.state.gate.pass_through("others", 1, now) for _ in range(20)]
        await asyncio.sleep(60)
        one.user("A long story about the day at school, and what came of it.")
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(1)
        assert engine.prompts == {}
        for passage in waiting:
            passage.end(0, asyncio.get_running_loop().time())
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(1)
        assert len(engine.prompts) == 1
