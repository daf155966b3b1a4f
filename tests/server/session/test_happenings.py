"""What the model reads of the world."""

from __future__ import annotations

import pytest

from server.errors import InvalidValue, LimitExceeded
from server.session.happenings import MAX_BYTES, MAX_NAME, describe_trigger


def test_a_trigger_is_told_with_its_details() -> None:
    """As JSON, in any script."""
    note = describe_trigger("gift  received", {"from": "葵", "coins": 3})
    assert note == 'This has just happened: gift received {"from": "葵", "coins": 3}. React to it.'


def test_a_trigger_may_have_no_details() -> None:
    """Then its name is all."""
    assert describe_trigger("rain", {}) == "This has just happened: rain. React to it."


@pytest.mark.parametrize("name", ["", "   ", "x" * (MAX_NAME + 1)])
def test_a_name_is_short_and_not_empty(name: str) -> None:
    """The length is told."""
    with pytest.raises(InvalidValue, match=str(MAX_NAME)):
        describe_trigger(name, {})


def test_details_are_bounded() -> None:
    """In bytes, as they are read."""
    with pytest.raises(LimitExceeded, match=str(MAX_BYTES)):
        describe_trigger("x", {"text": "あ" * MAX_BYTES})
