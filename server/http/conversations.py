"""``/v1/conversations``: what is kept of one's own; to read, to take along, and to erase."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import NamedTuple

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from server.auth.keys import ANONYMOUS
from server.errors import ConversationNotFound, StoreUnavailable, shorten
from server.http.event_stream import EventStream
from server.http.guard import Endpoint
from server.http.refusals import HttpRefusal, invalid, json_response, unavailable
from server.state import ServerState
from server.store.interface import MAX_PAGE, ConversationHead, ConversationStore, StoredConversation

DEFAULT_PAGE = 20


class ConversationEndpoints(NamedTuple):
    """What can be asked of one's own conversations."""

    list: Endpoint
    get: Endpoint
    erase: Endpoint
    erase_all: Endpoint
    export: Endpoint


def conversation_endpoints(state: ServerState) -> ConversationEndpoints:
    """Make the endpoints that list, show, erase and hand out."""

    async def list_conversations(request: Request) -> Response:
        store, principal = _store(state), _somebody(state, request)
        limit = _limit(request.query_params.get("limit"))
        after = request.query_params.get("after")
        try:
            page = await store.list(principal, limit=limit, after=after)
        except ConversationNotFound as error:
            raise invalid("after", error.message, code=error.code) from None
        data = [_describe(head) for head in page.conversations]
        return json_response({"object": "list", "data": data, "has_more": page.has_more})

    async def get_conversation(request: Request) -> Response:
        try:
            stored = await _store(state).load(
                request.state.principal, request.path_params["conversation_id"]
            )
        except ConversationNotFound as error:
            raise _not_found(error) from None
        return json_response(_show(stored))

    async def erase_conversation(request: Request) -> Response:
        conversation_id = request.path_params["conversation_id"]
        try:
            await _store(state).erase(request.state.principal, conversation_id)
        except ConversationNotFound as error:
            raise _not_found(error) from None
        return json_response(
            {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
        )

    async def erase_all(request: Request) -> Response:
        store, principal = _store(state), _somebody(state, request)
        num_deleted = await store.erase_all(principal)
        return json_response(
            {"object": "conversations.deleted", "deleted": True, "num_deleted": num_deleted}
        )

    async def export(request: Request) -> Response:
        store, principal = _store(state), _somebody(state, request)
        return EventStream(_lines(store, principal), content_type="application/jsonl")

    return ConversationEndpoints(
        list_conversations, get_conversation, erase_conversation, erase_all, export
    )


async def _lines(store: ConversationStore, principal: str) -> AsyncGenerator[bytes, None]:
    """All conversations, one a line; where they break off, the last line says why."""
    num_lines = 0
    try:
        async for stored in store.export(principal):
            yield msgspec.json.encode(_show(stored)) + b"\n"
            num_lines += 1
    except StoreUnavailable as error:
        if num_lines == 0:
            raise
        yield msgspec.json.encode(unavailable(error.code, error.message).as_error()) + b"\n"


def _somebody(state: ServerState, request: Request) -> str:
    """Who asks, if the server can tell people apart.

    Raises:
        HttpRefusal: 403 where everybody who comes is the same person to it.
    """
    principal: str = request.state.principal
    if principal == ANONYMOUS and not state.settings.listen.is_loopback:
        raise HttpRefusal(
            403,
            "without keys everybody here is the same person to the server, so it lists no "
            "conversations; its operator can set auth.api_keys_file",
            code="conversations_not_listed",
        )
    return principal


def _store(state: ServerState) -> ConversationStore:
    if state.store is None:
        raise HttpRefusal(
            404,
            "this server keeps no conversations; its operator can set history.keep",
            code="history_off",
        )
    return state.store


def _limit(text: str | None) -> int:
    if text is None:
        return DEFAULT_PAGE
    if not text.isascii() or not text.isdigit() or len(text) > 4 or not 1 <= int(text) <= MAX_PAGE:
        raise invalid(
            "limit", f"limit is {shorten(text)}; it must be a whole number from 1 to {MAX_PAGE}"
        )
    return int(text)


def _describe(head: ConversationHead) -> dict[str, object]:
    return {
        "id": head.id,
        "object": "conversation",
        "model": head.model,
        "created_at": int(head.created_at),
        "updated_at": int(head.updated_at),
        "title": head.title,
        "num_items": head.num_items,
    }


def _show(stored: StoredConversation) -> dict[str, object]:
    items = [entry.item for entry in stored.entries]
    return {**_describe(stored.head), "summary": stored.summary, "items": items}


def _not_found(error: ConversationNotFound) -> HttpRefusal:
    return HttpRefusal(404, error.message, code=error.code, param="conversation_id")
