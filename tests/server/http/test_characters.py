"""Who can be talked to."""

from __future__ import annotations

import httpx


async def test_a_character_is_described_for_a_page(client: httpx.AsyncClient) -> None:
    """Names in both languages, the greeting with its tags, faces and colours."""
    answer = (await client.get("/v1/characters")).json()
    assert answer["object"] == "list"
    assert answer["data"][0] == {
        "id": "aoi",
        "name": {"en": "Aoi", "ja": "葵"},
        "description": {"en": "A guide."},
        "greeting": {"en": "[happy] Hello!", "ja": "[happy] こんにちは！"},
        "expressions": ["happy", "sad"],
        "avatar": {"hair": "#335577"},
    }


async def test_what_is_missing_is_left_out(client: httpx.AsyncClient) -> None:
    """A language without text has no key."""
    haru = (await client.get("/v1/characters")).json()["data"][1]
    assert haru["name"] == {"en": "Haru"}
    assert haru["greeting"] == {}


async def test_prompts_stay_inside(client: httpx.AsyncClient) -> None:
    """A persona is its author's."""
    assert "You are" not in (await client.get("/v1/characters")).text
