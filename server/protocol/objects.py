"""What events carry besides items: sessions, responses, usage, errors."""

from __future__ import annotations

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

from server.protocol.character_objects import CharacterObject, CharacterPatch
from server.protocol.items import InputItem, Item

Truncation = Literal["auto", "disabled"]


class TokenLimits(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Limits on what is kept of a conversation.

    Attributes:
        post_instructions: Most tokens after the system message.
    """

    post_instructions: int | None = None


class RetentionRatio(
    msgspec.Struct, kw_only=True, omit_defaults=True, tag_field="type", tag="retention_ratio"
):
    """Truncate to this share of the context when it is full, so that it is not full again at once.

    Attributes:
        retention_ratio: Above 0, at most 1.
    """

    retention_ratio: float
    token_limits: TokenLimits | None = None


TruncationSetting = Truncation | RetentionRatio


class SamplingFields(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Chat Completions' sampling fields, which Realtime lacks; left out means unchanged.

    ``null`` goes back to the character's own value. Ranges are the engine's to check.
    """

    temperature: float | None | UnsetType = UNSET
    top_p: float | None | UnsetType = UNSET
    top_k: int | None | UnsetType = UNSET
    min_p: float | None | UnsetType = UNSET
    presence_penalty: float | None | UnsetType = UNSET
    frequency_penalty: float | None | UnsetType = UNSET
    repetition_penalty: float | None | UnsetType = UNSET
    dry_multiplier: float | None | UnsetType = UNSET
    dry_base: float | None | UnsetType = UNSET
    dry_allowed_length: int | None | UnsetType = UNSET
    dry_range: int | None | UnsetType = UNSET
    xtc_probability: float | None | UnsetType = UNSET
    xtc_threshold: float | None | UnsetType = UNSET
    logit_bias: dict[int, float] | None | UnsetType = UNSET
    banned_token_ids: list[int] | None | UnsetType = UNSET
    stop_token_ids: list[int] | None | UnsetType = UNSET
    stop: str | list[str] | None | UnsetType = UNSET
    seed: int | None | UnsetType = UNSET
    min_tokens: int | None | UnsetType = UNSET
    ignore_eos: bool | None | UnsetType = UNSET


class SessionPatch(SamplingFields, kw_only=True):
    """``session.update``'s session: what is left out stays as it is, unknown fields are ignored.

    Audio settings are not even looked at: text-mode clients send them too.
    """

    type: str | None | UnsetType = UNSET
    model: str | None | UnsetType = UNSET
    instructions: str | None | UnsetType = UNSET
    output_modalities: list[str] | None | UnsetType = UNSET
    tools: list[dict[str, Any]] | None | UnsetType = UNSET
    tool_choice: str | dict[str, Any] | None | UnsetType = UNSET
    parallel_tool_calls: bool | None | UnsetType = UNSET
    response_format: dict[str, Any] | None | UnsetType = UNSET
    structured_outputs: dict[str, Any] | None | UnsetType = UNSET
    max_output_tokens: int | str | None | UnsetType = UNSET
    truncation: str | RetentionRatio | None | UnsetType = UNSET
    character: CharacterPatch | None | UnsetType = UNSET


class HeardPrefix(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How much of an assistant's message its listener heard, in code points of clean text."""

    item_id: str
    text_end: int


class ResponseParams(SamplingFields, kw_only=True):
    """``response.create``'s response: what is left out is as the session says.

    Attributes:
        if_active: Our extension: ``error`` (the standard's way, and the default), ``queue`` to
            wait for what is being said, or ``interrupt`` to cancel it in the same breath.
        heard: Our extension: truncate an item to this, before the prompt is built.
        character_id: Our extension: who of the room speaks.
        continues: Our extension: the last item, a reply that was broken off; the model goes on
            behind what is there of it, in an item of its own.
        turn_id: Our extension: the client's name of the turn, so that to ask again is harmless.
    """

    instructions: str | None | UnsetType = UNSET
    output_modalities: list[str] | None | UnsetType = UNSET
    tools: list[dict[str, Any]] | None | UnsetType = UNSET
    tool_choice: str | dict[str, Any] | None | UnsetType = UNSET
    parallel_tool_calls: bool | None | UnsetType = UNSET
    response_format: dict[str, Any] | None | UnsetType = UNSET
    structured_outputs: dict[str, Any] | None | UnsetType = UNSET
    max_output_tokens: int | str | None | UnsetType = UNSET
    conversation: str | None | UnsetType = UNSET
    input: list[InputItem] | None | UnsetType = UNSET
    metadata: dict[str, str] | None | UnsetType = UNSET
    if_active: str | None | UnsetType = UNSET
    character_id: str | None | UnsetType = UNSET
    continues: str | None | UnsetType = UNSET
    turn_id: str | None | UnsetType = UNSET
    heard: HeardPrefix | None | UnsetType = UNSET


class ResumeObject(msgspec.Struct, kw_only=True, frozen=True):
    """How to come back to this session, as an extra field of ``session.created``.

    Attributes:
        token: For ``?resume=``, once.
        window_s: How long the session waits for it.
        resumed: Whether this greets a client that has come back.
        replayed: How many events follow this one before what is new.
        gap: Whether some are lost for good; the items that they spoke of follow as they are now.
        all_items: Behind a gap, whether every item follows; one that does not is not there any
            more.
    """

    token: str
    window_s: float
    resumed: bool | UnsetType = UNSET
    replayed: int | UnsetType = UNSET
    gap: bool | UnsetType = UNSET
    all_items: bool | UnsetType = UNSET


class ConversationObject(msgspec.Struct, kw_only=True, frozen=True):
    """The session's conversation, as an extra field of the session.

    Attributes:
        id: For ``?conversation=``, where conversations are kept.
        num_items: What it holds; items of a conversation that is gone on with are not sent again.
    """

    id: str
    num_items: int


class RecordingObject(msgspec.Struct, kw_only=True, frozen=True):
    """That this session is recorded, as an extra field of the session.

    Attributes:
        text: What is kept of its words: ``none``, ``redacted`` (other letters) or ``full``.
    """

    text: str


class SessionObject(SamplingFields, kw_only=True, omit_defaults=False):
    """The full effective configuration. Sampling fields show where somebody set them."""

    id: str
    type: Literal["realtime"] = "realtime"
    object: Literal["realtime.session"] = "realtime.session"
    model: str
    output_modalities: list[str]
    instructions: str
    tools: list[dict[str, Any]]
    tool_choice: str | dict[str, Any]
    max_output_tokens: int | str
    truncation: str | RetentionRatio
    parallel_tool_calls: bool = True
    response_format: dict[str, Any] | UnsetType = UNSET
    structured_outputs: dict[str, Any] | UnsetType = UNSET
    expires_at: int | UnsetType = UNSET
    character: CharacterObject = msgspec.field(default_factory=lambda: CharacterObject(events=[]))
    resume: ResumeObject | UnsetType = UNSET
    conversation: ConversationObject | UnsetType = UNSET
    recording: RecordingObject | UnsetType = UNSET


class CachedTokensDetails(msgspec.Struct, kw_only=True):
    """Split of the cached tokens; only text here."""

    text_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0


class InputTokenDetails(msgspec.Struct, kw_only=True):
    """Split of the prompt's tokens."""

    text_tokens: int = 0
    cached_tokens: int = 0
    audio_tokens: int = 0
    image_tokens: int = 0
    cached_tokens_details: CachedTokensDetails = msgspec.field(default_factory=CachedTokensDetails)


class OutputTokenDetails(msgspec.Struct, kw_only=True):
    """Split of the reply's tokens."""

    text_tokens: int = 0
    audio_tokens: int = 0


class Usage(msgspec.Struct, kw_only=True):
    """What a response cost; clients read every number, so none is left out."""

    total_tokens: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    input_token_details: InputTokenDetails = msgspec.field(default_factory=InputTokenDetails)
    output_token_details: OutputTokenDetails = msgspec.field(default_factory=OutputTokenDetails)


class FailureDetail(msgspec.Struct, kw_only=True, omit_defaults=True):
    """Why a response failed.

    Attributes:
        retry_after_ms: An extra field: when asking again makes sense, where the server knows.
    """

    type: str
    code: str
    message: str
    retry_after_ms: int | None = None


class StatusDetails(msgspec.Struct, kw_only=True, omit_defaults=True):
    """How a response that did not complete ended."""

    type: Literal["cancelled", "failed", "incomplete"]
    reason: str | None = None
    error: FailureDetail | None = None


ResponseStatus = Literal["in_progress", "completed", "cancelled", "failed", "incomplete"]


class ResponseObject(msgspec.Struct, kw_only=True):
    """One reply, as ``response.created`` and ``response.done`` show it.

    Attributes:
        turn_id: An extra field: the client's name of the turn, if it gave one.
        replayed: An extra field, only where it is true: the turn was answered before, and this is
            that reply once more.
    """

    id: str
    object: Literal["realtime.response"] = "realtime.response"
    status: ResponseStatus
    status_details: StatusDetails | None = None
    output: list[Item]
    conversation_id: str | None
    output_modalities: list[str]
    max_output_tokens: int | str
    metadata: dict[str, str] | None = None
    usage: Usage | None = None
    turn_id: str | UnsetType = UNSET
    replayed: bool | UnsetType = UNSET


class Gaps(msgspec.Struct, kw_only=True, frozen=True):
    """Milliseconds between the steps of one reply, as its session heard of them."""

    p50: float
    p95: float
    max: float


class BatchSizes(msgspec.Struct, kw_only=True, frozen=True):
    """How many sequences the engine computed in the steps that brought tokens of one reply."""

    mean: float
    max: int


class ResponseMetrics(msgspec.Struct, kw_only=True):
    """Where the time of one reply went, as an extra field of ``response.done``.

    Attributes:
        ttft_ms: From ``response.created`` to the first token out of the engine.
        queue_ms: From submission to the first step that took part in.
        total_ms: From ``response.created`` to ``response.done``.
        output_tokens: Sampled tokens.
        tokens_per_second: After the first token; ``None`` for less than two.
        cached_tokens: Prompt tokens that came from the prefix cache.
        first_segment_ms: From ``response.created`` to the end of the first segment; ``None``
            where nobody asked for segments.
        itl_ms: Between tokens; ``None`` for less than two.
        prefill_ms: From the first step that took part in to the first token.
        batch: ``None`` where the engine does not tell.
        preemptions: How often it had to make room for others, and was computed again.
    """

    ttft_ms: float | None
    queue_ms: float | None
    total_ms: float
    output_tokens: int
    tokens_per_second: float | None
    cached_tokens: int
    first_segment_ms: float | None = None
    itl_ms: Gaps | None = None
    prefill_ms: float | None = None
    batch: BatchSizes | None = None
    preemptions: int = 0


class ErrorDetail(msgspec.Struct, kw_only=True):
    """What went wrong; ``event_id`` is the client's.

    Attributes:
        retry_after_ms: An extra field: when asking again makes sense, where the server knows.
    """

    type: str
    code: str
    message: str
    param: str | None = None
    event_id: str | None = None
    retry_after_ms: int | UnsetType = UNSET


class RateLimit(msgspec.Struct, kw_only=True):
    """What is left of something that is limited.

    Attributes:
        name: ``requests`` or ``tokens``.
        limit: Most that can be taken at once, and per minute.
        remaining: What can be taken now.
        reset_seconds: Until all of it can be taken again.
    """

    name: str
    limit: int
    remaining: int
    reset_seconds: float
