"""A submission is what it says; a record knows how far it has come."""

from __future__ import annotations

import pytest

from engine.errors import InvalidParameter
from engine.request import Listener, Request, Service, make_request
from engine.sampling_params import SamplingParams


def test_any_whole_numbers_make_a_prompt() -> None:
    """Anything that is an index will do, and arrives as plain integers."""

    class Seven:
        def __index__(self) -> int:
            return 7

    assert make_request("a", (1, Seven()), SamplingParams()).prompt_token_ids == [1, 7]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("request_id", 7),
        ("request_id", "\ud800"),
        ("prompt_token_ids", [1.0]),
        ("prompt_token_ids", "text"),
    ],
)
def test_a_field_of_the_wrong_type_is_refused_by_name(name: str, value: object) -> None:
    """It could not cross the process border, or would break hashing on the other side."""
    fields = {"request_id": "a", "prompt_token_ids": [1], "params": SamplingParams(), name: value}
    with pytest.raises(InvalidParameter) as caught:
        make_request(**fields)  # type: ignore[arg-type]
    assert caught.value.param == name


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("priority", True),
        ("priority", 0.5),
        ("cache_salt", None),
        ("cache_salt", "\udfff"),
        ("tenant", 3),
        ("conversation_id", "\ud800"),
        ("num_pinned_tokens", -1),
        ("ttft_target_s", 0.0),
        ("listener.tokens_per_s", 0),
        ("listener.reserve_s", float("nan")),
        ("is_final", 1),
    ],
)
def test_a_wish_out_of_range_is_refused_by_name(name: str, value: object) -> None:
    """It would be everybody's fault inside the engine."""
    head, _, part = name.partition(".")
    if part:
        value = Listener(**{"tokens_per_s": 4.0, part: value})  # type: ignore[arg-type]
    with pytest.raises(InvalidParameter) as caught:
        Service(**{head: value})  # type: ignore[arg-type]
    assert caught.value.param == name


def test_the_counts_follow_the_tokens() -> None:
    """Prompt and reply are one list; the reply is what came after."""
    request = Request(
        make_request("a", [1, 2, 3], SamplingParams(), Service(priority=2)),
        stop_token_ids=frozenset(),
        arrival_time=0.0,
        sequence_number=5,
    )
    request.token_ids.append(9)
    assert (request.num_tokens, request.num_prompt_tokens, request.num_output_tokens) == (4, 3, 1)
    assert request.key == (2.0, 5)
