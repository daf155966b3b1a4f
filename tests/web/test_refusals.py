"""The page finds out why it was not let in, tells it, and waits or stops accordingly."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.clients.live_server import LiveServer, live_server
from tests.support.keys import ALICE, CHAT_ONLY, entry, make_keys, write_keys
from tests.web.conftest import Visit, find_chromium
from tests.web.test_page import ready

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """The real one, with keys, of which Alice's is good for one socket."""
    if find_chromium() is None:
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    file = make_keys(tmp_path_factory.mktemp("keys"), without="alice")
    more = file.read_text(encoding="utf-8")
    write_keys(file, more + entry("alice", ALICE, "max_connections = 1"))
    with live_server("Hello.", api_keys_file=file) as running:
        yield running


def enter(page: Page, key: str) -> Page:
    """Give the page a key."""
    page.get_by_test_id("key-input").fill(key)
    page.get_by_test_id("key-submit").click()
    return page


def test_a_page_too_many_says_so_and_comes_in_when_another_leaves(
    visit: Visit, server: LiveServer
) -> None:
    """Nobody is told of a lost line; no hand is needed."""
    first = ready(enter(visit(server.url), ALICE))
    second = enter(visit(server.url), ALICE)
    notice = second.get_by_test_id("notice")
    expect(notice).to_contain_text("As many conversations are open as may be")
    expect(second.get_by_test_id("status")).to_contain_text("Reconnecting")
    first.goto("about:blank")
    ready(second)
    expect(notice).to_be_hidden()
    second.goto("about:blank")
    first.goto(server.url)


def test_a_key_that_opens_no_conversation_is_asked_for_anew(
    visit: Visit, server: LiveServer
) -> None:
    """With the reason; another one opens."""
    page = enter(visit(server.url), CHAT_ONLY)
    expect(page.get_by_test_id("key-dialog")).to_contain_text("opens no conversations")
    ready(enter(page, ALICE))


def test_who_is_turned_away_for_good_stops_and_says_why(visit: Visit, server: LiveServer) -> None:
    """A character that somebody has deleted meanwhile is not dialled again and again."""
    sockets: list[str] = []
    page = ready(enter(visit(server.url), ALICE))
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.evaluate(
        """async () => {
          const { RealtimeLink } = await import("/static/realtime.js");
          window.link = new RealtimeLink(() => sessionStorage.getItem("kaiwa.key"));
          window.states = [];
          window.link.addEventListener("state", ({ detail }) => window.states.push(detail));
          window.link.open("nobody");
        }"""
    )
    page.wait_for_function("() => window.states.at(-1).name === 'stopped'")
    assert page.evaluate("window.states.at(-1).refusal.code") == "model_not_found"
    assert "nobody" in page.evaluate("window.states.at(-1).refusal.reason")
    page.wait_for_timeout(700)
    assert len(sockets) == 1


def test_the_words_of_a_refusal_are_shown(visit: Visit, page_url: str) -> None:
    """Those of the server, in a sentence of the page's."""
    page = ready(visit(page_url))
    page.evaluate(
        """async () => {
          const { StatusBar } = await import("/static/status_bar.js");
          const bar = new StatusBar(() => {});
          bar.show({ name: "stopped", refusal: { status: 403, reason: "no foreign pages" } });
        }"""
    )
    words = "The server does not let this page in: no foreign pages"
    expect(page.get_by_test_id("notice")).to_have_text(words)
