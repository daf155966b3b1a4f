"""Where keys are shown, and where they are not."""

from __future__ import annotations

import pytest

from server.auth.presented import key_from_bearer, key_from_subprotocols, query_hint


@pytest.mark.parametrize(
    ("header", "key"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("Basic abc", None),
        ("Bearer", None),
        ("Bearer ", None),
        ("", None),
        (None, None),
    ],
)
def test_a_bearer_header_holds_a_key(header: str | None, key: str | None) -> None:
    """Only the bearer scheme counts."""
    assert key_from_bearer(header) == key


def test_a_browser_offers_its_key_as_a_subprotocol() -> None:
    """The SDKs' prefix is taken off, others are ignored."""
    offered = ["realtime", "openai-organization.x", "openai-insecure-api-key.sk-1"]
    assert key_from_subprotocols(offered) == "sk-1"
    assert key_from_subprotocols(["realtime", "openai-insecure-api-key."]) is None


@pytest.mark.parametrize("name", ["api_key", "API_KEY", "access_token", "token", "key"])
def test_a_key_in_the_query_is_explained(name: str) -> None:
    """And counts as known to others."""
    hint = query_hint(["model", name])
    assert hint is not None
    assert "Authorization: Bearer" in hint
    assert "new one" in hint


def test_other_fields_are_no_keys() -> None:
    """Nothing is said about them."""
    assert query_hint(["model", "events", "keys", "resume"]) is None
