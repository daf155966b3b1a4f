"""From the wire's sampling fields to the engine's parameters: character, session, response."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from engine.errors import InvalidParameter
from engine.sampling_params import SamplingParams
from server.errors import InvalidValue, shorten
from server.protocol.objects import SamplingFields

_LISTS = (
    "stop",
    "logit_bias",
    "stop_token_ids",
    "allowed_token_ids",
    "banned_token_ids",
)

SAMPLING_TYPES: dict[str, tuple[type, ...]] = {
    "temperature": (int, float),
    "top_p": (int, float),
    "top_k": (int,),
    "min_p": (int, float),
    "presence_penalty": (int, float),
    "frequency_penalty": (int, float),
    "repetition_penalty": (int, float),
    "dry_multiplier": (int, float),
    "dry_base": (int, float),
    "dry_allowed_length": (int,),
    "dry_range": (int,),
    "xtc_probability": (int, float),
    "xtc_threshold": (int, float),
    "banned_token_ids": (list,),
    "stop_token_ids": (list,),
    "stop": (str, list),
    "seed": (int,),
    "min_tokens": (int,),
}
"""What a character file may set, and as which types; ``logit_bias`` needs a client's tokenizer."""


def overlay(base: Mapping[str, Any], fields: SamplingFields) -> dict[str, Any]:
    """Lay what a client set over what held before; ``null`` takes a value out again."""
    merged = dict(base)
    for name in SamplingFields.__struct_fields__:
        value = getattr(fields, name)
        if value is None:
            merged.pop(name, None)
        elif value is not UNSET:
            merged[name] = value
    return merged


def build_sampling_params(fields: Mapping[str, Any], *, max_tokens: int | None) -> SamplingParams:
    """Make the engine's parameters; what is not named keeps the engine's neutral value.

    Raises:
        InvalidParameter: A value is out of range.
    """
    values = dict(fields)
    if isinstance(values.get("stop"), str):
        values["stop"] = [values["stop"]]
    return SamplingParams(**values, max_tokens=max_tokens)


def check_sampling(
    fields: Mapping[str, Any], *, max_tokens: int | None, path: str, vocab_size: int
) -> SamplingParams:
    """Make the engine's parameters of a client's fields.

    Args:
        fields: Under their wire names.
        max_tokens: ``None`` for no limit.
        path: Where the fields stand in the client's event: ``session`` or ``response``.
        vocab_size: Token ids are below it.

    Raises:
        InvalidValue: A value is out of range; it names the field by its dotted path.
    """
    try:
        params = build_sampling_params(fields, max_tokens=max_tokens)
    except InvalidParameter as error:
        name = "max_output_tokens" if error.param == "max_tokens" else error.param
        raise InvalidValue(f"{path}.{name}", f"{path}.{describe(error)}") from None
    check_token_ids(params, vocab_size, path=path)
    return params


def describe(error: InvalidParameter) -> str:
    """Say what is wrong; of a list that is too long the engine gives the length as its value."""
    at_most, _, limit = error.expected.partition("at most ")
    if error.param in _LISTS and not at_most and limit:
        number, _, what = limit.partition(" ")
        return f"{error.param} has {error.value} {what}; there may be at most {number}"
    return error.message


def check_token_ids(params: SamplingParams, vocab_size: int, *, path: str = "") -> None:
    """Find the field whose token id is none; the engine would know only that there is one.

    Raises:
        InvalidValue: There is one; it is named, after ``path`` where that is given.
    """
    named: dict[str, Iterable[int]] = {
        "logit_bias": params.logit_bias,
        "stop_token_ids": params.stop_token_ids,
        "allowed_token_ids": params.allowed_token_ids or (),
        "banned_token_ids": params.banned_token_ids,
    }
    for name, token_ids in named.items():
        highest = max(token_ids, default=-1)
        if highest >= vocab_size:
            param = f"{path}.{name}" if path else name
            raise InvalidValue(
                param,
                f"{param} names token {shorten(highest, 40)}, but the ids of this model end at "
                f"{vocab_size - 1}",
            )


def to_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Show effective values as fields of a wire object."""
    known = SamplingFields.__struct_fields__
    return {name: msgspec.to_builtins(value) for name, value in values.items() if name in known}
