"""``POST /v1/characters``: a card that a client brings; ``DELETE /v1/characters/{id}``: away again.

A card belongs to whoever sent it. It is read in a thread, bounded in every way, a few at a time:
each may hold megabytes until it has been found good.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from engine.chat_template import ChatMessage
from server.cards.read import read_card
from server.characters.card_file import character_from_card, find_warnings
from server.characters.card_folder import CardFolder
from server.characters.character import Character
from server.characters.ids import ID_FORM, is_id
from server.characters.persona import read_persona
from server.characters.uploads import footprint
from server.conversation.prompt import MAX_REPLY_RESERVE
from server.errors import CardError, CharacterTaken, LimitExceeded, shorten
from server.http.body import media_type_of, read_body
from server.http.characters import describe, find_character
from server.http.multipart import SentFile, read_file
from server.http.refusals import RETRY_AFTER_S, HttpRefusal, invalid, json_response
from server.state import ServerState

logger = logging.getLogger(__name__)

MEDIA_TYPES = (
    *("image/png", "image/apng", "application/json", "application/zip", "multipart/form-data"),
    *("image/jpeg", "application/octet-stream"),
)
"""What a body may claim to be; what it is, is told by its content."""
MAX_AT_ONCE = 4
BODY_TIMEOUT_S = 60.0
MAX_FORM_BYTES = 64 * 1024
"""That a form may have around its file."""
_MOST_CHARACTERS_PER_TOKEN = 32
"""A text longer than this is not worth counting; it cannot fit."""


class CardUpload:
    """The endpoints, and what runs in them."""

    def __init__(self, state: ServerState) -> None:
        self._state = state
        folder = state.settings.characters.folder
        self._folder = None if folder is None else CardFolder(folder)
        self._num_running = 0
        self._changing = asyncio.Lock()  # what is checked holds until it is written

    async def create(self, request: Request) -> Response:
        """Take a card in; 201 with the character, or 200 where it replaces one of that id."""
        if self._num_running >= MAX_AT_ONCE:
            raise HttpRefusal(
                429,
                f"{self._num_running} cards are being read; try again in a few seconds",
                code="too_many_uploads",
                kind="rate_limit_error",
                retry_after_s=RETRY_AFTER_S,
            )
        self._num_running += 1
        try:
            return await self._create(request)
        finally:
            self._num_running -= 1

    async def delete(self, request: Request) -> Response:
        """Forget a card."""
        principal: str = request.state.principal
        async with self._changing:
            character = find_character(self._state, request)
            if self._state.catalog.is_configured(character.id):
                raise HttpRefusal(
                    403,
                    f"{shorten(character.id)} is a character of the server itself; only what was "
                    "uploaded can be deleted",
                    code="character_not_uploaded",
                    param="id",
                )
            if self._folder is not None:
                await self._on_disk(partial(self._folder.remove, character.id, principal))
            self._state.catalog.remove_upload(character.id, principal)
        return json_response({"id": character.id, "object": "character.deleted", "deleted": True})

    async def _create(self, request: Request) -> Response:
        id = request.query_params.get("id", "")
        if id and not is_id(id):
            raise invalid("id", f"id is {shorten(id)}; it must be {ID_FORM}")
        principal: str = request.state.principal
        content_type, body = await self._read(request)
        loop = asyncio.get_running_loop()
        character, num_bytes, warnings = await loop.run_in_executor(
            self._state.prompt_threads, lambda: self._make(content_type, body, id)
        )
        async with self._changing:
            try:
                self._state.catalog.check_upload(character, principal, num_bytes)
                if self._folder is not None:
                    await self._on_disk(partial(self._folder.write, character, principal))
                is_other = self._state.catalog.put_upload(character, principal, num_bytes)
            except CharacterTaken as error:
                raise HttpRefusal(409, error.message, code=error.code, param="id") from None
            except LimitExceeded as error:
                raise HttpRefusal(507, error.message, code=error.code) from None
        shown = {**describe(self._state, character), "warnings": warnings}
        return json_response(
            shown,
            status=200 if is_other else 201,
            headers={"Location": f"/v1/characters/{character.id}"},
        )

    async def _read(self, request: Request) -> tuple[str, bytes]:
        media_type = media_type_of(request)
        if media_type not in MEDIA_TYPES:
            raise HttpRefusal(
                415,
                f"Content-Type is {shorten(media_type)}; it must be one of "
                f"{', '.join(MEDIA_TYPES)}",
                code="unsupported_media_type",
            )
        limit = self._state.settings.limits.max_card_bytes
        limit += MAX_FORM_BYTES if media_type == "multipart/form-data" else 0
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                body = await read_body(
                    request,
                    limit=limit,
                    way_out="take embedded files out of the card, or raise limits.max_card_bytes",
                )
        except TimeoutError:
            raise HttpRefusal(
                408, f"the body did not come within {BODY_TIMEOUT_S:g} s", code="request_timeout"
            ) from None
        return request.headers.get("content-type", ""), body

    def _make(self, content_type: str, body: bytes, id: str) -> tuple[Character, int, list[str]]:
        """Read a card and say what it takes and what is to be known of it; in a thread."""
        is_form = content_type.strip().lower().startswith("multipart/")
        sent = read_file(content_type, body) if is_form else SentFile("card", body)
        try:
            character = character_from_card(read_card(sent.content, file=sent.name), id=id)
        except CardError as error:  # of this server's own extension it does not know the file
            error = error.in_file(sent.name)
            status = 413 if error.code == "card_too_large" and not error.key else 400
            raise HttpRefusal(status, str(error), code=error.code, param=error.key) from None
        warnings = [*find_warnings(character), *self._find_little_room(character)]
        return character, footprint(character), warnings

    def _find_little_room(self, character: Character) -> list[str]:
        engine = self._state.engine
        if engine is None:
            return []
        head = read_persona(character).head
        room = engine.info.max_model_len - (character.max_output_tokens or MAX_REPLY_RESERVE)
        what = f"{len(head)} characters"
        if len(head) <= _MOST_CHARACTERS_PER_TOKEN * room:
            num_tokens = len(engine.tokenizer.encode_chat([ChatMessage("system", head)]))
            if num_tokens <= room:
                return []
            what = f"{num_tokens} tokens"
        return [
            f"what the model reads of it comes to {what}, but only {max(room, 0)} tokens fit into "
            "the context beside a reply; shorten it, or serve a model with a longer context"
        ]

    async def _on_disk(self, do: Callable[[], None]) -> None:
        try:
            await asyncio.get_running_loop().run_in_executor(self._state.prompt_threads, do)
        except CardError as error:
            raise HttpRefusal(400, str(error), code=error.code, param=error.key) from None
        except OSError as error:
            logger.error("the folder of uploaded cards cannot be written: %s", error)
            raise HttpRefusal(
                507,
                "the server cannot store the card now; its log says why",
                code="storage_failed",
                kind="server_error",
            ) from None
