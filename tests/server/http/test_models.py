"""Lists of models."""

from __future__ import annotations

import httpx
import pytest


async def test_characters_come_first_then_the_engine(client: httpx.AsyncClient) -> None:
    """Front ends take the first as their default."""
    answer = (await client.get("/v1/models")).json()
    assert answer["object"] == "list"
    assert [model["id"] for model in answer["data"]] == ["aoi", "haru", "tiny"]
    assert set(answer["data"][0]) == {"id", "object", "created", "owned_by"}


@pytest.mark.parametrize("name", ["aoi", "tiny", "tiny@aoi", "tiny%40aoi"])
async def test_each_form_of_name_is_found(client: httpx.AsyncClient, name: str) -> None:
    """A character, the engine, and both together."""
    answer = await client.get(f"/v1/models/{name}")
    assert answer.json()["id"] == name.replace("%40", "@")


@pytest.mark.parametrize("name", ["nobody", "tiny@nobody", "other@aoi", "a/b"])
async def test_another_name_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    """The message lists what there is."""
    answer = await client.get(f"/v1/models/{name}")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
