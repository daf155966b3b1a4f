"""Who can be talked to."""

from __future__ import annotations

import httpx

from server.auth.keys import ANONYMOUS
from server.characters.card_file import character_from_card
from server.http.characters import MAX_GREETING_CHARACTERS
from server.state import ServerState
from tests.support.cards import book, entry, make_card


async def test_a_character_is_described_for_a_page(client: httpx.AsyncClient) -> None:
    """Names in both languages, the greeting with its tags, faces and colours."""
    answer = (await client.get("/v1/characters")).json()
    assert answer["object"] == "list"
    assert answer["data"][0] == {
        "id": "aoi",
        "name": {"en": "Aoi", "ja": "葵"},
        "description": {"en": "A guide."},
        "greeting": {"en": "[happy] Hello!", "ja": "[happy] こんにちは！"},
        "greetings": [{"en": "[happy] Hello!", "ja": "[happy] こんにちは！"}],
        "expressions": ["happy", "sad"],
        "avatar": {"hair": "#335577"},
        "has_lore": False,
        "tags": [],
        "uploaded": False,
    }


async def test_what_is_missing_is_left_out(client: httpx.AsyncClient) -> None:
    """A language without text has no key."""
    haru = (await client.get("/v1/characters")).json()["data"][1]
    assert haru["name"] == {"en": "Haru"}
    assert haru["greeting"] == {}
    assert haru["greetings"] == []
    assert "picture" not in haru


async def test_one_is_described_alone(client: httpx.AsyncClient) -> None:
    """As in the list; nobody is 404 with the way out."""
    people = (await client.get("/v1/characters")).json()["data"]
    assert (await client.get("/v1/characters/haru")).json() == people[1]
    answer = await client.get("/v1/characters/nobody")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "character_not_found"


async def test_a_card_is_described_without_its_macros(
    state: ServerState, client: httpx.AsyncClient
) -> None:
    """Greetings say what a user without a name would hear."""
    card = make_card(
        first_mes="Hi {{user}}, I am {{char}}.",
        alternate_greetings=["{{random:Yo,Yo}}!"],
        tags=["calm"],
        character_book=book(entry("x", "k")),
    )
    state.catalog.put_upload(character_from_card(card), ANONYMOUS)
    mika = (await client.get("/v1/characters/mika")).json()
    assert mika["greeting"] == {"en": "Hi User, I am Mika."}
    assert mika["greetings"] == [{"en": "Hi User, I am Mika."}, {"en": "Yo!"}]
    assert (mika["has_lore"], mika["tags"], mika["uploaded"]) == (True, ["calm"], True)


async def test_prompts_stay_inside(client: httpx.AsyncClient) -> None:
    """A persona is its author's."""
    assert "You are" not in (await client.get("/v1/characters")).text


async def test_a_list_is_bounded_whatever_cards_hold(
    state: ServerState, client: httpx.AsyncClient
) -> None:
    """Greetings are shown as far as there is room, the first one always, cut."""
    for name, first in (("long", "x" * 100_000), ("many", "Hi.")):
        card = make_card(name, first_mes=first, alternate_greetings=["y" * 9_000] * 100)
        state.catalog.put_upload(character_from_card(card), ANONYMOUS)
    long, many = (await client.get("/v1/characters")).json()["data"][2:]
    assert [len(one["en"]) for one in long["greetings"]] == [MAX_GREETING_CHARACTERS]
    assert [len(one["en"]) for one in many["greetings"]] == [3, 9_000, 9_000, 9_000]
