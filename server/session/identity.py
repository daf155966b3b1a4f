"""Whether a ``session.update`` speaks of the session that it is sent to."""

from __future__ import annotations

from msgspec import UNSET

from server.characters.catalog import ResolvedModel
from server.errors import InvalidValue, shorten
from server.protocol.objects import SessionPatch


def check_identity(
    patch: SessionPatch, choice: ResolvedModel, known_models: frozenset[str] | None
) -> None:
    """Refuse a change of what a session is to its end.

    Args:
        patch: What the client sent.
        choice: Who answers in this session.
        known_models: Names that it may be meant to switch to; any other is passed over. ``None``
            refuses every name but the session's.

    Raises:
        InvalidValue: The type or the model is another one.
    """
    if patch.type not in (UNSET, None, "realtime"):
        raise InvalidValue(
            "session.type",
            f"session.type is {shorten(patch.type)}; this server has 'realtime' sessions only",
        )
    names = {choice.model}
    if choice.character:
        names |= {choice.character.id, f"{choice.engine}@{choice.character.id}"}
    is_other = patch.model not in (UNSET, None) and patch.model not in names
    if is_other and (known_models is None or patch.model in known_models):
        raise InvalidValue(
            "session.model",
            f"session.model is {shorten(patch.model)}, but this session is with "
            f"{shorten(choice.model)} to its end; connect anew with ?model=",
        )
