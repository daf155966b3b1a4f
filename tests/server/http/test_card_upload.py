"""Cards in over HTTP: who may send what, whose it is then, and how it goes again."""

from __future__ import annotations

import asyncio
import json
import random
import zipfile
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import ASGIApp, Message

from server.cards.write import write_card
from server.characters.card_folder import CardFolder
from server.config.characters import CharactersConfig
from server.config.limits import LimitsConfig
from server.http.app import build_http_app
from server.http.card_upload import MAX_AT_ONCE
from server.state import ServerState
from tests.server.http.rooms import chat_body, make_state
from tests.support.cards import card_json, card_png, make_card
from tests.support.fake_engine import FakeEngine

JSON = {"content-type": "application/json"}
FORM: dict[str, Any] = {"content-type": "multipart/form-data; boundary=b"}
KEYS = [("alice", "sk-alice"), ("bob", "sk-bob")]
ALICE: dict[str, Any] = {"authorization": "Bearer sk-alice"}
BOB: dict[str, Any] = {"authorization": "Bearer sk-bob"}


def client_of(state: ServerState) -> httpx.AsyncClient:
    """Talks to a server without a socket."""
    transport = httpx.ASGITransport(build_http_app(state, web_files={}))
    return httpx.AsyncClient(transport=transport, base_url="http://localhost")


@pytest.fixture
async def locked() -> AsyncIterator[httpx.AsyncClient]:
    """A client of a server that needs keys."""
    async with client_of(make_state(FakeEngine(), keys=KEYS)) as client:
        yield client


async def send(
    client: httpx.AsyncClient, data: bytes | None = None, query: str = "", **headers: Any
) -> httpx.Response:
    """Post a card."""
    data = card_json(description="x", first_mes="Hi.") if data is None else data
    return await client.post(f"/v1/characters{query}", content=data, headers={**JSON, **headers})


async def ids(client: httpx.AsyncClient, **headers: str) -> list[str]:
    """Who can be talked to."""
    answer = await client.get("/v1/characters", headers=headers)
    return [one["id"] for one in answer.json()["data"]]


async def test_a_card_becomes_a_character(client: httpx.AsyncClient) -> None:
    """201, as the list shows it, with warnings and where it is; its prompt stays inside."""
    answer = await send(client, card_json(description="SECRET", first_mes="Hi {{user}}."))
    assert answer.status_code == 201
    assert answer.headers["location"] == "/v1/characters/mika"
    mika = answer.json()
    assert mika.pop("warnings") == []
    assert (mika["id"], mika["greeting"], mika["uploaded"]) == ("mika", {"en": "Hi User."}, True)
    assert (await client.get("/v1/characters")).json()["data"][-1] == mika
    assert "SECRET" not in answer.text


@pytest.mark.parametrize(
    ("media_type", "format"),
    [
        ("image/png", "png"),
        ("application/zip", "charx"),
        ("application/octet-stream", "png"),
        ("image/png", "json"),
    ],
)
async def test_every_format_is_taken(
    client: httpx.AsyncClient, media_type: str, format: Any
) -> None:
    """What a body is, its content tells."""
    data = write_card(make_card("Nao"), format)
    answer = await client.post("/v1/characters", content=data, headers={"content-type": media_type})
    assert (answer.status_code, answer.json()["id"]) == (201, "nao")


async def test_a_form_with_one_file_is_taken(client: httpx.AsyncClient) -> None:
    """As a page sends it; its name is told where the card is refused."""
    files = {"card": ("nao.png", card_png("Nao"), "image/png")}
    assert (await client.post("/v1/characters", files=files)).status_code == 201
    files = {"card": ("bad.png", b"nothing", "image/png")}
    error = (await client.post("/v1/characters", files=files)).json()["error"]
    assert error["message"].startswith("bad.png: ")
    assert error["code"] == "card_unsupported"


async def test_an_uploaded_character_is_talked_to(
    client: httpx.AsyncClient, engine: FakeEngine
) -> None:
    """Completions read its head, and it is among the models."""
    await send(client, card_json(system_prompt="Be {{char}}.", post_history_instructions="Short."))
    assert "mika" in [one["id"] for one in (await client.get("/v1/models")).json()["data"]]
    assert (await client.get("/v1/models/mika")).status_code == 200
    answer = await client.post("/v1/chat/completions", json={**chat_body(), "model": "mika"})
    assert answer.status_code == 200
    (prompt,) = engine.prompts.values()
    text = "".join(map(chr, prompt))
    assert text == "<system>Be Mika.<user>hi<system>Short.<assistant>"


async def test_the_id_can_be_chosen(client: httpx.AsyncClient) -> None:
    """Where the name is taken, or is none for a URL."""
    assert (await send(client, query="?id=my-own")).json()["id"] == "my-own"
    answer = await send(client, query="?id=Not%20One")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "id")
    assert (await send(client, card_json("葵"))).json()["id"].startswith("card-")


async def test_a_card_replaces_its_namesake(client: httpx.AsyncClient) -> None:
    """200 instead of 201; there is one of them."""
    await send(client)
    answer = await send(client, card_json("Mika", first_mes="New."))
    assert (answer.status_code, answer.json()["greeting"]) == (200, {"en": "New."})
    assert await ids(client) == ["aoi", "haru", "mika"]


@pytest.mark.parametrize("name", ["Aoi", "tiny"])
async def test_the_servers_own_names_are_not_taken(client: httpx.AsyncClient, name: str) -> None:
    """409, with the way out."""
    answer = await send(client, card_json(name))
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "character_taken"
    assert "?id=" in answer.json()["error"]["message"]


async def test_what_is_odd_is_warned_of(client: httpx.AsyncClient) -> None:
    """A card that says nothing, and one that fits no context."""
    assert len((await send(client, card_json("Nao"))).json()["warnings"]) == 2
    for length in (10_000, 400_000):
        long = card_json("Long", description="x" * length, first_mes="Hi.")
        (warning,) = (await send(client, long)).json()["warnings"]
        assert "fit into the context" in warning


def bomb() -> bytes:
    """A zip that unpacks to a thousand times its size."""
    file = BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("card.json", card_json())
        archive.writestr("x", b"\0" * 20_000_000)
    return file.getvalue()


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [
        (b"", 400, "card_unsupported"),
        (b"{}", 400, "card_no_data"),
        (b"[" * 100_000, 400, "card_unsupported"),
        (b'{"a":' * 5000, 400, "card_too_deep"),
        (card_png()[:-40], 400, "card_bad_container"),
        (card_json(extensions={"kaiwa": {"avatar": {"hair": "x"}}}), 400, "card_bad_field"),
        (bomb(), 400, "card_zip_bomb"),
        (b" " * 9_000_000, 413, "request_too_large"),
    ],
)
async def test_what_is_no_good_card_is_refused(
    client: httpx.AsyncClient, data: bytes, status: int, code: str
) -> None:
    """With a stable code in OpenAI's shape; nobody new is there."""
    answer = await send(client, data)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "Traceback" not in answer.text
    assert await ids(client) == ["aoi", "haru"]


@pytest.mark.parametrize("media_type", ["", "text/html", "application/x-www-form-urlencoded"])
async def test_other_kinds_of_bodies_are_refused(
    client: httpx.AsyncClient, media_type: str
) -> None:
    """415, before anything is read."""
    answer = await client.post(
        "/v1/characters", content=card_json(), headers={"content-type": media_type}
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (415, "unsupported_media_type")


async def test_a_form_that_is_none_is_refused(client: httpx.AsyncClient) -> None:
    """400, with the way out."""
    answer = await send(client, **FORM)
    assert answer.json()["error"]["code"] == "invalid_form"


async def test_there_is_a_number_of_them() -> None:
    """507 for one more; deleting one makes room."""
    state = make_state(FakeEngine(), characters=CharactersConfig(max_uploaded=1))
    async with client_of(state) as client:
        await send(client)
        answer = await send(client, card_json("Nao"))
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "limit_exceeded")
        await client.delete("/v1/characters/mika")
        assert (await send(client, card_json("Nao"))).status_code == 201


async def test_the_limit_of_a_card_is_the_operators() -> None:
    """In bytes, told in the refusal."""
    state = make_state(FakeEngine(), limits=LimitsConfig(max_card_bytes=2048))
    async with client_of(state) as client:
        answer = await send(client, card_json(description="x" * 3000))
    assert answer.status_code == 413
    assert "2048 bytes" in answer.json()["error"]["message"]
    assert "limits.max_card_bytes" in answer.json()["error"]["message"]


async def test_a_card_is_deleted(client: httpx.AsyncClient) -> None:
    """Once; then there is nobody of that id."""
    await send(client)
    answer = await client.delete("/v1/characters/mika")
    assert answer.json() == {"id": "mika", "object": "character.deleted", "deleted": True}
    assert await ids(client) == ["aoi", "haru"]
    assert (await client.delete("/v1/characters/mika")).status_code == 404


async def test_the_servers_own_characters_stay(client: httpx.AsyncClient) -> None:
    """403, and they are there."""
    answer = await client.delete("/v1/characters/aoi")
    assert answer.status_code == 403
    assert answer.json()["error"]["code"] == "character_not_uploaded"
    assert await ids(client) == ["aoi", "haru"]


async def test_a_card_is_seen_with_its_own_key_alone(locked: httpx.AsyncClient) -> None:
    """Neither listed, shown, exported, talked to nor deleted with another."""
    await send(locked, **ALICE)
    assert await ids(locked, **ALICE) == ["aoi", "haru", "mika"]
    assert await ids(locked, **BOB) == ["aoi", "haru"]
    for path in ("", "/picture", "/card"):
        answer = await locked.get(f"/v1/characters/mika{path}", headers=BOB)
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "character_not_found")
    assert (await locked.get("/v1/models/mika", headers=BOB)).status_code == 404
    body = {**chat_body(), "model": "mika"}
    answer = await locked.post("/v1/chat/completions", json=body, headers=BOB)
    assert answer.status_code == 404
    assert "mika," not in answer.text
    assert (await locked.delete("/v1/characters/mika", headers=BOB)).status_code == 404
    answer = await locked.post("/v1/chat/completions", json=body, headers=ALICE)
    assert answer.status_code == 200


async def test_two_keys_may_send_one_name(locked: httpx.AsyncClient) -> None:
    """Each talks to its own; nobody takes anybody's name away."""
    await send(locked, card_json(first_mes="Alice's."), **ALICE)
    assert (await send(locked, card_json(first_mes="Bob's."), **BOB)).status_code == 201
    for headers, words in ((ALICE, "Alice's."), (BOB, "Bob's.")):
        mika = (await locked.get("/v1/characters/mika", headers=headers)).json()
        assert mika["greeting"] == {"en": words}


async def test_a_client_secret_shows_cards_but_changes_none(locked: httpx.AsyncClient) -> None:
    """It lists what its key has sent; it sends, exports and deletes nothing."""
    await send(locked, **ALICE)
    body = {"session": {"type": "realtime", "model": "mika"}}
    minted = await locked.post("/v1/realtime/client_secrets", json=body, headers=ALICE)
    secret: dict[str, Any] = {"authorization": f"Bearer {minted.json()['value']}"}
    assert await ids(locked, **secret) == ["aoi", "haru", "mika"]
    for answer in (
        await send(locked, **secret),
        await locked.delete("/v1/characters/mika", headers=secret),
        await locked.get("/v1/characters/mika/card", headers=secret),
    ):
        assert answer.json()["error"]["code"] == "client_secret_not_allowed"


@pytest.mark.parametrize("headers", [{}, {"authorization": "Bearer wrong"}])
async def test_without_a_key_nothing_is_taken(
    locked: httpx.AsyncClient, headers: dict[str, Any]
) -> None:
    """401, for each of the verbs."""
    for answer in (
        await send(locked, **headers),
        await locked.delete("/v1/characters/aoi", headers=headers),
        await locked.get("/v1/characters/aoi/card", headers=headers),
        await locked.get("/v1/characters/aoi/picture", headers=headers),
    ):
        assert answer.status_code == 401


async def test_a_foreign_page_may_not_send(client: httpx.AsyncClient) -> None:
    """A form needs no preflight, so the origin is looked at."""
    files = {"card": ("nao.png", card_png("Nao"), "image/png")}
    origin = {"origin": "https://evil.example"}
    answer = await client.post("/v1/characters", files=files, headers=origin)
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "origin_not_allowed")
    assert (await client.delete("/v1/characters/aoi", headers=origin)).status_code == 403


async def test_cards_are_kept_where_the_operator_says(tmp_path: Path) -> None:
    """On the disk when the answer comes, and gone from it when they are deleted."""
    state = make_state(FakeEngine(), characters=CharactersConfig(folder=tmp_path))
    async with client_of(state) as client:
        await send(client, card_png())
        assert [one.id for one in CardFolder(tmp_path).read("anonymous")] == ["mika"]
        await client.delete("/v1/characters/mika")
        assert list(CardFolder(tmp_path).read("anonymous")) == []


async def test_a_disk_that_refuses_is_told_of(tmp_path: Path) -> None:
    """507 without the path; the character is not there either."""
    (tmp_path / "file").write_text("")
    state = make_state(FakeEngine(), characters=CharactersConfig(folder=tmp_path / "file"))
    async with client_of(state) as client:
        answer = await send(client)
        assert (answer.status_code, answer.json()["error"]["code"]) == (507, "storage_failed")
        assert str(tmp_path) not in answer.text
        assert await ids(client) == ["aoi", "haru"]


def begun(app: ASGIApp) -> tuple[asyncio.Task[None], list[Message]]:
    """An upload whose body does not come."""
    told: list[Message] = []

    async def send_out(message: Message) -> None:
        told.append(message)

    async def receive() -> Message:
        return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]

    headers = [(b"host", b"localhost"), (b"content-type", b"image/png")]
    scope = {
        **{"type": "http", "http_version": "1.1", "method": "POST", "scheme": "http"},
        **{"path": "/v1/characters", "raw_path": b"/v1/characters", "query_string": b""},
        **{"root_path": "", "headers": headers, "client": ("127.0.0.1", 1), "server": None},
    }
    return asyncio.ensure_future(app(scope, receive, send_out)), told


async def test_a_few_are_read_at_once(state: ServerState) -> None:
    """429 with a time to come back for one more; when others are done there is room."""
    app = build_http_app(state, web_files={})
    waiting = [begun(app)[0] for _ in range(MAX_AT_ONCE)]
    await asyncio.sleep(0)
    task, told = begun(app)
    await task
    assert told[0]["status"] == 429
    assert b"retry-after" in dict(told[0]["headers"])
    assert json.loads(told[1]["body"])["error"]["code"] == "too_many_uploads"
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
        assert (await send(client)).status_code == 201


async def test_many_at_once_keep_their_bounds() -> None:
    """What is checked holds until it is written."""
    state = make_state(FakeEngine(), characters=CharactersConfig(max_uploaded=3))
    async with client_of(state) as client:
        names = [f"m{n}" for n in range(8)]
        answers = await asyncio.gather(*(send(client, card_json(name)) for name in names))
        statuses = [answer.status_code for answer in answers]
        assert statuses.count(201) == len(await ids(client)) - 2 <= 3
        assert set(statuses) <= {201, 429, 507}


async def test_damaged_cards_are_answered(client: httpx.AsyncClient) -> None:
    """Whatever is wrong with a file, somebody is told so, or there is a character."""
    chance = random.Random(11)
    files = [card_json(description="x"), card_png(), write_card(make_card("Nao"), "charx")]
    for _ in range(150):
        data = bytearray(chance.choice(files))
        for _ in range(chance.randrange(1, 6)):
            place = chance.randrange(len(data))
            data[place : place + chance.randrange(4)] = chance.randbytes(chance.randrange(4))
        answer = await send(client, bytes(data))
        assert answer.status_code in (200, 201, 400, 507), answer.text
        if answer.status_code == 400:
            assert answer.json()["error"]["code"].startswith("card_")
