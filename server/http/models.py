"""``GET /v1/models``: what a client may name, in OpenAI's list shape, characters first."""

from __future__ import annotations

import time

from starlette.requests import Request
from starlette.responses import Response

from server.errors import ModelNotFound
from server.http.guard import Endpoint
from server.http.refusals import HttpRefusal, json_response
from server.state import ServerState

OWNER = "kaiwa"


def model_endpoints(state: ServerState) -> tuple[Endpoint, Endpoint]:
    """Make the endpoints of ``/v1/models`` and ``/v1/models/{id}``."""
    created = int(time.time())

    def describe(model: str) -> dict[str, object]:
        return {"id": model, "object": "model", "created": created, "owned_by": OWNER}

    async def list_models(request: Request) -> Response:
        names = state.catalog.model_names_of(request.state.principal)
        return json_response({"object": "list", "data": [describe(name) for name in names]})

    async def get_model(request: Request) -> Response:
        name = request.path_params["model"]
        try:
            state.catalog.resolve(name, principal=request.state.principal)
        except ModelNotFound as error:
            raise model_not_found(error) from None
        return json_response(describe(name))

    return list_models, get_model


def model_not_found(error: ModelNotFound) -> HttpRefusal:
    """A 404 that lists what there is."""
    return HttpRefusal(404, error.message, code=error.code, param=error.param)
