"""One generation's life inside the engine."""

from __future__ import annotations

import enum
import operator
from collections.abc import Iterable
from typing import SupportsIndex

import msgspec

from engine.errors import InvalidParameter
from engine.sampling_params import SamplingParams


class FinishReason(enum.StrEnum):
    """Why a request ended; goes to the wire as it is."""

    STOP = "stop"
    """An end token or a stop string."""
    LENGTH = "length"
    """``max_tokens`` or the context's end."""
    ABORT = "abort"
    """Somebody called it off."""
    ERROR = "error"
    """It failed; the output carries a code and a sentence."""


class RequestStatus(enum.Enum):
    """Where a request stands."""

    WAITING = "waiting"
    RUNNING = "running"
    PREEMPTED = "preempted"
    """Lost its blocks; waits at the head of its priority class to be recomputed."""
    FINISHED = "finished"


class EngineRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller submits: plain data that crosses the process border.

    Attributes:
        request_id: Unique among live requests.
        prompt_token_ids: The prompt, at least one token.
        params: How to sample; ``seed`` is set by the front end when the caller gave none.
        priority: Lower runs first; equal priorities are first come, first served.
        cache_salt: Prefixes are shared only between requests with the same salt.
    """

    request_id: str
    prompt_token_ids: list[int]
    params: SamplingParams
    priority: int = 0
    cache_salt: str = ""


def make_request(
    request_id: str,
    prompt_token_ids: Iterable[SupportsIndex],
    params: SamplingParams,
    *,
    priority: int = 0,
    cache_salt: str = "",
) -> EngineRequest:
    """Return a submission whose fields are what they say, whoever made them.

    Raises:
        InvalidParameter: A field has the wrong type, or holds text that is no Unicode.
    """
    try:
        token_ids = [operator.index(token_id) for token_id in prompt_token_ids]
    except TypeError:
        expected = "a list of whole numbers"
        raise InvalidParameter("prompt_token_ids", prompt_token_ids, expected) from None
    request = EngineRequest(
        request_id=request_id,
        prompt_token_ids=token_ids,
        params=params,
        priority=priority,
        cache_salt=cache_salt,
    )
    kinds = {"request_id": str, "cache_salt": str, "priority": int}
    for name, kind in kinds.items():
        value = getattr(request, name)
        if not isinstance(value, kind) or isinstance(value, bool):
            raise InvalidParameter(name, value, f"of type {kind.__name__}")
    for name in ("request_id", "cache_salt"):
        if any("\ud800" <= character <= "\udfff" for character in getattr(request, name)):
            raise InvalidParameter(name, getattr(request, name), "text without lone surrogates")
    return request


class Request:
    """The scheduler's record of one request.

    There is no prefill phase and no decode phase: ``num_computed_tokens`` chases ``num_tokens``,
    and whenever it catches up, a token is sampled and the chase goes on.
    """

    __slots__ = (
        "arrival_time",
        "cache_salt",
        "first_scheduled_time",
        "num_cached_tokens",
        "num_computed_tokens",
        "num_preemptions",
        "num_prompt_tokens",
        "params",
        "priority",
        "request_id",
        "sequence_number",
        "status",
        "stop_token_ids",
        "token_ids",
    )

    def __init__(
        self,
        submitted: EngineRequest,
        *,
        stop_token_ids: frozenset[int],
        arrival_time: float,
        sequence_number: int,
    ) -> None:
        """Record a submission.

        Args:
            submitted: What the caller asked for.
            stop_token_ids: Every token that ends it: the model's and the request's own.
            arrival_time: Seconds on the engine's clock.
            sequence_number: Rises by one per request; breaks ties in arrival order.
        """
        self.request_id = submitted.request_id
        self.params = submitted.params
        self.priority = submitted.priority
        self.cache_salt = submitted.cache_salt
        self.token_ids = list(submitted.prompt_token_ids)
        self.num_prompt_tokens = len(self.token_ids)
        self.stop_token_ids = stop_token_ids
        self.arrival_time = arrival_time
        self.sequence_number = sequence_number
        self.status = RequestStatus.WAITING
        self.num_computed_tokens = 0
        self.num_cached_tokens = 0
        self.num_preemptions = 0
        self.first_scheduled_time: float | None = None

    @property
    def num_tokens(self) -> int:
        """Prompt and reply together."""
        return len(self.token_ids)

    @property
    def num_output_tokens(self) -> int:
        """Tokens of the reply so far."""
        return len(self.token_ids) - self.num_prompt_tokens

    @property
    def rank(self) -> tuple[int, int]:
        """Sort key: priority first, then arrival; the largest is preempted first."""
        return (self.priority, self.sequence_number)
