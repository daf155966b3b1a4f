"""The HTTP side of the one port: routes, keys, headers and error shapes, put together."""

from __future__ import annotations

import time
from collections.abc import Mapping

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from server.auth.keys import Scope
from server.errors import StoreUnavailable
from server.http.card_files import card_file_endpoints
from server.http.card_upload import CardUpload
from server.http.characters import character_endpoints
from server.http.client_secrets import client_secrets_endpoint
from server.http.completions import completions_endpoint
from server.http.conversations import conversation_endpoints
from server.http.crash_guard import CrashGuard
from server.http.event_stream import EventStream
from server.http.guard import Endpoint, HostGuard, guarded
from server.http.health import health_endpoints
from server.http.keys import keys_endpoint
from server.http.live import LiveView
from server.http.models import model_endpoints
from server.http.pages import StaticFile, page_endpoints, read_web_files
from server.http.refusals import (
    HttpRefusal,
    on_http_exception,
    on_refusal,
    on_store_unavailable,
    unavailable,
)
from server.http.security_headers import SecurityHeaders
from server.state import ServerState


def build_http_app(
    state: ServerState, *, web_files: Mapping[str, StaticFile] | None = None
) -> Starlette:
    """Put the HTTP rooms together.

    Args:
        state: Shared with the rest of the server; may gain its engine and catalog later.
        web_files: The page; read from the source tree when not given.
    """
    list_models, get_model = model_endpoints(state)
    conversations = conversation_endpoints(state)
    list_characters, get_character = character_endpoints(state)
    picture, card = card_file_endpoints(state)
    upload = CardUpload(state)
    index, static = page_endpoints(read_web_files() if web_files is None else web_files)

    def read(path: str, endpoint: Endpoint, scope: Scope | None = None) -> Route:
        return Route(
            path, guarded(state, endpoint, scope=scope, takes_secrets=True), methods=["GET"]
        )

    def keyed(path: str, endpoint: Endpoint, scope: Scope | None, method: str = "POST") -> Route:
        """What a client secret, which any page's visitor may hold, is not enough for."""
        return Route(path, guarded(state, endpoint, scope=scope), methods=[method])

    all_conversations = "/v1/conversations"
    one_conversation = f"{all_conversations}/{{conversation_id}}"
    return Starlette(
        routes=[
            Route("/", index, methods=["GET"]),
            Route("/static/{name:path}", static, methods=["GET"]),
            *(Route(path, one, methods=["GET"]) for path, one in health_endpoints(state).items()),
            read("/v1/models", list_models),
            read("/v1/models/{model:path}", get_model),
            read("/v1/characters", list_characters),
            keyed("/v1/characters", upload.create, Scope.CHARACTERS_WRITE),
            read("/v1/characters/{id}", get_character),
            keyed("/v1/characters/{id}", upload.delete, Scope.CHARACTERS_WRITE, "DELETE"),
            read("/v1/characters/{id}/picture", picture),
            keyed("/v1/characters/{id}/card", card, None, "GET"),
            keyed(all_conversations, conversations.list, Scope.CONVERSATIONS, "GET"),
            keyed(all_conversations, conversations.erase_all, Scope.CONVERSATIONS, "DELETE"),
            keyed(f"{all_conversations}/export", conversations.export, Scope.CONVERSATIONS, "GET"),
            keyed(one_conversation, conversations.get, Scope.CONVERSATIONS, "GET"),
            keyed(one_conversation, conversations.erase, Scope.CONVERSATIONS, "DELETE"),
            read("/v1/engine/live", _live_endpoint(state), Scope.REALTIME),
            keyed("/v1/chat/completions", completions_endpoint(state), Scope.CHAT),
            keyed("/v1/admin/keys", keys_endpoint(state), Scope.ADMIN, "GET"),
            keyed("/v1/realtime/client_secrets", client_secrets_endpoint(state), Scope.REALTIME),
        ],
        middleware=_middleware(state),
        exception_handlers={
            HttpRefusal: on_refusal,
            HTTPException: on_http_exception,
            StoreUnavailable: on_store_unavailable,
        },
    )


def _middleware(state: ServerState) -> list[Middleware]:
    layers = [
        Middleware(SecurityHeaders),
        Middleware(HostGuard, state.settings),
        Middleware(CrashGuard),
    ]
    origins = state.settings.auth.allowed_origins
    if origins:
        layers.insert(
            1,
            Middleware(
                CORSMiddleware,
                allow_origins=list(origins),
                allow_methods=["GET", "POST", "DELETE"],
                allow_headers=["*"],
            ),
        )
    return layers


def _live_endpoint(state: ServerState) -> Endpoint:
    views: list[LiveView] = []

    async def watch_engine(request: Request) -> Response:
        engine = state.engine
        if engine is None:
            raise unavailable("loading", "the model is being loaded; try again in a few seconds")
        if not views:
            views.append(LiveView(engine))
        credential = request.state.credential

        def is_over() -> bool:
            is_good = state.auth.is_still_good(credential, time.time(), Scope.REALTIME)
            return state.is_draining or not is_good

        return EventStream(views[0].watch(is_over=is_over))

    return watch_engine
