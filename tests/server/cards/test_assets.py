"""The bytes behind a card's assets; nothing is looked for outside the card."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from server.cards.assets import find_file, main_icon, portrait
from server.cards.card import Asset, Card, make_card
from server.cards.png import draw_png, write_png

PICTURE = draw_png(b"Aoi", width=2, height=2)


def card(*assets: dict[str, Any], **fields: Any) -> Card:
    """Make a card of some assets."""
    raw = {"spec": "chara_card_v3", "data": {"name": "Aoi", "assets": list(assets)}}
    return replace(make_card(raw, container="json"), files={"a/b.png": b"ab"}, **fields)


@pytest.mark.parametrize(
    ("uri", "data"),
    [
        ("embeded://a/b.png", b"ab"),
        ("embedded://a/b.png", b"ab"),
        ("__asset:a/b.png", b"ab"),
        ("embeded://A/b.png", None),
        ("data:image/png;base64,eHk=", b"xy"),
        ("data:image/png;charset=utf-8;base64,eHk=", b"xy"),
        ("data:image/png;base64,???", None),
        ("data:text/plain,xy", None),
        ("https://example.com/a.png", None),
        ("file:///etc/passwd", None),
        ("../../etc/passwd", None),
        ("", None),
    ],
)
def test_files_are_found_by_uri(uri: str, data: bytes | None) -> None:
    """In the card's own files, or in the URI itself."""
    assert find_file(card(), Asset(type="emotion", uri=uri)) == data


def test_the_default_icon_is_the_picture() -> None:
    """And no other default is (V3, ``assets``)."""
    icon, user_icon = (Asset(type=kind, uri="ccdefault:") for kind in ("icon", "user_icon"))
    assert find_file(card(picture=PICTURE), icon) == write_png(PICTURE)
    assert find_file(card(picture=PICTURE), user_icon) is None
    assert find_file(card(), icon) is None


def test_the_main_icon_is_the_one_named_so() -> None:
    """Or else the first."""
    first, main = {"type": "icon", "uri": "1"}, {"type": "icon", "uri": "2", "name": "main"}
    other = {"type": "emotion", "uri": "3", "name": "main"}
    for assets, uri in (((other, first, main), "2"), ((other, first), "1")):
        icon = main_icon(card(*assets))
        assert icon is not None
        assert icon.uri == uri
    assert main_icon(card(other)) is None


def test_a_portrait_is_found_in_the_card() -> None:
    """The icon's own file, or else the picture."""
    icon = {"type": "icon", "uri": "embeded://a/b.png", "name": "main"}
    lost = {"type": "icon", "uri": "https://example.com/a.png", "name": "main"}
    assert portrait(card(icon, picture=PICTURE)) == b"ab"
    assert portrait(card(lost, picture=PICTURE)) == write_png(PICTURE)
    assert portrait(card(picture=PICTURE)) == write_png(PICTURE)
    assert portrait(card(lost)) is None
