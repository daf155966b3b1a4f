"""What was refused, and why a reply failed, in the words that the client may hear."""

from __future__ import annotations

import math

from msgspec import UNSET

from engine.errors import EngineError
from engine.outputs import RequestDelta
from server.errors import ErrorCode, ErrorType, ProtocolError, RateLimited, ResponseFailed
from server.protocol.objects import ErrorDetail, FailureDetail
from server.protocol.server_events import ErrorEvent
from server.session.effects import Send

_CLIENTS_FAULT = frozenset(
    {
        "context_length_exceeded",
        "invalid_grammar",
        "invalid_parameter",
        "invalid_request",
        "kv_budget_exceeded",
    }
)
_FOR_CLIENTS = {"engine_dead": "the engine stopped; try again later"}
"""Instead of words that are meant for whoever runs the server."""
_TRY_LATER = frozenset({"queue_full"})


def refusal(error: ProtocolError) -> Send:
    """Tell a client of an error."""
    retry_after_ms = _retry_after_ms(error)
    detail = ErrorDetail(
        type=error.type,
        code=error.code,
        message=error.message,
        param=error.param,
        event_id=error.event_id,
        retry_after_ms=UNSET if retry_after_ms is None else retry_after_ms,
    )
    return Send(ErrorEvent(error=detail))


def from_delta(delta: RequestDelta) -> ProtocolError:
    """Read a request's terminal delta whose reason is ``error``."""
    return _make(
        delta.error_code or ErrorCode.SERVER_ERROR,
        delta.error_message or "the engine could not write this reply; ask again",
        delta.error_param,
        delta.retry_after_s,
    )


def from_exception(error: Exception) -> ProtocolError:
    """Read what stopped a reply from starting; of an unknown error only that it happened."""
    if isinstance(error, ProtocolError):
        return error
    if isinstance(error, EngineError):
        return _make(error.code, error.message, error.param, getattr(error, "retry_after_s", None))
    return _make(ErrorCode.SERVER_ERROR, "the server could not write this reply; ask again", None)


def engine_aborted() -> ProtocolError:
    """An abort that this session did not ask for."""
    return _make("engine_aborted", "the engine gave this reply up; ask again", None)


def describe(error: ProtocolError) -> FailureDetail:
    """Say it on the wire."""
    return FailureDetail(
        type=error.type,
        code=error.code,
        message=error.message,
        retry_after_ms=_retry_after_ms(error),
    )


def _retry_after_ms(error: ProtocolError) -> int | None:
    seconds = error.retry_after_s if isinstance(error, ResponseFailed | RateLimited) else None
    return None if seconds is None else math.ceil(seconds * 1000)


def _make(
    code: str, message: str, param: str | None, retry_after_s: float | None = None
) -> ResponseFailed:
    if code in _TRY_LATER:
        kind = ErrorType.RATE_LIMIT
    elif code in _CLIENTS_FAULT:
        kind = ErrorType.INVALID_REQUEST
    else:
        kind = ErrorType.SERVER
    message = _FOR_CLIENTS.get(code, message)
    return ResponseFailed(code, message, type=kind, param=param, retry_after_s=retry_after_s)
