"""Deltas for a writer who may be late."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from engine.outputs import Logprob, RequestDelta, TokenLogprobs
from engine.request import FinishReason
from server.http.completion_shapes import logprobs_of
from server.http.feed import DeltaFeed
from server.text.tag_dialects import TagText


def make_delta(text: str, **fields: object) -> RequestDelta:
    """One token per character."""
    delta = RequestDelta("r", text, [ord(character) for character in text])
    return msgspec.structs.replace(delta, **fields)


async def test_a_punctual_writer_gets_each_delta() -> None:
    """What is taken at once is passed on as it is."""
    feed = DeltaFeed()
    delta = make_delta("a")
    feed.push(delta)
    assert await feed.take() is delta


async def test_a_late_writer_gets_all_in_one() -> None:
    """Texts and tokens are joined; the end and the counts are the last one's."""
    feed = DeltaFeed()
    feed.push(make_delta("a", num_output_tokens=1))
    feed.push(make_delta("b", num_output_tokens=2))
    feed.push(make_delta("", num_output_tokens=3, finish_reason=FinishReason.STOP))
    merged = await feed.take()
    assert merged is not None
    assert (merged.text, merged.token_ids) == ("ab", [97, 98])
    assert (merged.num_output_tokens, merged.finish_reason) == (3, FinishReason.STOP)


async def test_a_waiting_writer_is_woken_now_and_then() -> None:
    """Each quiet interval gives one ``None``; news start the next one over."""
    feed = DeltaFeed()
    loop = asyncio.get_running_loop()
    started = loop.time()
    with feed.ticking(10.0):
        assert await feed.take() is None
        assert loop.time() - started == pytest.approx(10.0, abs=0.1)
        feed.push(make_delta("a"))
        assert await feed.take() is not None
        woken_after = loop.time()
        assert await feed.take() is None
        assert loop.time() - woken_after == pytest.approx(20.0, abs=0.1)


def test_the_end_token_has_no_logprob_on_the_wire() -> None:
    """It is no part of the text."""
    entries = [TokenLogprobs(Logprob(token_id, -1.0), []) for token_id in (97, 2)]
    delta = make_delta("a", logprobs=entries, stop_reason=2)
    shown = msgspec.to_builtins(logprobs_of(delta, chr))
    assert [entry["token"] for entry in shown["content"]] == ["a"]


def test_part_of_a_character_is_shown_by_its_bytes() -> None:
    """A client can put the character together; the text alone would not let it."""
    entries = [TokenLogprobs(Logprob(97, -1.0), [])]
    shown = msgspec.to_builtins(logprobs_of(make_delta("a", logprobs=entries), lambda _: b"\xe6"))
    (entry,) = shown["content"]
    assert (entry["token"], entry["bytes"]) == ("\ufffd", [0xE6])


def test_an_impossible_token_has_a_finite_logprob() -> None:
    """JSON knows no infinity."""
    entries = [TokenLogprobs(Logprob(97, float("-inf")), [])]
    assert "-9999.0" in str(logprobs_of(make_delta("a", logprobs=entries), chr))


def test_a_tag_cut_in_two_is_still_a_tag() -> None:
    """The dialect does not depend on the steps."""
    tags = TagText(("happy",), "aituber")
    shown = "".join([tags.feed("Hm. [ha"), tags.feed("ppy] Yes"), tags.feed("!"), tags.finish()])
    assert shown == "Hm.[happy] Yes!"
