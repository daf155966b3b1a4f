"""One generation's life inside the engine."""

from __future__ import annotations

import enum
import operator
from collections.abc import Iterable
from typing import SupportsIndex

import msgspec

from engine.errors import InvalidParameter
from engine.playback import Playback
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
    PREEMPTED = "preempted"
    """Lost its blocks; waits with its old rank to be recomputed."""
    PAUSED = "paused"
    """Lost its blocks because its listener has enough for now; waits until they have not."""
    PARKED = "parked"
    """Its unfinished prompt is computed; waits for more of it, and holds no block."""
    EXTENDING = "extending"
    """In the batch; its prompt, or what has to be recomputed, is being read."""
    DECODING = "decoding"
    """In the batch; every step brings a token."""
    ASLEEP = "asleep"
    """In the batch, with its blocks, but skipped: it is ahead of its listener, or finds no row."""
    ENDING = "ending"
    """In the batch; its last token is being computed."""
    FINISHED = "finished"


def _check_text(name: str, value: object) -> None:
    if not isinstance(value, str):
        raise InvalidParameter(name, value, "of type str")
    if any("\ud800" <= character <= "\udfff" for character in value):
        raise InvalidParameter(name, value, "text without lone surrogates")


def _check_seconds(name: str, value: object, *, zero: bool = False) -> None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    least = 0.0 if zero else 1e-9
    if not is_number or not least <= value <= 1e6:  # type: ignore[operator]
        bound = "at least 0" if zero else "above 0"
        raise InvalidParameter(name, value, f"a number {bound} and at most 1000000")


IN_BATCH = frozenset(
    {
        RequestStatus.EXTENDING,
        RequestStatus.DECODING,
        RequestStatus.ASLEEP,
        RequestStatus.ENDING,
    }
)
"""Who holds a slot and blocks."""


class Listener(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How fast somebody reads or hears a reply.

    Attributes:
        tokens_per_s: Tokens consumed per second once consumption has begun, above 0.
        reserve_s: Seconds of lead that are kept before a stream may be slowed down; also what has
            to be there before somebody begins to listen.
    """

    tokens_per_s: float
    reserve_s: float = 1.0


class Service(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How a request is to be served, beside how its tokens are sampled.

    Attributes:
        priority: Lower runs first; what waits long enough overtakes (`SchedulerConfig.aging_s`).
        cache_salt: Prefixes are shared only between requests with the same salt.
        tenant: Waiting requests of different tenants take turns.
        conversation_id: The KV of the finished turn stays warm under this name; empty for none.
        num_pinned_tokens: So many leading tokens are a character's prompt, kept longest.
        ttft_target_s: Seconds to the first token; ``None`` takes the engine's target.
        listener: Who listens; ``None`` takes every token as soon as it can be had.
        is_final: Whether the prompt is whole. If not, what there is of it is computed, nothing is
            sampled, and the rest follows by a `RequestUpdate`.
    """

    priority: int = 0
    cache_salt: str = ""
    tenant: str = ""
    conversation_id: str = ""
    num_pinned_tokens: int = 0
    ttft_target_s: float | None = None
    listener: Listener | None = None
    is_final: bool = True

    def __post_init__(self) -> None:
        """Refuse what is not of its type, or out of range.

        Raises:
            InvalidParameter: The first field at fault.
        """
        for name in ("cache_salt", "tenant", "conversation_id"):
            _check_text(name, getattr(self, name))
        for name, least in (("priority", -(2**31)), ("num_pinned_tokens", 0)):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**31:
                raise InvalidParameter(name, value, f"a whole number from {least} to {2**31 - 1}")
        if self.ttft_target_s is not None:
            _check_seconds("ttft_target_s", self.ttft_target_s)
        if self.listener is not None:
            _check_seconds("listener.tokens_per_s", self.listener.tokens_per_s)
            _check_seconds("listener.reserve_s", self.listener.reserve_s, zero=True)
        if not isinstance(self.is_final, bool):
            raise InvalidParameter("is_final", self.is_final, "true or false")


DEFAULT_SERVICE = Service()


class EngineRequest(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller submits: plain data that crosses the process border.

    Attributes:
        request_id: Unique among live requests.
        prompt_token_ids: The prompt, at least one token.
        params: How to sample; ``seed`` is set by the front end when the caller gave none.
        service: How to be served.
        output_token_ids: Of the reply, what an engine before this one has sampled; the reply goes
            on behind it as one that was preempted does.
        is_resumed: An engine before this one had accepted it: the queue's bound does not hold.
    """

    request_id: str
    prompt_token_ids: list[int]
    params: SamplingParams
    service: Service = DEFAULT_SERVICE
    output_token_ids: list[int] = []
    is_resumed: bool = False


class RequestUpdate(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a caller has to say of a live request.

    Attributes:
        request_id: Whose; an unknown or ended one is passed over.
        token_ids: To be put behind the prompt, which must not have been final.
        params: Replaces the sampling parameters, together with ``is_final``.
        is_final: The prompt is whole now; the reply begins.
        num_heard_tokens: Tokens of the reply that its listener has read or heard so far.
    """

    request_id: str
    token_ids: list[int] = []
    params: SamplingParams | None = None
    is_final: bool = False
    num_heard_tokens: int | None = None


def make_request(
    request_id: str,
    prompt_token_ids: Iterable[SupportsIndex],
    params: SamplingParams,
    service: Service = DEFAULT_SERVICE,
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
    _check_text("request_id", request_id)
    return EngineRequest(
        request_id=request_id, prompt_token_ids=token_ids, params=params, service=service
    )


class Request:
    """The scheduler's record of one request.

    There is no prefill phase and no decode phase: ``num_computed_tokens`` chases ``num_tokens``,
    and whenever it catches up, a token is sampled and the chase goes on. ``num_planned_tokens`` is
    ahead of it by what a step in flight computes; while a request decodes, the decode set counts
    that for all of its members at once.
    """

    __slots__ = (
        "arrival_time",
        "cache_salt",
        "deadline",
        "expected_num_tokens",
        "first_scheduled_time",
        "hash_chain",
        "is_final",
        "key",
        "last_planned_step",
        "num_cached_tokens",
        "num_computed_tokens",
        "num_lost_tokens",
        "num_planned_tokens",
        "num_prompt_tokens",
        "params",
        "playback",
        "priority",
        "request_id",
        "sequence_number",
        "service",
        "slot",
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
        self.service = submitted.service
        self.priority = submitted.service.priority
        self.cache_salt = submitted.service.cache_salt
        self.is_final = submitted.service.is_final
        self.token_ids = [*submitted.prompt_token_ids, *submitted.output_token_ids]
        self.num_prompt_tokens = len(submitted.prompt_token_ids)
        self.stop_token_ids = stop_token_ids
        self.arrival_time = arrival_time
        self.sequence_number = sequence_number
        self.status = RequestStatus.WAITING
        if submitted.output_token_ids:
            self.status = RequestStatus.PREEMPTED
        self.slot = -1
        self.deadline = arrival_time
        self.key: tuple[float, int] = (float(self.priority), sequence_number)
        self.last_planned_step = 0
        self.num_computed_tokens = 0
        self.num_planned_tokens = 0
        self.num_cached_tokens = 0
        self.num_lost_tokens = 0
        self.expected_num_tokens = 0
        self.first_scheduled_time: float | None = None
        listener = submitted.service.listener
        self.playback = (
            None if listener is None else Playback(listener.tokens_per_s, listener.reserve_s)
        )
        if self.playback is not None and submitted.output_token_ids:
            self.playback.resume(self.num_output_tokens, arrival_time)
        self.hash_chain: list[bytes] = []

    @property
    def num_tokens(self) -> int:
        """Prompt and reply together."""
        return len(self.token_ids)

    @property
    def num_output_tokens(self) -> int:
        """Tokens of the reply so far."""
        return len(self.token_ids) - self.num_prompt_tokens
