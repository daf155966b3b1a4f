"""The last resort: a handler that failed is logged here, and its client is told nothing of it."""

from __future__ import annotations

import logging

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from server.http.refusals import internal
from server.log_lines import bare

logger = logging.getLogger(__name__)


class CrashGuard:
    """Middleware; turns an unexpected exception into a 500 in OpenAI's shape.

    After the head has gone out there is no telling the client any more: the exception goes on to
    the HTTP protocol, which cuts the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything on, and watch."""
        has_started = False

        async def watched_send(message: Message) -> None:
            nonlocal has_started
            has_started = has_started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self._app(scope, receive, watched_send)
        except Exception as error:
            if has_started or scope["type"] != "http":
                raise
            logger.error("a request handler failed", exc_info=bare(error))
            await internal().as_response()(scope, receive, watched_send)
