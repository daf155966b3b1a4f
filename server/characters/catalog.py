"""Which characters and engine there are, and what a client's ``model`` means."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from server.characters.character import Character
from server.errors import ModelNotFound


@dataclass(frozen=True, slots=True)
class ResolvedModel:
    """What a client chose.

    Attributes:
        model: The name by which the session goes, as the client wrote it.
        engine: The engine that answers.
        character: Who answers; ``None`` for the bare model.
    """

    model: str
    engine: str
    character: Character | None = None


class Catalog:
    """Characters in their order, and the engine behind them.

    A name means, in this order: a character, the engine, ``<engine>@<character>``. An engine's
    name may hold ``@`` and ``/`` itself.
    """

    def __init__(self, engine_name: str, characters: Iterable[Character]) -> None:
        """Hold the characters; the first is the default.

        Raises:
            ValueError: Two characters have one id.
        """
        self._engine_name = engine_name
        self._characters: dict[str, Character] = {}
        for character in characters:
            if character.id in self._characters:
                raise ValueError(f"two characters have the id {character.id!r}; rename one")
            self._characters[character.id] = character

    @property
    def engine_name(self) -> str:
        """The engine's public name."""
        return self._engine_name

    @property
    def characters(self) -> tuple[Character, ...]:
        """All of them, in order."""
        return tuple(self._characters.values())

    @property
    def default_character(self) -> Character | None:
        """Who answers when nobody was named; ``None`` when there is no character."""
        return next(iter(self._characters.values()), None)

    @property
    def model_names(self) -> list[str]:
        """What ``GET /v1/models`` lists: the characters, then the engine."""
        names = list(self._characters)
        return names if self._engine_name in self._characters else [*names, self._engine_name]

    def default(self) -> ResolvedModel:
        """The choice of a client that named nothing."""
        character = self.default_character
        name = character.id if character else self._engine_name
        return ResolvedModel(name, self._engine_name, character)

    def find(self, character_id: str) -> Character | None:
        """Look a character up; ``None`` where there is none."""
        return self._characters.get(character_id)

    def __contains__(self, model: object) -> bool:
        """Whether a client that names ``model`` means something here."""
        try:
            return isinstance(model, str) and bool(model) and bool(self.resolve(model))
        except ModelNotFound:
            return False

    def resolve(self, model: str | None) -> ResolvedModel:
        """Find out what a client means; nothing or an empty name is the default.

        Raises:
            ModelNotFound: There is no such model; the message lists what there is.
        """
        if not model:
            return self.default()
        if model in self._characters:
            return ResolvedModel(model, self._engine_name, self._characters[model])
        if model == self._engine_name:
            return ResolvedModel(model, self._engine_name)
        character = self._characters.get(model.removeprefix(f"{self._engine_name}@"))
        if character is not None:
            return ResolvedModel(model, self._engine_name, character)
        raise ModelNotFound(model, self.model_names)
