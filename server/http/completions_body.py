"""What a chat completion request may say: decoded into a typed struct, checked, made plain."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

import msgspec

from engine.chat_template import ChatMessage
from engine.sampling_params import MAX_LOGPROBS
from server.errors import InvalidValue, ProtocolError, shorten
from server.http.completion_form import FormFields, read_form
from server.http.completion_messages import MessageBody, read_messages
from server.http.refusals import HttpRefusal, from_protocol_error, from_validation, invalid
from server.protocol.character_objects import ListenerSetting
from server.text.pace import check_listener
from server.text.tag_dialects import TAG_DIALECTS, TagDialect, dialect_of
from server.text.tag_rules import Every, TagMode
from server.tools.reply_form import FormWish

_Name = TypeVar("_Name", bound=str)
_NOT_YET = "is not supported yet; leave it out"


class StreamOptions(msgspec.Struct):
    """How a stream ends."""

    include_usage: bool | None = None


class CompletionBody(FormFields, kw_only=True):
    """The body of ``POST /v1/chat/completions``; unknown fields are ignored, ``null`` is unset."""

    model: str
    messages: list[MessageBody]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: int | None = None
    tag_dialect: str | None = None
    tag_mode: str | None = None
    tag_every: str | None = None
    listener: ListenerSetting | None = None

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    repetition_penalty: float | None = None
    dry_multiplier: float | None = None
    dry_base: float | None = None
    dry_allowed_length: int | None = None
    dry_range: int | None = None
    xtc_probability: float | None = None
    xtc_threshold: float | None = None
    logit_bias: dict[str, float] | None = None
    allowed_token_ids: list[int] | None = None
    banned_token_ids: list[int] | None = None
    seed: int | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    min_tokens: int | None = None
    stop: str | list[str] | None = None
    stop_token_ids: list[int] | None = None
    ignore_eos: bool | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None

    functions: list[Any] | None = None
    function_call: Any = None
    modalities: list[str] | None = None
    audio: object = None


_SAMPLING_FIELDS = (
    "temperature",
    "top_p",
    "top_k",
    "min_p",
    "presence_penalty",
    "frequency_penalty",
    "repetition_penalty",
    "dry_multiplier",
    "dry_base",
    "dry_allowed_length",
    "dry_range",
    "xtc_probability",
    "xtc_threshold",
    "allowed_token_ids",
    "banned_token_ids",
    "seed",
    "min_tokens",
    "stop_token_ids",
    "ignore_eos",
)


@dataclass(frozen=True, slots=True)
class CompletionRequest:
    """A checked request.

    Attributes:
        model: As the client named it.
        messages: For the chat template.
        wish: What the reply is asked to be.
        sampling: Sampling parameters that the client set, under the engine's names; ranges are
            still the engine's to check.
        stream: Whether the reply is sent as events.
        include_usage: Whether a stream ends with a usage chunk.
        wants_logprobs: Whether choices carry ``logprobs``.
        tag_dialect: What becomes of tags in the text; ``None`` as the model's name says.
        tag_mode: How the model is held to them; ``None`` as suits the dialect.
        tag_every: What must begin with one.
        listener: How fast somebody takes the reply in; ``None`` for as fast as it comes.
    """

    model: str
    messages: list[ChatMessage]
    wish: FormWish
    sampling: dict[str, object]
    stream: bool
    include_usage: bool
    wants_logprobs: bool
    tag_dialect: TagDialect | None = None
    tag_mode: TagMode | None = None
    tag_every: Every = "segment"
    listener: ListenerSetting | None = None


_decoder = msgspec.json.Decoder(CompletionBody)


def parse_completion(raw: bytes) -> CompletionRequest:
    """Decode and check a body.

    Raises:
        HttpRefusal: 400, with the field at fault as ``param``.
    """
    try:
        body = _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        if isinstance(error, msgspec.DecodeError):
            raise from_validation(error) from None
        raise invalid(None, "the body is not valid UTF-8", code="invalid_json") from None
    except RecursionError:
        raise invalid(None, "the body is nested too deeply", code="invalid_json") from None
    _refuse_unsupported(body)
    return CompletionRequest(
        model=body.model,
        messages=read_messages(body.messages),
        wish=_wish(body),
        sampling=_sampling(body),
        stream=bool(body.stream),
        include_usage=_include_usage(body),
        wants_logprobs=bool(body.logprobs),
        tag_dialect=_dialect(body.tag_dialect),
        tag_mode=_one_of("tag_mode", body.tag_mode, get_args(TagMode)),
        tag_every=_one_of("tag_every", body.tag_every, get_args(Every)) or "segment",
        listener=_listener(body.listener),
    )


def _refuse_unsupported(body: CompletionBody) -> None:
    if body.n is not None and body.n != 1:
        raise invalid("n", f"n is {body.n}; only one choice per request is made, so it must be 1")
    for name, value in (("functions", body.functions), ("function_call", body.function_call)):
        if value not in (None, [], "none", "auto"):
            raise invalid(
                name, f"{name} is not supported; send tools and tool_choice", code="unsupported"
            )
    if body.modalities is not None and body.modalities not in (["text"], []):
        raise _unsupported("modalities", 'other than ["text"] ')
    if body.audio is not None:
        raise _unsupported("audio")


def _unsupported(param: str, what: str = "") -> HttpRefusal:
    return invalid(param, f"{param} {what}{_NOT_YET}", code="unsupported")


def _wish(body: CompletionBody) -> FormWish:
    try:
        return read_form(body)
    except ProtocolError as error:
        raise from_protocol_error(error) from None


def _include_usage(body: CompletionBody) -> bool:
    if body.stream_options is None:
        return False
    if not body.stream:
        raise invalid("stream_options", "stream_options goes with stream=true only")
    return bool(body.stream_options.include_usage)


def _dialect(name: str | None) -> TagDialect | None:
    if name is None:
        return None
    dialect = dialect_of(name)
    if dialect is None:
        raise _no_such("tag_dialect", name, TAG_DIALECTS)
    return dialect


def _one_of(param: str, name: str | None, names: Sequence[_Name]) -> _Name | None:
    found = next((known for known in names if known == name), None)
    if name is not None and found is None:
        raise _no_such(param, name, names)
    return found


def _no_such(param: str, name: str, names: Sequence[str]) -> HttpRefusal:
    listed = ", ".join(f"'{known}'" for known in names)
    return invalid(param, f"{param} is {shorten(name)}; it must be one of {listed}")


def _listener(listener: ListenerSetting | None) -> ListenerSetting | None:
    try:
        return check_listener(listener, "listener")
    except InvalidValue as error:
        raise invalid(error.param, error.message) from None


def _sampling(body: CompletionBody) -> dict[str, object]:
    chosen: dict[str, object] = {
        name: value
        for name in _SAMPLING_FIELDS
        if (value := getattr(body, name)) is not None and value != []
    }
    longest = body.max_tokens if body.max_completion_tokens is None else body.max_completion_tokens
    if longest is not None:
        chosen["max_tokens"] = longest
    if body.stop:
        chosen["stop"] = [body.stop] if isinstance(body.stop, str) else body.stop
    if body.logit_bias:
        chosen["logit_bias"] = {_token_id(key): value for key, value in body.logit_bias.items()}
    if body.top_logprobs is not None:
        if not body.logprobs:
            raise invalid("top_logprobs", "top_logprobs goes with logprobs=true only")
        if not 0 <= body.top_logprobs <= MAX_LOGPROBS:
            raise invalid("top_logprobs", f"top_logprobs must be from 0 to {MAX_LOGPROBS}")
    if body.logprobs:
        chosen["logprobs"] = body.top_logprobs or 0
    return chosen


def _token_id(key: str) -> int:
    if not (key.isascii() and key.isdigit() and len(key) <= 10):
        raise invalid("logit_bias", 'the keys of logit_bias must be token ids, such as "50256"')
    return int(key)
