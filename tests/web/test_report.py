"""A report in a browser: on a desk, on a telephone, by night."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import pytest

from clients.replay.page import write_report
from tests.clients.replay.runs import measured, request
from tests.web.conftest import Visit

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("lang", ["en", "ja"])
@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (360, "dark")])
def test_a_report_fits_every_screen_and_asks_for_nothing(
    tmp_path: Path, visit: Visit, width: int, scheme: Literal["light", "dark"], lang: str
) -> None:
    """Nothing is cut off sideways, and what the browser has to say would fail this test."""
    requests = [request(f"session-{n}", sent_s=float(n), planned_s=float(n)) for n in range(30)]
    why = "x" * 200
    runs = [
        measured(f"a run {n}× of a long name", requests=requests, target=f"t{n % 2}", invalid=why)
        for n in range(3)
    ]
    about = {"command": "kaiwa replay " + "y" * 300}
    write_report(tmp_path, runs, title="Title" * 20, about=about, lang=lang)
    page = visit(
        f"file://{tmp_path / 'report.html'}",
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        java_script_enabled=True,
    )
    for details in page.locator("summary").all()[1:]:
        details.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert page.locator("html").get_attribute("lang") == lang
    for svg in page.locator("figure svg").all():
        box = svg.bounding_box()
        assert box is not None
        assert box["width"] <= width
        assert box["height"] > 60
