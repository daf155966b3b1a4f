"""Requests as the scheduler holds them, for tests of its rooms."""

from __future__ import annotations

import itertools

from engine.request import EngineRequest, Listener, Request, Service
from engine.sampling_params import SamplingParams

_numbers = itertools.count()


def make_request(
    name: str = "r",
    num_prompt: int = 4,
    *,
    key: float = 0.0,
    max_tokens: int | None = None,
    listener: Listener | None = None,
) -> Request:
    """Return a request with a prompt of so many tokens."""
    request = Request(
        EngineRequest(
            request_id=name,
            prompt_token_ids=list(range(num_prompt)),
            params=SamplingParams(max_tokens=max_tokens),
            service=Service(listener=listener),
        ),
        stop_token_ids=frozenset(),
        arrival_time=0.0,
        sequence_number=next(_numbers),
    )
    request.key = (key, request.sequence_number)
    return request
