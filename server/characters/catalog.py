"""Which characters and engine there are, and what a client's ``model`` means.

Characters that the operator names are everybody's. Those that clients send while the server runs
are seen only by whoever asks in the same name (``server.characters.uploads``); a caller that says
no name sees none of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from server.characters.character import Character
from server.characters.uploads import Uploads
from server.errors import CharacterTaken, ModelNotFound


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

    def __init__(
        self,
        engine_name: str,
        characters: Iterable[Character],
        *,
        uploads: Uploads | None = None,
    ) -> None:
        """Hold the characters; the first is the default.

        Args:
            engine_name: Public.
            characters: The operator's, in order.
            uploads: Where those go that are sent later.

        Raises:
            ValueError: Two characters have one id.
        """
        self._engine_name = engine_name
        self._characters: dict[str, Character] = {}
        for character in characters:
            if character.id in self._characters:
                raise ValueError(f"two characters have the id {character.id!r}; rename one")
            self._characters[character.id] = character
        self._uploads = Uploads() if uploads is None else uploads

    @property
    def engine_name(self) -> str:
        """The engine's public name."""
        return self._engine_name

    @property
    def characters(self) -> tuple[Character, ...]:
        """The operator's, in order."""
        return tuple(self._characters.values())

    def characters_of(self, principal: str) -> tuple[Character, ...]:
        """All whom somebody can talk to: the operator's, then its own."""
        return (*self.characters, *self._uploads.of(principal))

    @property
    def default_character(self) -> Character | None:
        """Who answers when nobody was named; ``None`` when there is no character."""
        return next(iter(self._characters.values()), None)

    @property
    def model_names(self) -> list[str]:
        """What everybody can name: the operator's characters, then the engine."""
        return self.model_names_of("")

    def model_names_of(self, principal: str) -> list[str]:
        """What ``GET /v1/models`` lists for somebody: the characters, then the engine."""
        names = [character.id for character in self.characters_of(principal)]
        return names if self._engine_name in names else [*names, self._engine_name]

    def default(self) -> ResolvedModel:
        """The choice of a client that named nothing."""
        character = self.default_character
        name = character.id if character else self._engine_name
        return ResolvedModel(name, self._engine_name, character)

    def __contains__(self, model: object) -> bool:
        """Whether a client that names ``model`` means something here, whoever it is."""
        return isinstance(model, str) and self.knows(model)

    def knows(self, model: str, principal: str = "") -> bool:
        """Whether a client that names ``model`` means something here."""
        try:
            return bool(model) and bool(self.resolve(model, principal=principal))
        except ModelNotFound:
            return False

    def find(self, id: str, principal: str = "") -> Character | None:
        """Look a character up by its id; ``None`` where this client can talk to none of it."""
        return self._characters.get(id) or self._uploads.find(id, principal)

    def is_configured(self, id: str) -> bool:
        """Whether a character is the operator's."""
        return id in self._characters

    def resolve(self, model: str | None, *, principal: str = "") -> ResolvedModel:
        """Find out what a client means; nothing or an empty name is the default.

        Args:
            model: As the client wrote it.
            principal: In whose name it asks; empty for what is everybody's.

        Raises:
            ModelNotFound: There is no such model; the message lists what there is.
        """
        if not model:
            return self.default()
        if model in self._characters:
            return ResolvedModel(model, self._engine_name, self._characters[model])
        if model == self._engine_name:
            return ResolvedModel(model, self._engine_name)
        character = self.find(model.removeprefix(f"{self._engine_name}@"), principal)
        if character is not None:
            return ResolvedModel(model, self._engine_name, character)
        raise ModelNotFound(model, self.model_names_of(principal))

    def check_upload(
        self, character: Character, principal: str, num_bytes: int | None = None
    ) -> None:
        """Find out whether a character could be taken in.

        Args:
            character: To be taken in.
            principal: Who sends it.
            num_bytes: Its ``server.characters.uploads.footprint``, where that is known already.

        Raises:
            CharacterTaken: The operator has named one so, or the engine.
            LimitExceeded: There are too many, or they take too much.
        """
        if self.is_configured(character.id) or character.id == self._engine_name:
            raise CharacterTaken(character.id)
        self._uploads.check_room(character, principal, num_bytes)

    def put_upload(
        self, character: Character, principal: str, num_bytes: int | None = None
    ) -> bool:
        """Take in what somebody sends; returns whether it replaces another of that id.

        Args:
            character: To be taken in.
            principal: Who sends it.
            num_bytes: See ``check_upload``.

        Raises:
            CharacterTaken: See ``check_upload``; nothing is changed.
            LimitExceeded: Likewise.
        """
        self.check_upload(character, principal, num_bytes)
        return self._uploads.put(character, principal, num_bytes)

    def remove_upload(self, id: str, principal: str) -> bool:
        """Forget what somebody has sent; returns whether there was one. Sessions go on with it."""
        return self._uploads.remove(id, principal)
