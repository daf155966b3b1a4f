"""When a request ends by itself, and what is refused beforehand."""

from __future__ import annotations

import pytest

from engine.errors import NeverFits, PromptTooLong, RequestError
from engine.request import EngineRequest, Service
from engine.sampling_params import SamplingParams
from engine.scheduler.ends import Ends
from tests.engine.scheduler.requests import make_request


def test_the_shortest_of_three_limits_ends_a_reply() -> None:
    """What was asked for, the context, and the whole budget."""
    request = make_request(num_prompt=4, max_tokens=10)
    assert Ends(100, 100, []).longest(request) == 14
    assert Ends(12, 100, []).longest(request) == 12
    assert Ends(100, 8, []).longest(request) == 9


def test_the_models_end_tokens_count_unless_they_are_to_be_ignored() -> None:
    """The request's own always do."""
    request = make_request()
    assert Ends(100, 100, [7]).stop_token_ids(request) == {7}


def test_what_can_never_run_is_refused_with_the_numbers() -> None:
    """Longer than the context, or more than all the memory there is."""
    ends = Ends(100, 64, [])
    ends.check_length(60, 5)
    with pytest.raises(PromptTooLong, match=r"100 tokens .* at most 99"):
        ends.check_length(100, None)
    with pytest.raises(NeverFits, match=r"69 tokens .* holds 64"):
        ends.check_length(60, 10)


def begun(num_prompt: int, num_output: int, *, is_final: bool = True) -> EngineRequest:
    """A reply that another engine began."""
    return EngineRequest(
        request_id="a",
        prompt_token_ids=[1] * num_prompt,
        params=SamplingParams(),
        service=Service(is_final=is_final),
        output_token_ids=[1] * num_output,
    )


def test_a_reply_that_was_begun_must_have_room_to_go_on() -> None:
    """An engine that came back with less memory cannot take what the first one could."""
    ends = Ends(100, 64, [])
    ends.check_resumed(begun(4, 60))
    with pytest.raises(NeverFits, match=r"65 tokens .* holds 64"):
        ends.check_resumed(begun(4, 61))
    with pytest.raises(PromptTooLong):
        Ends(100, 200, []).check_resumed(begun(50, 50))
    with pytest.raises(RequestError, match="not final"):
        ends.check_resumed(begun(4, 1, is_final=False))
