"""``GET /v1/characters``: who can be talked to, with all that a page needs to draw them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response

from server.characters.character import Character
from server.characters.persona import read_greetings
from server.errors import shorten
from server.http.guard import Endpoint
from server.http.refusals import HttpRefusal, json_response
from server.protocol.character_objects import LocalizedText
from server.state import ServerState

MAX_GREETING_CHARACTERS = 32 * 1024
"""Of all greetings of one character together, as they are listed."""


def character_endpoints(state: ServerState) -> tuple[Endpoint, Endpoint]:
    """Make the endpoints of ``/v1/characters`` and ``/v1/characters/{id}``."""

    async def list_characters(request: Request) -> Response:
        people = state.catalog.characters_of(request.state.principal)
        shown = [describe(state, character) for character in people]
        return json_response({"object": "list", "data": shown})

    async def get_character(request: Request) -> Response:
        return json_response(describe(state, find_character(state, request)))

    return list_characters, get_character


def find_character(state: ServerState, request: Request) -> Character:
    """Look up whom a path names.

    Raises:
        HttpRefusal: 404 where whoever asks can talk to nobody of that id.
    """
    id = request.path_params["id"]
    character = state.catalog.find(id, request.state.principal)
    if character is None:
        raise HttpRefusal(
            404,
            f"there is no character {shorten(id)}; GET /v1/characters lists them",
            code="character_not_found",
            param="id",
        )
    return character


def describe(state: ServerState, character: Character) -> dict[str, object]:
    """One character as the wire shows it: never its prompt, and languages only where it has them.

    A greeting keeps its expression tags: whoever shows it also makes the face, and puts it into
    the conversation as the model would have said it. Its macros have values, the user being called
    as where nobody has said how.
    """
    greetings = list(_shown(read_greetings(character)))
    shown: dict[str, object] = {
        "id": character.id,
        "name": _languages(character.name),
        "description": _languages(character.description),
        "greeting": greetings[0] if greetings else {},
        "greetings": greetings,
        "expressions": list(character.expressions),
        "avatar": dict(character.avatar),
        "has_lore": any(book.entries for book in character.books),
        "tags": list(character.tags),
        "uploaded": not state.catalog.is_configured(character.id),
    }
    if character.picture is not None:
        shown["picture"] = f"/v1/characters/{quote(character.id)}/picture"
    return shown


def _shown(greetings: Iterable[LocalizedText]) -> Iterator[dict[str, str]]:
    """Greetings as far as a list of characters has room for them; the first is there, cut."""
    room = MAX_GREETING_CHARACTERS
    for index, greeting in enumerate(greetings):
        length = len(greeting.en) + len(greeting.ja or "")
        if length > room and index:
            return
        ja = None if greeting.ja is None else greeting.ja[:MAX_GREETING_CHARACTERS]
        yield _languages(LocalizedText(en=greeting.en[:MAX_GREETING_CHARACTERS], ja=ja))
        room -= length


def _languages(text: LocalizedText) -> dict[str, str]:
    return {language: words for language, words in (("en", text.en), ("ja", text.ja)) if words}
