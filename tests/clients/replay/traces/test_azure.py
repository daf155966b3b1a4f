"""Azure's traces: times are dates, in more than one manner."""

from __future__ import annotations

import pytest

from clients.replay.script import ScriptError
from clients.replay.traces.azure import parse_azure

HEADING = "TIMESTAMP,ContextTokens,GeneratedTokens\n"


def starts(*times: str) -> list[float]:
    """When the sessions of these rows begin."""
    rows = "".join(f"{time},374,44\n" for time in times)
    return [session.start_s for session in parse_azure(HEADING + rows, "t", print)]


def test_seven_decimals_count() -> None:
    """A tenth of a microsecond is the file's own unit, though Python's dates have none."""
    assert starts("2023-11-16 18:15:46.6805900", "2023-11-16 18:15:50.9951691") == [0.0, 4.3145791]
    assert starts("2023-11-16 23:59:59.9999999", "2023-11-17 00:00:00.0000000") == [0.0, 1e-7]


def test_times_may_have_a_zone_and_no_decimals() -> None:
    """2024's file mixes them."""
    assert starts("2024-05-12 00:00:00+00:00", "2024-05-12 00:00:00.5+00:00") == [0.0, 0.5]
    assert starts("2024-05-12 00:00:00Z", "2024-05-12T03:00:01+0200") == [0.0, 3601.0]


def test_rows_are_requests_of_their_own() -> None:
    """Lengths are those of the row."""
    (session,) = parse_azure(HEADING + "2023-11-16 18:15:46.68,374,44\n", "t", print)
    (turn,) = session.turns
    assert (turn.input_tokens, turn.output_tokens) == (374, 44)


def test_images_are_left_out_and_counted() -> None:
    """The multimodal trace of 2025 is played as text."""
    notes: list[str] = []
    table = (
        "TIMESTAMP,NumImages,ContextTokens,GeneratedTokens\n"
        "2024-10-15 00:00:00.1,3,0,7\n2024-10-15 00:00:01.1,0,90,0\n"
    )
    sessions = parse_azure(table, "t", notes.append)
    assert [(s.turns[0].input_tokens, s.turns[0].output_tokens) for s in sessions] == [
        (1, 7),
        (90, 1),
    ]
    assert notes == ["t: images are left out, 3 of them: listeners only send text"]


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("16.11.2023,1,2", "line 2: TIMESTAMP is '16.11.2023'; it must be a time like 2023-"),
        ("2023-13-16 18:15:46,1,2", "TIMESTAMP is '2023-13-16 18:15:46'"),
        ("2023-11-16 18:15:46.12345678901,1,2", "TIMESTAMP is"),
        ("2023-11-16 18:15:46,x,2", "ContextTokens is 'x'"),
        ("2023-11-16 18:15:46,1,", "GeneratedTokens is ''"),
    ],
)
def test_what_cannot_be_read_is_named(row: str, complaint: str) -> None:
    """With its line and value."""
    with pytest.raises(ScriptError, match=complaint):
        parse_azure(HEADING + row + "\n", "t", print)
