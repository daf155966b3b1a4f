"""Bounds on request bodies."""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
import pytest

from server.http.body import MAX_BODY_BYTES

PATH = "/v1/chat/completions"
JSON = {"content-type": "application/json"}


async def endless() -> AsyncIterator[bytes]:
    """More than anybody may send, without saying so beforehand."""
    for _ in range(MAX_BODY_BYTES // 4096 + 2):
        yield b" " * 4096


async def test_a_body_that_declares_too_much_is_refused(client: httpx.AsyncClient) -> None:
    """The length is believed before a byte is read."""
    answer = await client.post(PATH, content=b" " * (MAX_BODY_BYTES + 1), headers=JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


async def test_a_body_that_hides_its_length_is_refused(client: httpx.AsyncClient) -> None:
    """What comes in pieces is counted as it comes."""
    assert (await client.post(PATH, content=endless(), headers=JSON)).status_code == 413


@pytest.mark.parametrize(
    "media_type", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"]
)
async def test_only_json_is_read(client: httpx.AsyncClient, media_type: str) -> None:
    """Forms and plain text are what foreign pages can post unasked."""
    answer = await client.post(PATH, content=b"{}", headers={"content-type": media_type})
    assert answer.status_code == 415


@pytest.mark.parametrize("media_type", ["application/json; charset=utf-8", "Application/JSON"])
async def test_json_may_say_its_charset(client: httpx.AsyncClient, media_type: str) -> None:
    """Clients write the type in their own way."""
    answer = await client.post(PATH, content=b"{}", headers={"content-type": media_type})
    assert answer.status_code == 400
