"""How a session is set up."""

from __future__ import annotations

import pytest

from server.errors import ProtocolError
from server.protocol.character_objects import CharacterPatch, MemorySetting
from server.protocol.objects import ConversationObject, SessionPatch
from server.session.context import SessionContext
from server.session.settings import SessionLimits, SessionSettings
from server.session.setup import Setup
from tests.server.talk import CATALOG


def make(**context: object) -> Setup:
    """Aoi's, as the server has it."""
    choice = CATALOG.resolve("aoi")
    return Setup(
        session_id="sess_t",
        choice=choice,
        limits=SessionLimits(),
        context=SessionContext(**context),  # type: ignore[arg-type]
        settings=SessionSettings.for_model(choice),
    )


def test_a_refused_patch_changes_nothing() -> None:
    """Not even the events that it asks for."""
    setup = make()
    before = setup.settings
    patch = CharacterPatch(events=["character.v1"], user_name="x" * 65)
    with pytest.raises(ProtocolError):
        setup.configure(SessionPatch(character=patch))
    assert setup.settings is before
    assert setup.granted == frozenset()


def test_what_the_client_leaves_open_the_server_chooses() -> None:
    """Who writes the summary, and how replies are taken in."""
    setup = make(listener="speech", writes_summaries=True)
    assert setup.listener.kind == "speech"
    assert setup.memory == MemorySetting(auto=True)
    patch = CharacterPatch(memory=MemorySetting(summary="They met.", auto=False))
    setup.configure(SessionPatch(character=patch))
    assert setup.memory == MemorySetting(summary="They met.", auto=False)


def test_a_client_may_forbid_that_turns_go() -> None:
    """By ``truncation``."""
    setup = make()
    assert setup.evicts
    setup.configure(SessionPatch(truncation="disabled"))
    assert not setup.evicts


def test_events_change_what_the_model_reads() -> None:
    """Who sees faces has a model that knows of tags."""
    setup = make()
    before = setup.system_text
    setup.configure(SessionPatch(character=CharacterPatch(events=["character.expression"])))
    assert setup.system_text != before
    shown = setup.describe(ConversationObject(id="conv_t", num_items=0), None)
    assert shown.character.events == ["character.expression"]
