"""What one session wants of the engine is carried out: appended, paced, called off."""

from __future__ import annotations

import asyncio

import pytest

from engine.chat_template import ChatMessage
from server.protocol.character_objects import ListenerSetting
from server.session.effects import Prepare
from tests.server.sockets.desk import PERSONA, REPLY, desk
from tests.support.fake_engine import FakeEngine


async def test_each_turn_is_appended_to_what_was_sampled() -> None:
    """Prompt and reply of the last turn begin the next prompt."""
    async with desk() as one:
        one.user("hi")
        first = await one.reply()
        one.user("how are you?")
        second = await one.reply()
        known = [*first, *map(ord, REPLY)]
        assert second[: len(known)] == known
        assert one.reasons() == {}


async def test_a_reply_beside_the_conversation_changes_nothing() -> None:
    """It begins from nothing and leaves nothing."""
    async with desk() as one:
        one.user("hi")
        first = await one.reply()
        other = [ChatMessage("user", "translate")]
        aside = await one.reply(conversation_id="", messages=other)
        assert aside == one.engine.tokenizer.encode_chat(other)
        one.messages.pop()
        one.user("how are you?")
        assert (await one.reply())[: len(first)] == first
        assert one.reasons() == {}


async def test_a_changed_prompt_is_counted_by_its_reason() -> None:
    """New instructions, and an item that was taken out."""
    async with desk() as one:
        one.user("hi")
        await one.reply()
        one.messages[0] = ChatMessage("system", PERSONA + " Be brief.")
        one.user("well?")
        await one.reply()
        del one.messages[1]
        one.user("and?")
        await one.reply()
        assert one.reasons() == {"instructions": 1, "edited": 1}


async def test_requests_say_how_they_want_to_be_served() -> None:
    """Tenant, conversation, the persona's share of the prompt, and who listens."""
    async with desk() as one:
        one.user("hi")
        await one.reply(listener=ListenerSetting(kind="speech", rate=8.0))
        service = one.engine.services["resp_1"]
        assert (service.tenant, service.conversation_id) == ("mio", "conv_1")
        assert service.num_pinned_tokens == len(f"<system>{PERSONA}")
        assert service.listener is not None
        assert service.listener.tokens_per_s == pytest.approx(2.0)
        await one.reply()
        assert one.engine.services["resp_2"].listener is None


async def test_the_models_density_is_learnt() -> None:
    """Twelve tokens for twelve characters are fewer characters per token than assumed."""
    async with desk() as one:
        before = one.state.density.characters_per_token(wide=False)
        one.user("hi")
        await one.reply()
        assert one.state.density.characters_per_token(wide=False) < before


async def test_playback_goes_to_the_request_that_writes() -> None:
    """Also where that was prepared under another name; afterwards nobody needs to know."""
    async with desk(FakeEngine(step_s=0.01)) as one:
        one.user("I have something long to tell you.")
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(1)
        one.replies.start(one.wanted(request_id="resp_1"))
        await asyncio.sleep(0.05)
        one.replies.report_playback("resp_1", 3)
        await asyncio.sleep(1)
        one.replies.report_playback("resp_1", 9)
        assert one.engine.heard == [("sess_1-ahead-1", 3)]


async def test_a_cancel_reaches_the_request_that_writes() -> None:
    """Whatever its name."""
    async with desk(FakeEngine(step_s=0.01)) as one:
        one.user("I have something long to tell you.")
        one.replies.prepare(Prepare(one.wanted()))
        await asyncio.sleep(1)
        one.replies.start(one.wanted(request_id="resp_1"))
        await asyncio.sleep(0.05)
        one.replies.abort("resp_1")
        assert one.engine.cancelled == ["sess_1-ahead-1"]


async def test_leaving_releases_the_conversation() -> None:
    """Once, and only where there was one."""
    async with desk() as one:
        one.user("hi")
        await one.reply()
        one.replies.close()
        one.replies.close()
        assert one.engine.released == ["conv_1"]
    async with desk() as one:
        one.replies.close()
        assert one.engine.released == []


async def test_what_the_model_reads_is_told_with_every_prompt() -> None:
    """The number of the user's messages that the next one will hold, told before and after."""
    async with desk() as one:
        for _ in range(3):
            one.user("hi")
            await one.reply()
        assert one.read == [1, 1, 2, 2, 3, 3]


async def test_turns_that_are_left_out_while_somebody_asks_are_told_of() -> None:
    """As those are that go in idle time."""
    async with desk(FakeEngine(max_model_len=256)) as one:
        for number in range(12):
            one.user(f"This is what I have to say, number {number}.")
            await one.reply()
        assert one.reasons().get("dropped", 0) == len(one.compacted) > 0
        assert all(after < before for before, after in one.compacted)
