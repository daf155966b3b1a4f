"""``/v1/conversations``: what is kept of one's own conversations; to read, and to erase."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from server.auth.keys import ANONYMOUS
from server.errors import ConversationNotFound, shorten
from server.http.guard import Endpoint
from server.http.refusals import HttpRefusal, invalid, json_response
from server.state import ServerState
from server.store.interface import MAX_PAGE, ConversationHead, ConversationStore

DEFAULT_PAGE = 20


def conversation_endpoints(state: ServerState) -> tuple[Endpoint, Endpoint, Endpoint]:
    """Make the endpoints that list, show and erase."""

    async def list_conversations(request: Request) -> Response:
        store, principal = _store(state), request.state.principal
        if principal == ANONYMOUS and not state.settings.listen.is_loopback:
            raise HttpRefusal(
                403,
                "without keys everybody here is the same person to the server, so it lists no "
                "conversations; its operator can set auth.api_keys_file",
                code="conversations_not_listed",
            )
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
        items = [entry.item for entry in stored.entries]
        shown = {**_describe(stored.head), "summary": stored.summary, "items": items}
        return json_response(shown)

    async def erase_conversation(request: Request) -> Response:
        conversation_id = request.path_params["conversation_id"]
        try:
            await _store(state).erase(request.state.principal, conversation_id)
        except ConversationNotFound as error:
            raise _not_found(error) from None
        return json_response(
            {"id": conversation_id, "object": "conversation.deleted", "deleted": True}
        )

    return list_conversations, get_conversation, erase_conversation


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


def _not_found(error: ConversationNotFound) -> HttpRefusal:
    return HttpRefusal(404, error.message, code=error.code, param="conversation_id")
