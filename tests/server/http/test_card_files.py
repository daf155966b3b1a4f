"""Pictures to look at, cards to take home."""

from __future__ import annotations

import httpx
import pytest

from server.auth.keys import ANONYMOUS
from server.cards.read import read_card
from server.characters.card_file import character_from_card
from server.state import ServerState
from tests.server.http.rooms import AOI
from tests.support.cards import card_png, picture


@pytest.fixture
def png(state: ServerState) -> bytes:
    """A card that somebody has sent."""
    data = card_png(description="SECRET words")
    state.catalog.put_upload(character_from_card(read_card(data, file="mika.png")), ANONYMOUS)
    return data


@pytest.mark.usefixtures("png")
async def test_a_picture_can_be_looked_at(client: httpx.AsyncClient) -> None:
    """At the address that the character names; nothing in it runs, and it is no card."""
    address = (await client.get("/v1/characters/mika")).json()["picture"]
    answer = await client.get(address)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/png"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "private, no-cache"
    assert answer.content.startswith(picture()[:16])
    assert b"tEXt" not in answer.content


@pytest.mark.usefixtures("png")
async def test_a_picture_that_is_known_is_not_sent_again(client: httpx.AsyncClient) -> None:
    """304, without a body."""
    first = await client.get("/v1/characters/mika/picture")
    known = {"if-none-match": first.headers["etag"]}
    again = await client.get("/v1/characters/mika/picture", headers=known)
    assert (again.status_code, again.content) == (304, b"")


async def test_who_has_no_picture_is_drawn(client: httpx.AsyncClient) -> None:
    """404, and so is nobody's."""
    answer = await client.get("/v1/characters/aoi/picture")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "picture_not_found")
    answer = await client.get("/v1/characters/nobody/picture")
    assert answer.json()["error"]["code"] == "character_not_found"


async def test_a_card_comes_back_as_it_was(client: httpx.AsyncClient, png: bytes) -> None:
    """In the format that it came in: all of its JSON, and its picture."""
    answer = await client.get("/v1/characters/mika/card?format=png")
    assert read_card(answer.content, file="x") == read_card(png, file="x")
    assert answer.headers["content-disposition"] == 'attachment; filename="mika.png"'
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.usefixtures("png")
@pytest.mark.parametrize(
    ("query", "media_type", "version"),
    [
        ("", "application/json", 3),
        ("?format=json&spec=v1", "application/json", 3),
        ("?format=json&spec=v2", "application/json", 3),
        ("?format=png", "image/png", 3),
        ("?format=charx", "application/zip", 3),
    ],
)
async def test_a_card_comes_in_any_format(
    client: httpx.AsyncClient, query: str, media_type: str, version: int
) -> None:
    """Each can be read again; V1 carries the rest along."""
    answer = await client.get(f"/v1/characters/mika/card{query}")
    assert answer.headers["content-type"] == media_type
    card = read_card(answer.content, file="x")
    assert (card.version, card.text("description")) == (version, "SECRET words")


async def test_a_character_of_the_servers_own_comes_as_a_card(client: httpx.AsyncClient) -> None:
    """From which the same can be made."""
    answer = await client.get("/v1/characters/aoi/card?format=charx")
    aoi = character_from_card(read_card(answer.content, file="x"), id="aoi")
    assert (aoi.name, aoi.greeting, aoi.expressions) == (AOI.name, AOI.greeting, AOI.expressions)


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("format=gif", "format"),
        ("spec=v9", "spec"),
        ("format=", "format"),
        ("format=png&spec=v2", "format"),
    ],
)
async def test_an_unknown_format_is_refused(
    client: httpx.AsyncClient, query: str, param: str
) -> None:
    """With those that there are."""
    answer = await client.get(f"/v1/characters/aoi/card?{query}")
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == param
