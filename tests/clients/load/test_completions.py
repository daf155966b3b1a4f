"""A chat completions server as a target: conversations are kept, replies timed, errors named."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from clients.load.completions import CompletionsOptions, CompletionsTarget
from clients.load.driver import Driver
from clients.replay.records import RequestRecord
from clients.replay.script import Fault, Session, Turn
from tests.clients.load.http_script import (
    HEAD,
    Answer,
    HttpScript,
    chunk,
    event,
    piece,
    refusal,
    whole,
)
from tests.clients.load.test_driver import texts_of

pytestmark = pytest.mark.wire

USAGE = event(
    {
        "choices": [],
        "usage": {
            "prompt_tokens": 11,
            "completion_tokens": 2,
            "prompt_tokens_details": {"cached_tokens": 5},
        },
    }
)
HELLO = whole(piece("Hello"), piece(" there", "length"), USAGE)
SLOW: Answer = [HEAD, chunk(piece("Hello")), 10.0, chunk(piece(" there", "stop")), b"0\r\n\r\n"]


async def play(
    script: HttpScript, *turns: Turn, options: dict[str, Any] | None = None
) -> list[RequestRecord]:
    """Play one session."""
    session = Session(
        session_id="a", start_s=0.0, turns=list(turns), persona="Aoi", tokens_per_s=1e3
    )
    async with script.serve() as url:
        target = CompletionsTarget(CompletionsOptions(url, "m", **(options or {})))
        texts = texts_of([session])
        driver = Driver([session], texts, target, starts_at=time.monotonic())
        return await asyncio.wait_for(driver.run(), 20)


def turn(**fields: Any) -> Turn:
    """A turn of two tokens."""
    return Turn(input_tokens=1, output_tokens=2, **fields)


async def test_each_turn_sends_the_conversation_so_far() -> None:
    """Persona, question, reply, question."""
    script = HttpScript(HELLO)
    await play(script, turn(), turn())
    assert [message["content"] for message in script.bodies[1]["messages"]] == [
        "Aoi",
        "a 0",
        "Hello there",
        "a 1",
    ]


async def test_a_reply_is_recorded_with_the_servers_counts() -> None:
    """Prompt, cached and output tokens; the finish as it says."""
    (record,) = await play(HttpScript(HELLO), turn())
    assert (record.finish, record.prompt_tokens, record.cached_tokens) == ("length", 11, 5)
    assert (record.output_tokens, len(record.token_times_s)) == (2, 2)


async def test_the_request_asks_for_the_length_of_the_script() -> None:
    """With further fields; a model may also end by itself."""
    script = HttpScript(HELLO)
    await play(script, turn(), options={"body": {"temperature": 0}})
    body = script.bodies[0]
    assert (body["max_tokens"], body["ignore_eos"], body["temperature"]) == (2, True, 0)
    await play(script, turn(), options={"ignores_end": False})
    assert "ignore_eos" not in script.bodies[1]


async def test_a_key_is_a_bearer_token() -> None:
    """And nowhere else."""
    script = HttpScript(HELLO)
    await play(script, turn(), options={"api_key": "sk-1"})
    assert "authorization: bearer sk-1" in script.heads[0].lower()


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        (refusal(429, {"error": {"code": "queue_full"}}), "queue_full"),
        (refusal(404, {"error": {"type": "NotFoundError", "code": 404}}), "404"),
        (refusal(502, b"<html>bad gateway</html>"), "http_502"),
        (whole(event({"error": {"code": "engine_dead"}})), "engine_dead"),
        ([HEAD, chunk(piece("Hello"))], "connection_lost"),
        (whole(piece("Hello")), "no_finish_reason"),
        (whole(event("{")), "unreadable_event"),
        ([HEAD, chunk(b'data: {"choices": "\xff"}\n\n'), b"0\r\n\r\n"], "unreadable_event"),
        (refusal(307, b""), "http_307"),
        ([b"HTTP/1.1 200 OK\r\n\r\n<html>"], "no_events"),
        (whole(event({"error": "out of memory"})), "error_event"),
    ],
)
async def test_what_goes_wrong_has_a_code(answer: Answer, code: str) -> None:
    """The server's own where it gives one."""
    (record,) = await play(HttpScript(answer), turn())
    assert (record.finish, record.error_code) == ("error", code)


@pytest.mark.parametrize(
    "options", [{"api_key": "sk\n1"}, {"api_key": "sk-é–"}, {"ca_file": Path("/nowhere.pem")}]
)
async def test_what_cannot_be_sent_fails_at_once(options: dict[str, Any]) -> None:
    """And not when the reply times out."""
    session = Session(session_id="a", start_s=0.0, turns=[turn()])
    async with HttpScript(HELLO).serve() as url:
        address = url.replace("http:", "https:") if "ca_file" in options else url
        target = CompletionsTarget(CompletionsOptions(address, "m", **options))
        driver = Driver([session], texts_of([session]), target, starts_at=time.monotonic())
        (record,) = await asyncio.wait_for(driver.run(), 20)
    assert (record.finish, record.error_code) == ("error", "unsendable_request")


async def test_an_interruption_closes_the_connection_and_keeps_what_was_said() -> None:
    """The next turn tells the server of it."""
    script = HttpScript(SLOW, HELLO)
    first, second = await play(script, turn(barge_in_s=0.2), turn())
    assert (first.finish, second.finish) == ("abort", "length")
    assert script.bodies[1]["messages"][2] == {"role": "assistant", "content": "Hello"}


async def test_a_dropped_connection_ends_the_reply() -> None:
    """This interface cannot go on with it."""
    (record,) = await play(HttpScript(SLOW), turn(faults=(Fault(0.2, "drop"),)))
    assert (record.finish, record.error_code) == ("error", "connection_lost")


async def test_a_connection_is_dropped_before_it_is_there() -> None:
    """A fault at once does not find one yet."""
    (record,) = await play(HttpScript(SLOW), turn(faults=(Fault(0.0, "drop"),)))
    assert (record.error_code, record.token_times_s) == ("connection_lost", [])


async def test_nobody_there_is_told_from_a_connection_that_was_lost() -> None:
    """By the word that Kaiwa's own lines have for it."""
    session = Session(session_id="a", start_s=0.0, turns=[turn()])
    target = CompletionsTarget(CompletionsOptions("http://127.0.0.1:1/v1/chat/completions", "m"))
    driver = Driver([session], texts_of([session]), target, starts_at=time.monotonic())
    (record,) = await asyncio.wait_for(driver.run(), 20)
    assert record.error_code == "connect_failed"


async def test_a_reader_who_stalls_hears_the_rest_later() -> None:
    """Also one who stalls at once."""
    (record,) = await play(HttpScript(HELLO), turn(faults=(Fault(0.0, "stall", 0.2),)))
    assert record.finish == "length"
    assert record.token_times_s[0] - record.sent_s > 0.1


async def test_fields_that_are_null_are_as_if_they_were_not_there() -> None:
    """Some servers write out every field."""
    nothing = event({"choices": None, "usage": {"prompt_tokens": None, "completion_tokens": None}})
    (record,) = await play(HttpScript(whole(piece("Hello", "stop"), nothing)), turn())
    assert (record.finish, record.prompt_tokens, record.output_tokens) == ("stop", 0, None)


async def test_reasoning_counts_as_text_and_is_not_told_again() -> None:
    """Its tokens are streamed and paid for like any other; no client sends them back."""
    thought = event({"choices": [{"delta": {"reasoning_content": "Hm. "}}]})
    script = HttpScript(whole(thought, piece("Hello", "stop")))
    record, _ = await play(script, turn(), turn())
    assert len(record.token_times_s) == 2
    assert script.bodies[1]["messages"][2] == {"role": "assistant", "content": "Hello"}


async def test_two_questions_in_a_row_are_one() -> None:
    """The first was called off before a word came; many chat templates refuse two."""
    script = HttpScript([HEAD, 10.0], HELLO)
    await play(script, turn(barge_in_s=0.1), turn())
    assert [one["role"] for one in script.bodies[1]["messages"]] == ["system", "user"]
    assert script.bodies[1]["messages"][1]["content"] == "a 0\na 1"
