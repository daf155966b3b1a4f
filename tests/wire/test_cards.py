"""A card's whole way over one port: sent, listed, talked to over both wires, kept, and served."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from server.cards.read import read_card
from tests.support.cards import card_json, card_png
from tests.support.fake_engine import FakeEngine
from tests.support.fake_server import running_server
from tests.support.realtime import receive_until, say

pytestmark = [pytest.mark.wire(only="uvloop")]


def prompts(engine: FakeEngine) -> list[str]:
    """What the model was given to read, request by request."""
    return ["".join(map(chr, prompt)) for prompt in engine.prompts.values()]


async def test_a_card_is_sent_and_talked_to() -> None:
    """Over HTTP in, over the WebSocket and over Chat Completions out."""
    async with (
        running_server(FakeEngine(reply="The lamp is lit.")) as server,
        httpx.AsyncClient(base_url=server.url) as client,
    ):
        data = card_png(description="Mika keeps a lighthouse.", first_mes="Hi.")
        files = {"card": ("mika.png", data, "image/png")}
        assert (await client.post("/v1/characters", files=files)).status_code == 201
        body = {"model": "mika", "messages": [{"role": "user", "content": "Hello?"}]}
        answer = await client.post("/v1/chat/completions", json=body)
        assert answer.json()["choices"][0]["message"]["content"] == "The lamp is lit."
        assert "Mika keeps a lighthouse." in prompts(server.engine)[-1]
        async with connect(server.socket_url("model=mika")) as socket:
            created = json.loads(await socket.recv())
            assert created["session"]["model"] == "mika"
            await say(socket, "Hello?")
            done = (await receive_until(socket, "response.done"))[-1]
            assert done["response"]["status"] == "completed"
        back = (await client.get("/v1/characters/mika/card?format=png")).content
        assert read_card(back, file="x") == read_card(data, file="x")


async def test_cards_outlive_the_server(tmp_path: Path) -> None:
    """Kept in a folder, they are there after the next start, for the key that sent them alone."""
    keys = tmp_path / "keys"
    keys.write_text("alice: sk-a\nsk-plain\n")
    settings: dict[str, Any] = {
        "auth__api_keys_file": str(keys),
        "characters__folder": str(tmp_path / "cards"),
    }
    a, b = ({"authorization": f"Bearer {key}"} for key in ("sk-a", "sk-plain"))
    json_type = {"content-type": "application/json"}
    async with running_server(**settings) as server, httpx.AsyncClient() as client:
        for headers in (a, b):
            await client.post(
                f"{server.url}/v1/characters",
                content=card_json(first_mes=headers["authorization"]),
                headers={**headers, **json_type},
            )
    keys.write_text("sk-new\nalice: sk-a\nsk-plain\n")
    new = {"authorization": "Bearer sk-new"}
    async with running_server(**settings) as server, httpx.AsyncClient() as client:
        for headers in (a, b):
            mika = await client.get(f"{server.url}/v1/characters/mika", headers=headers)
            assert mika.json()["greeting"] == {"en": headers["authorization"]}
        missing = await client.get(f"{server.url}/v1/characters/mika", headers=new)
        assert missing.status_code == 404
        with pytest.raises(InvalidStatus):
            async with connect(server.socket_url("model=mika"), additional_headers=new):
                pass
        async with connect(server.socket_url("model=mika"), additional_headers=a):
            pass


async def test_files_of_every_kind_are_served(tmp_path: Path) -> None:
    """A folder and a file beside each other; the first is the default."""
    folder = tmp_path / "them"
    folder.mkdir()
    (folder / "b.png").write_bytes(card_png("Nao"))
    (folder / "a.toml").write_text('name = "Aoi"\nprompt = "You are Aoi."')
    (tmp_path / "c.json").write_bytes(card_json())
    files = [str(folder), str(tmp_path / "c.json")]
    async with running_server(characters__files=files) as server, httpx.AsyncClient() as client:
        people = (await client.get(f"{server.url}/v1/characters")).json()["data"]
        assert [(one["id"], one["name"]["en"]) for one in people] == [
            ("a", "Aoi"),
            ("b", "Nao"),
            ("c", "Mika"),
        ]
        answer = await client.delete(f"{server.url}/v1/characters/b")
        assert answer.status_code == 403
