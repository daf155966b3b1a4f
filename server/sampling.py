"""From the wire's sampling fields to the engine's parameters: character, session, response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import UNSET

from engine.errors import InvalidParameter
from engine.sampling_params import SamplingParams
from server.errors import InvalidValue
from server.protocol.objects import SamplingFields

MAX_TOKEN_ID = 2**31 - 1

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
    fields: Mapping[str, Any], *, max_tokens: int | None, path: str
) -> SamplingParams:
    """Make the engine's parameters of a client's fields.

    Args:
        fields: Under their wire names.
        max_tokens: ``None`` for no limit.
        path: Where the fields stand in the client's event: ``session`` or ``response``.

    Raises:
        InvalidValue: A value is out of range; it names the field by its dotted path.
    """
    try:
        params = build_sampling_params(fields, max_tokens=max_tokens)
    except InvalidParameter as error:
        name = "max_output_tokens" if error.param == "max_tokens" else error.param
        raise InvalidValue(f"{path}.{name}", f"{path}.{error.message}") from None
    if params.highest_token_id() > MAX_TOKEN_ID:
        # The engine knows its vocabulary; this only keeps numbers out that no frame can carry.
        raise InvalidValue(path, f"{path} names a token id above {MAX_TOKEN_ID}")
    return params


def to_fields(values: Mapping[str, Any]) -> dict[str, Any]:
    """Show effective values as fields of a wire object."""
    known = SamplingFields.__struct_fields__
    return {name: msgspec.to_builtins(value) for name, value in values.items() if name in known}
