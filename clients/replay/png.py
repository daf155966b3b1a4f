"""The main charts as one picture, for places that show no page: ``pip install 'kaiwa[png]'``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path

from clients.replay.charts import WIDTH, Key, Picture
from clients.replay.script import ScriptError

_COLUMNS = 2
_GAP = 28
_LINE = 17
_LATIN = "'DejaVu Sans','Helvetica Neue','Segoe UI',Arial"
_JAPANESE = "'Noto Sans CJK JP','Noto Sans JP','Hiragino Sans','Yu Gothic'"
_NOT_XML = re.compile("[^\\t\\n\\r\\x20-\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")
_STYLE = (
    "text{font-size:12px;fill:#5a6168}.title{font-size:20px;fill:#1c2024}"
    ".name{font-size:14px;font-weight:bold;fill:#1c2024}.row{font-size:8px}"
    ".grid{stroke:#d8dde2;stroke-width:.6}"
)


def write_png(file: Path, pictures: Sequence[Picture], title: str, *, zoom: float = 2.0) -> None:
    """Draw pictures on one sheet.

    Letters come from the fonts of the system; without any, the sheet has none.

    Args:
        file: Where; replaced if it is there.
        pictures: Those without anything to show are left out.
        title: Of the sheet.
        zoom: Pixels for each unit of the drawings.

    Raises:
        ScriptError: What draws it is not installed.
    """
    drawn = _NOT_XML.sub("\ufffd", sheet(pictures, title))
    file.write_bytes(_renderer()(svg_string=drawn, zoom=zoom))


def check_png() -> None:
    """Find out before a long measurement, not after it, whether a PNG can be drawn.

    Raises:
        ScriptError: What draws it is not installed; the message says how it gets here.
    """
    _renderer()


def _renderer() -> Callable[..., bytes]:
    try:
        from resvg_py import svg_to_bytes
    except ImportError:
        raise ScriptError(
            "a PNG needs resvg-py, which is not installed: pip install 'kaiwa[png]'"
        ) from None
    return svg_to_bytes


def sheet(pictures: Sequence[Picture], title: str) -> str:
    """Return the sheet as an SVG document: pictures in two columns, each with its legend."""
    drawn = [picture for picture in pictures if picture.body]
    width = _COLUMNS * (WIDTH + _GAP) + _GAP
    parts = [f'<text class="title" x="{_GAP}" y="40">{escape(title)}</text>']
    top = 64.0
    for first in range(0, len(drawn), _COLUMNS):
        heights = []
        for column, picture in enumerate(drawn[first : first + _COLUMNS]):
            left = _GAP + column * (WIDTH + _GAP)
            keys, keys_height = _keys([key for key in picture.keys if key.name])
            parts.append(
                f'<g transform="translate({left} {top:g})">'
                f'<text class="name" x="4" y="14">{escape(picture.title)}</text>'
                f'<g transform="translate(0 22)">{picture.body}</g>'
                f'<g transform="translate(0 {22 + picture.height:g})">{keys}</g></g>'
            )
            heights.append(22 + picture.height + keys_height)
        top += max(heights) + _GAP
    # The first font that is there writes all of a text, and what it lacks comes from any other.
    said = title + "".join(picture.title for picture in drawn)
    latin_first = not any(_is_wide(letter) for letter in said)
    fonts = f"{_LATIN},{_JAPANESE}" if latin_first else f"{_JAPANESE},{_LATIN}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{top:g}" '
        f'viewBox="0 0 {width} {top:g}"><style>text{{font-family:{fonts},sans-serif}}'
        f"{_STYLE}</style>"
        f'<rect width="100%" height="100%" fill="#fff"/>{"".join(parts)}</svg>'
    )


def _keys(keys: Iterable[Key]) -> tuple[str, float]:
    """Return a legend, and how high it is; it is broken into lines by a guess of letters' width."""
    parts: list[str] = []
    left, top = 4.0, 12.0
    for key in keys:
        width = 30 + sum(12.0 if _is_wide(letter) else 7.2 for letter in key.name) + 14
        if left > 4 and left + width > WIDTH:
            left, top = 4.0, top + _LINE
        thick = 9 if key.filled else 3
        dashes = "5 4" if key.dashed else "none"
        parts.append(
            f'<line x1="{left:g}" x2="{left + 22:g}" y1="{top - 4:g}" y2="{top - 4:g}" '
            f'stroke="{key.paint}" stroke-opacity="{key.opacity:g}" stroke-width="{thick}" '
            f'stroke-dasharray="{dashes}"/>'
            f'<text x="{left + 28:g}" y="{top:g}">{escape(key.name)}</text>'
        )
        left += width
    return "".join(parts), top + 6


def _is_wide(letter: str) -> bool:
    return unicodedata.east_asian_width(letter) in ("W", "F")
