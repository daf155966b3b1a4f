"""The forms that a reply's text may be held to: ``response_format`` and ``structured_outputs``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from engine.errors import InvalidParameter
from engine.sampling_params import MAX_GRAMMAR_BYTES, Grammar, GrammarKind
from server.errors import ErrorCode, InvalidValue, LimitExceeded, Unsupported, shorten
from server.tools.definitions import check_depth

MAX_CHOICES = 1024

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ANY_OBJECT = {"type": "object"}
_KINDS = ("json", "regex", "choice", "grammar", "json_object")


def read_response_format(value: object, path: str) -> Grammar | None:
    """Read OpenAI's ``response_format``; ``None`` for text of any form.

    Raises:
        ProtocolError: It is refused; the field at fault is named.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidValue(path, f"{path} must be an object with a type")
    kind = value.get("type")
    if kind == "text":
        return None
    if kind == "json_object":
        return _schema(_ANY_OBJECT, path)
    if kind != "json_schema":
        raise InvalidValue(
            f"{path}.type",
            f"{path}.type is {shorten(kind)}; it must be 'text', 'json_object' or 'json_schema'",
        )
    inner = value.get("json_schema")
    path = f"{path}.json_schema"
    if not isinstance(inner, Mapping):
        raise _missing(path) if inner is None else InvalidValue(path, f"{path} must be an object")
    name = inner.get("name")
    if name is None:
        raise _missing(f"{path}.name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidValue(
            f"{path}.name",
            f"{path}.name is {shorten(name)}; it must be 1 to 64 letters, digits, '_' or '-'",
        )
    return _schema(inner.get("schema", _ANY_OBJECT), f"{path}.schema")


def read_structured_outputs(value: object, path: str) -> Grammar | None:
    """Read vLLM's ``structured_outputs``: one of ``json``, ``regex``, ``choice``, ``grammar``.

    Raises:
        ProtocolError: It is refused; the field at fault is named.
    """
    if value is None:
        return None
    if not isinstance(value, Mapping):
        raise InvalidValue(path, f"{path} must be an object with one of {', '.join(_KINDS)}")
    if value.get("structural_tag") is not None:
        raise Unsupported(
            f"{path}.structural_tag is not done here; write a grammar, or use tools",
            param=f"{path}.structural_tag",
        )
    given = [kind for kind in _KINDS if value.get(kind) not in (None, False)]
    if len(given) != 1:
        found = " and ".join(given) if given else "none"
        raise InvalidValue(path, f"{path} has {found}; give one of {', '.join(_KINDS)}")
    return read_constraint(given[0], value[given[0]], f"{path}.{given[0]}")


def read_constraint(kind: str, value: object, path: str) -> Grammar:
    """Read one of vLLM's constraints.

    Args:
        kind: ``json``, ``json_object``, ``regex``, ``choice`` or ``grammar``.
        value: A schema, as an object or as JSON text; ``true``; a pattern that the whole reply
            matches; strings of which it is one; a grammar in Lark's notation.
        path: Where it stands.

    Raises:
        ProtocolError: It is refused.
    """
    match kind:
        case "json_object":
            if value is not True:
                raise InvalidValue(path, f"{path} must be true or false")
            return _schema(_ANY_OBJECT, path)
        case "json":
            return _schema(_from_text(value, path), path)
        case "choice":
            return _grammar("choice", json.dumps(_choices(value, path), ensure_ascii=False), path)
    if not isinstance(value, str) or not value:
        raise InvalidValue(path, f"{path} must be a string with something in it")
    return _grammar("regex" if kind == "regex" else "lark", value, path)


def _choices(value: object, path: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) and one for one in value):
        raise InvalidValue(path, f"{path} must be a list of strings with something in them")
    if not 1 <= len(value) <= MAX_CHOICES:
        raise InvalidValue(path, f"{path} has {len(value)} strings; it may have 1 to {MAX_CHOICES}")
    return value


def _from_text(value: object, path: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise InvalidValue(path, f"{path} is a string, but not of JSON") from None


def _schema(schema: Any, path: str) -> Grammar:
    if not isinstance(schema, Mapping | bool):
        raise InvalidValue(path, f"{path} must be a JSON schema, that is, an object")
    check_depth(schema, path)
    return _grammar("json_schema", json.dumps(schema, ensure_ascii=False), path)


def _grammar(kind: GrammarKind, source: str, path: str) -> Grammar:
    try:
        return Grammar(kind=kind, source=source)
    except InvalidParameter:
        num_bytes = len(source.encode(errors="replace"))
        raise LimitExceeded(
            f"the size of {path} in bytes",
            num_bytes,
            MAX_GRAMMAR_BYTES,
            "make it smaller",
            param=path,
        ) from None


def _missing(path: str) -> InvalidValue:
    return InvalidValue(path, f"{path} is missing", code=ErrorCode.MISSING_REQUIRED_PARAMETER)
