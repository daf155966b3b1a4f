"""What is kept of conversations is shown to whoever had them, and erased for them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from server.auth.keys import ANONYMOUS
from server.config.access import ListenConfig
from server.conversation.changes import ItemKept, SummaryKept
from server.conversation.entries import Entry
from server.errors import StoreUnavailable
from server.protocol.items import ContentPart, MessageItem
from server.state import ServerState
from server.store.interface import ConversationHead, Page, StoredConversation, Write
from server.store.memory_store import InMemoryStore


@pytest.fixture
def store(state: ServerState) -> InMemoryStore:
    """Holds three conversations of whoever has no key, and one of somebody else."""
    store = InMemoryStore(max_conversations=10, max_bytes=10**6)
    owners = {"conv_1": ANONYMOUS, "conv_2": ANONYMOUS, "conv_3": ANONYMOUS, "conv_9": "eve"}
    for number, (name, principal) in enumerate(owners.items()):
        part = ContentPart(type="input_text", text=f"hello {number}")
        entry = Entry(MessageItem(id=f"item_{number}", role="user", content=[part]))
        store.append(
            Write(
                principal=principal,
                conversation_id=name,
                model="aoi",
                at=100.5 + number,
                begins=True,
                changes=[ItemKept(entry, None), SummaryKept("They met.")],
            )
        )
    state.store = store
    return store


def code_of(answer: httpx.Response) -> Any:
    """The error's code."""
    return answer.json()["error"]["code"]


@pytest.mark.usefixtures("store")
async def test_ones_own_are_listed_in_pages(client: httpx.AsyncClient) -> None:
    """Newest first, nobody else's."""
    answer = (await client.get("/v1/conversations?limit=2")).json()
    assert answer["data"][0] == {
        "id": "conv_3",
        "object": "conversation",
        "model": "aoi",
        "created_at": 102,
        "updated_at": 102,
        "title": "hello 2",
        "num_items": 1,
    }
    assert answer["has_more"]
    rest = (await client.get("/v1/conversations?after=conv_2")).json()
    assert [one["id"] for one in rest["data"]] == ["conv_1"]
    assert not rest["has_more"]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("limit", ["0", "101", "x", "", "-1", "１", "99999999999"])
async def test_a_limit_that_cannot_be_is_refused(client: httpx.AsyncClient, limit: str) -> None:
    """With the value and the bounds."""
    answer = await client.get("/v1/conversations", params={"limit": limit})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "limit")


@pytest.mark.usefixtures("store")
async def test_one_is_shown_whole(client: httpx.AsyncClient) -> None:
    """Items as on the socket, and the summary."""
    answer = (await client.get("/v1/conversations/conv_1")).json()
    assert answer["summary"] == "They met."
    (item,) = answer["items"]
    assert (item["type"], item["id"], item["role"]) == ("message", "item_0", "user")
    assert item["content"] == [{"type": "input_text", "text": "hello 0"}]


@pytest.mark.usefixtures("store")
@pytest.mark.parametrize("name", ["conv_9", "nowhere"])
async def test_anything_else_is_not_found(client: httpx.AsyncClient, name: str) -> None:
    """Others' conversations are no different from those that never were."""
    for answer in (
        await client.get(f"/v1/conversations/{name}"),
        await client.delete(f"/v1/conversations/{name}"),
    ):
        assert (answer.status_code, code_of(answer)) == (404, "conversation_not_found")
    answer = await client.get(f"/v1/conversations?after={name}")
    assert (answer.status_code, code_of(answer)) == (400, "conversation_not_found")


async def test_one_is_erased(client: httpx.AsyncClient, store: InMemoryStore) -> None:
    """Once."""
    answer = await client.delete("/v1/conversations/conv_1")
    assert answer.json() == {"id": "conv_1", "object": "conversation.deleted", "deleted": True}
    assert len(store) == 3
    assert (await client.delete("/v1/conversations/conv_1")).status_code == 404


async def test_a_foreign_page_erases_nothing(
    client: httpx.AsyncClient, store: InMemoryStore
) -> None:
    """As with every other write."""
    headers = {"Origin": "https://evil.example"}
    answer = await client.delete("/v1/conversations/conv_1", headers=headers)
    assert (answer.status_code, code_of(answer)) == (403, "origin_not_allowed")
    assert len(store) == 4


async def test_all_of_ones_own_are_erased(client: httpx.AsyncClient, store: InMemoryStore) -> None:
    """Nobody else's; a second time there is nothing."""
    for num_deleted in (3, 0):
        answer = await client.delete("/v1/conversations")
        assert answer.json() == {
            "object": "conversations.deleted",
            "deleted": True,
            "num_deleted": num_deleted,
        }
    assert len(store) == 1


@pytest.mark.usefixtures("store")
async def test_all_of_ones_own_are_handed_out(client: httpx.AsyncClient) -> None:
    """One a line, each as it is shown; nobody else's."""
    answer = await client.get("/v1/conversations/export")
    assert answer.headers["content-type"] == "application/jsonl"
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line["id"] for line in lines] == ["conv_1", "conv_2", "conv_3"]
    assert lines[0] == (await client.get("/v1/conversations/conv_1")).json()
    await client.delete("/v1/conversations")
    answer = await client.get("/v1/conversations/export")
    assert (answer.status_code, answer.text) == (200, "")


class BrokenStore(InMemoryStore):
    """Lets nothing be read, or nothing after the first."""

    def __init__(self, *, num_exported: int) -> None:
        super().__init__(max_conversations=10, max_bytes=10**6)
        self._num_exported = num_exported

    async def list(self, principal: str, *, limit: int, after: str | None = None) -> Page:
        raise StoreUnavailable("the disk fails")

    async def export(self, principal: str) -> AsyncIterator[StoredConversation]:
        for number in range(self._num_exported):
            head = ConversationHead(
                id=f"conv_{number}",
                model="aoi",
                created_at=1.0,
                updated_at=1.0,
                title="",
                num_items=0,
            )
            yield StoredConversation(head=head, entries=(), summary="")
        raise StoreUnavailable("the disk fails")


@pytest.mark.parametrize("path", ["/v1/conversations", "/v1/conversations/export"])
async def test_a_store_that_is_away_is_a_503(
    client: httpx.AsyncClient, state: ServerState, path: str
) -> None:
    """With when to come back."""
    state.store = BrokenStore(num_exported=0)
    answer = await client.get(path)
    assert (answer.status_code, code_of(answer)) == (503, "store_unavailable")
    assert int(answer.headers["retry-after"]) > 0


async def test_an_export_that_breaks_off_says_so(
    client: httpx.AsyncClient, state: ServerState
) -> None:
    """In its last line, for the head is gone."""
    state.store = BrokenStore(num_exported=2)
    answer = await client.get("/v1/conversations/export")
    lines = [json.loads(line) for line in answer.text.splitlines()]
    assert [line.get("id") for line in lines] == ["conv_0", "conv_1", None]
    assert lines[-1]["error"]["code"] == "store_unavailable"


@pytest.mark.usefixtures("store")
async def test_without_keys_a_public_server_lists_nothing(
    client: httpx.AsyncClient, state: ServerState
) -> None:
    """All who come are the same person to it; who knows a name may still read."""
    public = ListenConfig(host="0.0.0.0")
    state.settings = replace(state.settings, listen=public)
    answer = await client.get("/v1/conversations")
    assert (answer.status_code, code_of(answer)) == (403, "conversations_not_listed")
    assert (await client.get("/v1/conversations/conv_1")).status_code == 200
    for answer in (
        await client.delete("/v1/conversations"),
        await client.get("/v1/conversations/export"),
    ):
        assert (answer.status_code, code_of(answer)) == (403, "conversations_not_listed")


async def test_where_nothing_is_kept_that_is_said(client: httpx.AsyncClient) -> None:
    """With the setting that would change it."""
    answer = await client.get("/v1/conversations")
    assert (answer.status_code, code_of(answer)) == (404, "history_off")
