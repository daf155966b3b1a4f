"""What the wire did to replies."""

from __future__ import annotations

from clients.replay.figures.delivery import WireFigures, cancel_figures, wire_figures
from clients.replay.records import RequestRecord


def request(**fields: object) -> RequestRecord:
    """Return a request that was sent at second 0."""
    named: dict[str, object] = {"request_id": "r", "session_id": "s", "turn": 0, "sent_s": 0.0}
    return RequestRecord(**(named | fields))  # type: ignore[arg-type]


def test_an_interruption_is_timed_to_its_answer_and_to_the_last_token() -> None:
    """One token was under way; of the other reply none came any more."""
    found = cancel_figures(
        [
            request(cancelled_s=2.0, cancel_acked_s=2.5, token_times_s=[1.0, 2.25]),
            request(cancelled_s=3.0, cancel_acked_s=3.25, token_times_s=[1.0]),
            request(token_times_s=[1.0]),
        ]
    )
    assert found.count == 2
    assert found.acked_s.highest == 0.5
    assert (found.last_token_s.lowest, found.last_token_s.highest) == (0.0, 0.25)
    assert found.steps_max is None
    assert found.tokens_under_way == 1


def test_the_worst_interruption_and_every_token_after_one_are_told() -> None:
    """The maximum of the one, the sum of the other."""
    found = cancel_figures(
        [request(cancel_steps=0), request(cancel_steps=1, tokens_after_cancel=2)]
    )
    assert (found.steps_max, found.tokens_after) == (1, 2)


def test_what_went_wrong_on_the_wire_is_added_up() -> None:
    """Whatever the target claims about numbering."""
    requests = [
        request(num_resumes=2, num_gaps=1),
        request(num_duplicates=3, text_differs=True),
    ]
    assert wire_figures(requests, is_numbered=False) == WireFigures(
        resumes=2, gaps=1, duplicates=3, text_differs=1
    )


def test_a_zero_that_nobody_could_have_seen_is_not_told() -> None:
    """A stream without numbers has no gaps that show."""
    assert wire_figures([request()], is_numbered=False) is None
    assert wire_figures([request()], is_numbered=True) == WireFigures(
        resumes=0, gaps=0, duplicates=0, text_differs=0
    )
