"""Request bodies: bounded while they arrive, and of the kind that is asked for."""

from __future__ import annotations

from starlette.requests import ClientDisconnect, Request

from server.http.refusals import HttpRefusal

MAX_BODY_BYTES = 1 << 20
"""Far above any context window that this server runs; a larger body is a mistake or an attack."""


async def read_json_body(request: Request, *, limit: int = MAX_BODY_BYTES) -> bytes:
    """Collect the body and stop at the first byte too many.

    Raises:
        HttpRefusal: 415 when it does not claim to be JSON (which also keeps foreign web pages
            from posting without a preflight), 413 when it is too long.
    """
    media_type = media_type_of(request)
    if media_type != "application/json" and not media_type.endswith("+json"):
        raise HttpRefusal(
            415,
            "the body must be JSON, sent with Content-Type: application/json",
            code="unsupported_media_type",
        )
    return await read_body(request, limit=limit, way_out="shorten the conversation")


def media_type_of(request: Request) -> str:
    """What the body claims to be, in lower case and without parameters; empty for nothing."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_body(request: Request, *, limit: int, way_out: str) -> bytes:
    """Collect the body, whatever it is, and stop at the first byte too many.

    Raises:
        HttpRefusal: 413 when it is too long, with ``way_out`` behind the limit.
    """
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > limit:
        raise _too_large(limit, way_out)
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > limit:
                raise _too_large(limit, way_out)
    except ClientDisconnect:
        raise HttpRefusal(400, "the client left before its body ended") from None
    return bytes(body)


def _too_large(limit: int, way_out: str) -> HttpRefusal:
    return HttpRefusal(
        413,
        f"the body is larger than {limit} bytes; {way_out}",
        code="request_too_large",
    )
