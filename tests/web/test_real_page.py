"""The page on the real server with the demo model: what a newcomer sees after ``make run``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.support.real_server import RealServer, real_server
from tests.web.conftest import Visit, find_chromium
from tests.web.test_page import ready, say, settled

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server() -> Iterator[RealServer]:
    """The server as ``make run`` starts it, on a port of its own."""
    if find_chromium() is None:
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    with real_server() as running:
        yield running


@pytest.mark.parametrize(
    ("hello", "question", "words"),
    [
        ("Hi! I'm Ken.", "What is your name?", r"[A-Za-z]{3,}"),
        ("こんにちは！", "お名前は何ですか？", r"[ぁ-んァ-ヶ一-龯]{2,}"),
    ],
)
def test_a_character_answers_in_the_language_that_it_is_spoken_to(
    visit: Visit, server: RealServer, hello: str, question: str, words: str
) -> None:
    """Two turns: each reply completes with words of that language, a face and its figures."""
    page = ready(visit(server.url))
    for text in (hello, question):
        reply = settled(say(page, text))
        expect(reply.get_by_test_id("reply-text")).to_have_text(re.compile(words))
        expect(reply.get_by_test_id("metrics-ttft")).to_have_text(re.compile(r"\d+"))
    expect(page.get_by_test_id("face")).to_have_attribute(
        "data-expression", re.compile("happy|relaxed|surprised|sad|angry|neutral")
    )


def test_the_live_view_shows_the_engines_steps(visit: Visit, server: RealServer) -> None:
    """While a reply runs in one tab, the other sees sequences and blocks."""
    chat, watcher = ready(visit(server.url)), visit(server.url)
    watcher.get_by_test_id("view-live").click()
    expect(watcher.get_by_test_id("live-state")).to_contain_text(re.compile("Live", re.IGNORECASE))
    settled(say(chat, "Tell me a joke, please."))
    expect(watcher.get_by_test_id("live-kv")).to_contain_text(re.compile(r"\d"))
    drawn = watcher.get_by_test_id("canvas-lanes").evaluate(
        "c => new Set(c.getContext('2d').getImageData(0, 0, c.width, c.height).data).size"
    )
    assert drawn > 10


def test_no_word_of_a_conversation_is_in_the_logs(
    visit: Visit, server: RealServer, capfd: pytest.CaptureFixture[str]
) -> None:
    """Ids and numbers only."""
    page = ready(visit(server.url))
    settled(say(page, "My secret word is zanzibarbarossa."))
    assert "zanzibarbarossa" not in "".join(capfd.readouterr())


def test_the_pictures_in_the_readme_are_there() -> None:
    """The README shows the page in both languages."""
    images = Path(__file__).resolve().parents[2] / "docs" / "images"
    for name in ("page.png", "page-ja.png", "engine.png"):
        assert (images / name).read_bytes().startswith(b"\x89PNG")
