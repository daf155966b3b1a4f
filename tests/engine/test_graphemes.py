"""Tests of the places where a stream of text may be cut."""

from __future__ import annotations

import itertools
import random

import pytest
import regex

from engine.graphemes import last_boundary
from tests.support.texts import random_text


def cluster_boundaries(text: str) -> set[int]:
    """Where the standard's clusters begin and end."""
    return {0, *(match.end() for match in regex.finditer(r"\X", text))}


def test_boundaries_agree_with_the_standard_for_every_prefix() -> None:
    """Whatever may go out of a prefix ends at a cluster boundary of the whole text."""
    draw = random.Random(6)
    for _ in range(600):
        text = random_text(draw, 8)
        boundaries = cluster_boundaries(text)
        for end in range(1, len(text) + 1):
            for limit in (end, draw.randint(0, end)):
                assert last_boundary(text[:end], limit) in boundaries, (text, end, limit)


def test_every_code_point_that_extends_is_waited_for() -> None:
    """No code point that the standard lets extend a letter is cut off from it."""
    extending = regex.compile(r"[\p{GCB=Extend}\p{GCB=ZWJ}\p{GCB=SpacingMark}]")
    codes = [*range(0x300, 0xD800), *range(0xE000, 0x1F000), *range(0xE0000, 0xE0200)]
    for char in filter(extending.match, map(chr, codes)):
        assert last_boundary(f"a{char}", 2) == 0, hex(ord(char))


@pytest.mark.parametrize(
    ("text", "released"),
    [
        ("hello", "hell"),
        ("今日は", "今日"),
        ("line\n", "line\n"),
        ("line\r", "line"),
        ("か\u3099", ""),
        ("か\u3099か", "か\u3099"),
        ("🇯🇵🇺🇸", "🇯🇵"),
        ("🇯🇵🇺", "🇯🇵"),
        ("👨\u200d", ""),
        ("各각", "各"),
        ("\u1100\u1161\u1100", "\u1100\u1161"),
        ("क\u094d", ""),
        ("कक", "क"),
    ],
)
def test_only_the_last_cluster_waits(text: str, released: str) -> None:
    """Everything before the last cluster goes out, and all of it after a line feed."""
    assert text[: last_boundary(text, len(text))] == released


def test_kinds_of_code_points_agree_with_the_standard() -> None:
    """No three code points, one of each kind of behaviour, are cut inside a cluster."""
    kinds = (
        "a1é 。か漢\n\r\u0301\u3099\u200d\ufe0f\u20e3🇯😀👍\U0001f3fd\u0600\u0e33"
        "\u1112\u1161\u11a8가각কষ\u094d\u0d4e"
    )
    draw = random.Random(1)
    for triple in draw.sample(list(itertools.product(kinds, repeat=3)), 5000):
        text = "".join(triple)
        boundaries = cluster_boundaries(text)
        for end in (1, 2, 3):
            assert last_boundary(text[:end], end) in boundaries, (text, end)
