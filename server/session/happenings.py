"""Tells the model what has happened in the world around the conversation."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from server.errors import InvalidValue, LimitExceeded

MAX_NAME = 200
MAX_BYTES = 4096


def describe_trigger(name: str, params: Mapping[str, Any]) -> str:
    """Return the note that the model reads before it speaks of something.

    Args:
        name: What has happened.
        params: Details.

    Raises:
        ProtocolError: There is no name, or too much of anything.
    """
    name = " ".join(name.split())
    if not 1 <= len(name) <= MAX_NAME:
        raise InvalidValue("name", f"name has {len(name)} characters; it must have 1 to {MAX_NAME}")
    details = json.dumps(params, ensure_ascii=False) if params else ""
    if len(details.encode()) > MAX_BYTES:
        raise LimitExceeded(
            "the size of params in bytes",
            len(details.encode()),
            MAX_BYTES,
            "send less",
            param="params",
        )
    return f"This has just happened: {name}" + (f" {details}" if details else "") + ". React to it."
