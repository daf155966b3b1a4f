"""Every answer that says no, in OpenAI's error shape, with the right status and no internals."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Mapping

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from engine.errors import EngineDead, EngineError, RequestError
from server.errors import ProtocolError, StoreUnavailable

logger = logging.getLogger(__name__)

RETRY_AFTER_S = 2
"""What a refusal for want of room advises; the queue moves on in seconds."""

_INVALID = "invalid_request_error"
_UNAVAILABLE_CODES = frozenset({"queue_full", "engine_dead", "draining"})
_INVALID_CODES = frozenset(
    {
        "chat_template_refused",
        "context_length_exceeded",
        "duplicate_request",
        "invalid_grammar",
        "invalid_parameter",
        "invalid_request",
        "kv_budget_exceeded",
    }
)
_ROUTING = {
    404: ("not_found", "there is nothing at this address; the API lives under /v1"),
    405: ("method_not_allowed", "this address does not take that method"),
}


class HttpRefusal(Exception):
    """A request that is answered with an error.

    Attributes:
        status: HTTP status.
        message: One sentence for people: the value, the limit, the way out.
        kind: OpenAI's ``error.type``.
        code: Stable machine-readable name, if there is one.
        param: The field at fault, if there is one.
        retry_after_s: Seconds for the ``Retry-After`` header, if trying again makes sense.
    """

    def __init__(
        self,
        status: int,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        kind: str = _INVALID,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.kind = kind
        self.code = code
        self.param = param
        self.retry_after_s = retry_after_s

    def as_error(self) -> dict[str, object]:
        """The JSON object that goes to the wire."""
        return {
            "error": {
                "message": self.message,
                "type": self.kind,
                "param": self.param,
                "code": self.code,
            }
        }

    def as_response(self) -> Response:
        """The whole HTTP answer."""
        headers: dict[str, str] = {}
        if self.retry_after_s is not None:
            headers["Retry-After"] = str(self.retry_after_s)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return json_response(self.as_error(), status=self.status, headers=headers)


def json_response(
    content: object, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> Response:
    """Answer with JSON that nobody keeps."""
    return Response(
        msgspec.json.encode(content),
        status_code=status,
        headers={"Cache-Control": "no-store", **(headers or {})},
        media_type="application/json",
    )


def invalid(param: str | None, message: str, *, code: str = "invalid_value") -> HttpRefusal:
    """A 400 that names the field at fault."""
    return HttpRefusal(400, message, code=code, param=param)


def from_protocol_error(error: ProtocolError) -> HttpRefusal:
    """Translate what rooms that both wires share say of a request."""
    return invalid(error.param, error.message, code=error.code)


def unavailable(code: str, message: str, *, retry_after_s: int = RETRY_AFTER_S) -> HttpRefusal:
    """A 503 that says when to come back."""
    return HttpRefusal(503, message, code=code, kind="server_error", retry_after_s=retry_after_s)


def internal() -> HttpRefusal:
    """A 500 that tells nothing."""
    return HttpRefusal(
        500, "the server failed to answer; its log says why", code="internal", kind="server_error"
    )


def from_code(
    code: str | None,
    message: str | None,
    param: str | None = None,
    retry_after_s: float | None = None,
) -> HttpRefusal:
    """Translate how the engine ended a request; only request faults keep their sentence."""
    if code in _INVALID_CODES:
        param = "messages" if param == "prompt" else param  # a chat has no field of that name
        return invalid(param, message or "the engine refused the request", code=code)
    if code == "queue_full":
        seconds = RETRY_AFTER_S if retry_after_s is None else max(1, math.ceil(retry_after_s))
        message = message or "the queue is full; try again in a few seconds"
        return unavailable(code, message, retry_after_s=seconds)
    if code in _UNAVAILABLE_CODES:
        return unavailable(code, "the engine is not available; try again in a few seconds")
    logger.warning("a request failed with engine code %s", code)
    return HttpRefusal(
        500, "the engine failed on this request; others go on", code=code, kind="server_error"
    )


def from_engine_error(error: EngineError) -> HttpRefusal:
    """Translate an engine error raised before anything was submitted."""
    if isinstance(error, EngineDead | RequestError):
        return from_code(error.code, error.message, error.param)
    logger.error("unexpected engine error %s", error.code)
    return internal()


_PATH = re.compile(r" - at `(?:key in )?\$\.?(?P<path>[^`]*)`$")
_TYPE_NAMES = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}


def from_validation(error: msgspec.DecodeError) -> HttpRefusal:
    """Translate a decoding failure; the sentence of msgspec names types only, never values."""
    text = str(error)
    if not isinstance(error, msgspec.ValidationError):
        return invalid(None, "the body is not valid JSON", code="invalid_json")
    match = _PATH.search(text)
    path = match["path"] if match else ""
    text = text[: match.start()] if match else text
    text = re.sub(r"`([^`]*)`", lambda m: _plain_types(m[1]), text)
    missing = re.fullmatch(r"Object missing required field (\w+)", text)
    if missing:
        path = f"{path}.{missing[1]}" if path else missing[1]
        return invalid(path, f"{path} is missing", code="missing_required_parameter")
    sentence = text[:1].lower() + text[1:]
    return invalid(path or None, f"{path}: {sentence}" if path else sentence, code="invalid_value")


def _plain_types(names: str) -> str:
    return " or ".join(
        _TYPE_NAMES.get(name, name) for name in names.split(" | ") if name != "null"
    ) or ("null")


async def on_refusal(_request: Request, error: Exception) -> Response:
    """Starlette's handler for our own refusals."""
    assert isinstance(error, HttpRefusal)
    return error.as_response()


async def on_store_unavailable(_request: Request, error: Exception) -> Response:
    """Starlette's handler for a store that cannot be reached, whoever asked it."""
    assert isinstance(error, StoreUnavailable)
    return unavailable(error.code, error.message).as_response()


async def on_http_exception(_request: Request, error: Exception) -> Response:
    """Starlette's handler for what its router raises: unknown routes and methods."""
    assert isinstance(error, HTTPException)
    code, message = _ROUTING.get(error.status_code, ("bad_request", "the request was refused"))
    refusal = HttpRefusal(error.status_code, message, code=code)
    response = refusal.as_response()
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response
