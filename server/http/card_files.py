"""What a character can be taken home as: its picture, and its card in any format.

Both hold what strangers have made, so a browser is told to run nothing of it.
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import get_args

from starlette.requests import Request
from starlette.responses import Response

from server.cards.write import Format, write_card
from server.characters.card_export import card_of
from server.errors import CardError, shorten
from server.http.characters import find_character
from server.http.guard import Endpoint
from server.http.refusals import HttpRefusal, invalid
from server.state import ServerState

HARMLESS = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cache-Control": "private, no-cache",
}
_MEDIA_TYPES: dict[Format, str] = {
    "json": "application/json",
    "png": "image/png",
    "charx": "application/zip",
}
_VERSIONS = {"": None, "v1": 1, "v2": 2, "v3": 3}


def card_file_endpoints(state: ServerState) -> tuple[Endpoint, Endpoint]:
    """Make the endpoints of ``/v1/characters/{id}/picture`` and ``/v1/characters/{id}/card``."""

    async def picture(request: Request) -> Response:
        character = find_character(state, request)
        if character.picture is None:
            raise HttpRefusal(
                404,
                f"{shorten(character.id)} has no picture; draw it by its avatar",
                code="picture_not_found",
            )
        content = character.picture.content
        digest = hashlib.blake2b(content, digest_size=12).hexdigest()
        headers = {**HARMLESS, "ETag": f'"{digest}"', "Content-Disposition": "inline"}
        if f'"{digest}"' in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=headers)
        return Response(content, headers=headers, media_type=character.picture.media_type)

    async def card(request: Request) -> Response:
        character = find_character(state, request)
        format = _format(request.query_params.get("format", "json"))
        version = _version(request.query_params.get("spec", ""))
        try:
            content = await asyncio.get_running_loop().run_in_executor(
                state.prompt_threads,
                lambda: write_card(card_of(character), format, version=version),
            )
        except CardError as error:
            raise invalid("format", str(error), code=error.code) from None
        # An id holds nothing that a header could be broken with.
        disposition = f'attachment; filename="{character.id}.{format}"'
        headers = {**HARMLESS, "Content-Disposition": disposition}
        return Response(content, headers=headers, media_type=_MEDIA_TYPES[format])

    return picture, card


def _format(name: str) -> Format:
    for format in _MEDIA_TYPES:
        if name == format:
            return format
    raise invalid(
        "format", f"format is {shorten(name)}; it must be one of {', '.join(get_args(Format))}"
    )


def _version(name: str) -> int | None:
    if name not in _VERSIONS:
        raise invalid("spec", f"spec is {shorten(name)}; it must be v1, v2 or v3, or be left out")
    return _VERSIONS[name]
