"""The main charts as one picture."""

from __future__ import annotations

import struct
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from clients.replay.charts import Line, Picture, plot
from clients.replay.png import check_png, sheet, write_png
from clients.replay.script import ScriptError

PICTURES = [
    plot(f"<chart {number}>", "x", "y", [Line(f"curve {number}", [(0, 1), (1, 2)])])
    for number in range(3)
]


def test_a_sheet_is_svg_with_every_picture_and_its_legend() -> None:
    """Pictures without anything to show are left out."""
    text = sheet([*PICTURES, Picture("empty", "")], "a & b")
    root = ElementTree.fromstring(text)
    said = [element.text for element in root.iter() if element.tag.endswith("text")]
    for expected in ("a & b", "<chart 2>", "curve 2"):
        assert expected in said
    assert "empty" not in said


def test_long_legends_are_broken_into_lines() -> None:
    """Japanese letters are taken for as wide as they are."""
    lines = [Line("とても長い名前の実行", [(0, 1)]) for _ in range(12)]
    low, high = (sheet([plot("t", "x", "y", some)], "t") for some in (lines[:1], lines))
    heights = [float(ElementTree.fromstring(text).attrib["height"]) for text in (low, high)]
    assert heights[1] >= heights[0] + 3 * 17


def test_the_picture_is_as_wide_as_it_should_be(tmp_path: Path) -> None:
    """A PNG says so in its header."""
    pytest.importorskip("resvg_py")
    check_png()
    write_png(tmp_path / "report.png", PICTURES[:1], "t", zoom=0.5)
    data = (tmp_path / "report.png").read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">I", data[16:20])[0] == pytest.approx((2 * 548 + 28) / 2, abs=1)


def test_without_what_draws_it_the_command_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody has to look for it."""
    monkeypatch.setitem(sys.modules, "resvg_py", None)
    with pytest.raises(ScriptError, match=r"pip install 'kaiwa\[png\]'"):
        check_png()
