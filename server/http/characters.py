"""``GET /v1/characters``: who can be talked to, with all that a page needs to draw them."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from server.characters.character import Character
from server.http.guard import Endpoint
from server.http.refusals import json_response
from server.state import ServerState


def characters_endpoint(state: ServerState) -> Endpoint:
    """Make the endpoint of ``/v1/characters``."""

    async def list_characters(_request: Request) -> Response:
        people = [describe(character) for character in state.catalog.characters]
        return json_response({"object": "list", "data": people})

    return list_characters


def describe(character: Character) -> dict[str, object]:
    """One character as the wire shows it: never its prompt, and languages only where it has them.

    A greeting keeps its expression tags: whoever shows it also makes the face, and puts it into
    the conversation as the model would have said it.
    """
    return {
        "id": character.id,
        "name": _languages(character.name.en, character.name.ja),
        "description": _languages(character.description.en, character.description.ja),
        "greeting": _languages(character.greeting.en, character.greeting.ja),
        "expressions": list(character.expressions),
        "avatar": dict(character.avatar),
    }


def _languages(en: str, ja: str | None) -> dict[str, str]:
    return {language: text for language, text in (("en", en), ("ja", ja)) if text}
