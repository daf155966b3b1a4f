"""How a page looks."""

from __future__ import annotations

import re

from clients.replay.report.style import STYLE


def test_the_style_loads_nothing_and_knows_night_and_narrow_screens() -> None:
    """No font and no picture from elsewhere."""
    assert not re.search(r"url\(|@import|@font-face", STYLE)
    assert "prefers-color-scheme:dark" in STYLE
    assert "max-width:30rem" in STYLE
    assert STYLE.count("{") == STYLE.count("}")
