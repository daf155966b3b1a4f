"""``POST /v1/chat/completions``: JSON, or events while the engine decodes."""

from __future__ import annotations

import asyncio
import logging

from starlette.requests import Request
from starlette.responses import Response

from server.auth.keys import tenant_of
from server.http.body import read_json_body
from server.http.completion_plan import engine_of, make_plan
from server.http.completion_reply import CompletionReply
from server.http.completions_body import parse_completion
from server.http.disconnects import ClientGone, run_while_connected
from server.http.event_stream import EventStream
from server.http.guard import Endpoint
from server.http.passages import Turnstile
from server.http.refusals import json_response
from server.state import ServerState

logger = logging.getLogger(__name__)

_CLIENT_CLOSED_REQUEST = 499
"""nginx's status for a client that left; nobody is there to read it."""


def completions_endpoint(state: ServerState) -> Endpoint:
    """Make the endpoint of ``/v1/chat/completions``."""

    async def complete(request: Request) -> Response:
        wanted = parse_completion(await read_json_body(request))
        address = request.client.host if request.client else ""
        turnstile = Turnstile(state, tenant_of(request.state.principal, address))
        turnstile.check(asyncio.get_running_loop().time())
        plan = await make_plan(state, wanted, request.state.principal, address)
        reply = CompletionReply(state, engine_of(state), plan, turnstile)
        if wanted.stream:
            return EventStream(reply.events(), headers=reply.headers)
        try:
            content = await run_while_connected(request.receive, reply.whole())
        except ClientGone:
            logger.debug("the client of %s left", plan.shape.completion_id)
            return Response(status_code=_CLIENT_CLOSED_REQUEST)
        return json_response(content, headers=reply.headers())

    return complete
