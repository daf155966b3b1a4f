"""The lengths and languages that a client may ask for."""

from __future__ import annotations

import pytest

from server.errors import InvalidValue
from server.speech.segments import MAX_COLUMNS, SegmentRules


@pytest.mark.parametrize(
    ("field", "value"),
    [("min", 0), ("min", 121), ("first_min", 0), ("first_min", 121), ("max", MAX_COLUMNS + 1)],
)
def test_a_length_out_of_range_is_refused_by_name(field: str, value: int) -> None:
    """The error names the field, the value and the range."""
    lengths = {"first_min": 12, "min": 8, "max": 120} | {field: value}
    with pytest.raises(InvalidValue, match=rf"{field} is {value}; use 1 to") as caught:
        SegmentRules(first_min=lengths["first_min"], min=lengths["min"], max=lengths["max"])
    assert caught.value.param == f"session.character.segment.{field}"


@pytest.mark.parametrize("langs", [(), ("ja", "fr")])
def test_an_unknown_language_is_refused(langs: tuple[str, ...]) -> None:
    """The error lists what there is."""
    with pytest.raises(InvalidValue, match="use ja, zh, en"):
        SegmentRules(langs=langs)
