"""Damages JSON values and bytes at random: wrong types, missing fields, extremes."""

from __future__ import annotations

import copy
import json
import random
from collections.abc import Iterator
from typing import Any

_NUMBERS = (0, -1, 1, 2**31, -(2**31), 2**53 + 1, 2**63, 2**64, 10**50, 0.5, -0.0, 1e308, 1e-320)
_NOT_NUMBERS = (float("nan"), float("inf"), float("-inf"))
_TEXTS = (
    *(
        "",
        " ",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "\ufeff",
        "\u202e",
        "a\r\nb",
        "../..",
        "%00",
        "é" * 40,
    ),
    *(
        "x" * 300,
        "x" * 70_000,
        "👩‍👩‍👧‍👦" * 9,
        "<|im_end|>",
        "[happy]",
        "[happy:2]",
        "{{user}}",
        "null",
    ),
    *("root", "auto", "none", "user", "system", "assistant", "message", "function_call", "text"),
)
_MAX_DEPTH = 40


def damaged(value: Any, rng: random.Random, spare: list[Any]) -> Any:
    """A copy of a JSON value with one to three of its parts made wrong.

    Args:
        value: Left as it is.
        rng: Decides everything.
        spare: Other values, whose parts may be put in.
    """
    root = {"": copy.deepcopy(value)}
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        places = list(_places(root))
        if not places:
            break
        holder, key = rng.choice(places)
        _damage(holder, key, rng, spare)
    return root.get("")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every member of every object and array, as holder and key."""
    todo = [value]
    while todo:
        holder = todo.pop()
        members = list(holder.items()) if isinstance(holder, dict) else list(enumerate(holder))
        for key, member in members:
            yield holder, key
            if isinstance(member, dict | list):
                todo.append(member)


def _damage(holder: Any, key: Any, rng: random.Random, spare: list[Any]) -> None:
    match rng.randrange(8):
        case 0 if key != "":
            del holder[key]
        case 1:
            other = rng.choice(spare)
            holder[key] = copy.deepcopy(rng.choice([o[k] for o, k in _places([other])]))
        case 2 if isinstance(holder, dict):
            holder[rng.choice(_TEXTS)] = holder.pop(key)
        case 2 | 3 if isinstance(holder, list):
            holder[key:key] = [copy.deepcopy(holder[key])] * rng.choice((1, 3, 200))
        case 4:
            nested: Any = holder[key]
            for _ in range(rng.randrange(1, _MAX_DEPTH)):
                nested = [nested] if rng.random() < 0.5 else {"a": nested}
            holder[key] = nested
        case _:
            holder[key] = odd_value(rng)


def odd_value(rng: random.Random) -> Any:
    """Something that a field hardly expects."""
    match rng.randrange(10):
        case 0:
            return None
        case 1:
            return rng.random() < 0.5
        case 2 | 3 | 4:
            return rng.choice(_NUMBERS)
        case 5 if rng.random() < 0.3:
            return rng.choice(_NOT_NUMBERS)
        case 6:
            return []
        case 7:
            return {}
        case _:
            return rng.choice(_TEXTS)


def as_text(value: Any, rng: random.Random) -> str:
    """JSON, in one of the ways to write it."""
    return json.dumps(value, ensure_ascii=rng.random() < 0.5)


def as_bytes(value: Any, rng: random.Random) -> bytes:
    """JSON as UTF-8, where lone surrogates stay what they are."""
    return as_text(value, rng).encode("utf-8", "surrogatepass")


def damaged_bytes(data: bytes, rng: random.Random) -> bytes:
    """Flip, cut, drop, double and replace, at one to four places."""
    buffer = bytearray(data or b"\0")
    for _ in range(rng.randrange(1, 5)):
        if not buffer:
            break
        first = rng.randrange(len(buffer))
        last = min(len(buffer), first + rng.choice((1, 2, 8, 40)))
        match rng.randrange(6):
            case 0:
                buffer[first] ^= 1 << rng.randrange(8)
            case 1:
                del buffer[first:]
            case 2:
                del buffer[first:last]
            case 3:
                buffer[first:first] = buffer[first:last] * rng.choice((1, 2, 50))
            case 4:
                buffer[first:last] = rng.choice((b"\xff" * 4, b"\0" * 4, b'"', b"\\", b"{", b"]"))
            case _:
                buffer[first:last] = rng.randbytes(last - first)
    return bytes(buffer)
