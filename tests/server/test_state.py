"""What the server says of its own health."""

from __future__ import annotations

import pytest

from server.characters.catalog import Catalog
from server.config_loader import load_settings
from server.state import ServerState, livez, readyz
from tests.support.fake_engine import FakeEngine


@pytest.fixture
def state() -> ServerState:
    """A server whose engine is loaded."""
    return ServerState(
        settings=load_settings().settings, catalog=Catalog("fake", []), engine=FakeEngine()
    )


def test_a_loaded_server_is_ready(state: ServerState) -> None:
    """All is well."""
    assert (readyz(state).status, livez(state).status) == (200, 200)


def test_it_is_not_ready_before_the_engine(state: ServerState) -> None:
    """But alive."""
    state.engine = None
    assert (readyz(state).status, livez(state).status) == (503, 200)


def test_it_is_not_ready_while_draining(state: ServerState) -> None:
    """But alive."""
    state.is_draining = True
    assert (readyz(state).status, livez(state).status) == (503, 200)


def test_a_dead_engine_is_not_ready(state: ServerState) -> None:
    """Whoever routes should go elsewhere."""
    state.engine = FakeEngine(is_alive=False)
    assert readyz(state).status == 503


def test_an_engine_without_progress_is_not_ready(state: ServerState) -> None:
    """It says that it lives, but nothing comes."""
    state.engine = FakeEngine(seconds_since_progress=31.0)
    assert readyz(state).status == 503
    assert "31 s" in readyz(state).reason


def test_an_engine_that_is_being_restarted_is_not_ready(state: ServerState) -> None:
    """But the process should be left alone."""
    engine = FakeEngine()
    state.engine = engine
    engine.stumble()
    assert (readyz(state).status, livez(state).status) == (503, 200)
    assert readyz(state).reason == "the engine is being restarted"
    engine.rise()
    assert readyz(state).status == 200
