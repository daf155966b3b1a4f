"""The report: a summary, and one page that loads nothing."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from clients.replay.metrics import Targets
from clients.replay.page import write_report
from clients.replay.script import ScriptError
from tests.clients.replay.runs import measured, request

_VOID = {"meta", "br", "line", "circle"}


class Nesting(HTMLParser):
    """Follows which elements are open, and keeps what is wrong."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.wrong: list[str] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in _VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.wrong.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Nothing stays open."""

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def page_of(folder: Path) -> str:
    """Return the page that was written."""
    return (folder / "report.html").read_text(encoding="utf-8")


def test_a_report_loads_nothing_and_names_are_escaped(tmp_path: Path) -> None:
    """What is in the page is all of it: no script, no address, no other file."""
    write_report(tmp_path / "new", [measured("<i>")], title="T & U", about={"seed": "<7>"})
    page = page_of(tmp_path / "new")
    assert "<i>" not in page
    assert "<7>" not in page
    assert "T &amp; U" in page
    assert not re.search(r"(src|href)=|url\(|@import|<script|https?:", page)


def test_the_page_is_well_formed(tmp_path: Path) -> None:
    """Every element is closed where it should be."""
    runs = [measured("a"), measured("b", target="kaiwa", offered_per_s=2.0, invalid="<late>")]
    write_report(tmp_path, runs, title="t", about={})
    parser = Nesting()
    parser.feed(page_of(tmp_path))
    parser.close()
    assert (parser.open, parser.wrong) == ([], [])


def test_the_page_shows_each_run_and_the_engine_where_it_told(tmp_path: Path) -> None:
    """Four charts side by side, three of steps, seven of each run."""
    write_report(tmp_path, [measured("a"), measured("b")], title="t", about={})
    assert page_of(tmp_path).count("<svg") == 4 + 3 + 2 * 7
    write_report(tmp_path, [measured("a", steps=[])], title="t", about={})
    page = page_of(tmp_path)
    assert "What the engine did" not in page
    assert page.count("<svg") == 4 + 7


def test_a_run_that_does_not_count_says_so_and_why(tmp_path: Path) -> None:
    """On top of the page and beside its own charts."""
    write_report(tmp_path, [measured("a", invalid="lag of 31 ms")], title="t", about={})
    page = page_of(tmp_path)
    assert page.count('role="alert"') == 2
    assert "lag of 31 ms" in page
    assert "⚠ a" in page


def test_headings_and_captions_can_be_japanese(tmp_path: Path) -> None:
    """And the page says which language it is."""
    write_report(tmp_path, [measured("a")], title="t", about={}, lang="ja")
    page = page_of(tmp_path)
    assert '<html lang="ja">' in page
    assert "聞き手の体感" in page
    assert "What listeners felt" not in page


def test_a_language_that_is_not_there_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    """With those that are."""
    with pytest.raises(ScriptError, match="there are en and ja"):
        write_report(tmp_path / "new", [measured("a")], title="t", about={}, lang="tlh")
    assert not (tmp_path / "new").exists()


def test_the_summary_says_what_it_takes_to_do_it_again(tmp_path: Path) -> None:
    """Versions, machine, targets and the caller's own words; requests with all times."""
    run = measured("a", requests=[request(planned_s=0.0)])
    write_report(tmp_path, [run], title="t", about={"seed": 7}, targets=Targets(ttft_s=2.0))
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["about"] == {"seed": 7}
    assert summary["targets"]["ttft_s"] == 2.0
    assert {"python", "platform", "processor"} <= set(summary["machine"])
    assert summary["runs"][0]["figures"]["ttft_s"]["p50"] == pytest.approx(0.5)
    (row,) = (tmp_path / "requests.jsonl").read_text(encoding="utf-8").splitlines()
    assert json.loads(row)["token_times_s"] == [0.5, 0.6, 0.9]


@pytest.mark.slow
@pytest.mark.slow
def test_a_picture_of_the_main_charts_is_written_if_wanted(tmp_path: Path) -> None:
    """Beside the page."""
    pytest.importorskip("resvg_py")
    write_report(tmp_path, [measured("a")], title="t", about={})
    assert not (tmp_path / "report.png").exists()
    odd = "a\x01\udcff"  # as a file's name may be
    write_report(tmp_path, [measured(odd)], title=odd, about={}, png=True)
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")
