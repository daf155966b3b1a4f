"""The page comes back to its session: a reply goes on where the socket was lost."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.clients.live_server import LiveServer, live_server
from tests.web.conftest import Visit, find_chromium
from tests.web.test_page import ready, say, settled

pytestmark = pytest.mark.slow

SONG = "la-" * 40


@pytest.fixture(scope="module")
def server() -> Iterator[LiveServer]:
    """One whose replies take their time."""
    if find_chromium() is None:
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    with live_server(SONG, step_s=0.03) as running:
        yield running


class Cutter:
    """Stands between a page and its server, and can cut the line.

    Attributes:
        sockets: Of the page, newest last, with their other ends.
        is_deaf: Whether what the page says gets lost on its way.
    """

    def __init__(self, page: Page) -> None:
        self.sockets: list[tuple[WebSocketRoute, WebSocketRoute]] = []
        self.is_deaf = False
        page.route_web_socket("**/v1/realtime*", self._join)

    def _join(self, ours: WebSocketRoute) -> None:
        theirs = ours.connect_to_server()
        self.sockets.append((ours, theirs))
        ours.on_message(lambda text: None if self.is_deaf else theirs.send(text))

    def cut(self) -> None:
        """Lose the newest socket, at both ends."""
        ours, theirs = self.sockets[-1]
        theirs.close()
        ours.close(code=1012)


def arrive(visit: Visit, server: LiveServer) -> tuple[Page, Cutter]:
    """Open the page behind a line that can be cut."""
    page = visit(f"{server.url}/livez")
    cutter = Cutter(page)
    page.goto(server.url)
    settled(ready(page).get_by_test_id("reply").first)  # the greeting
    return page, cutter


def test_a_reply_goes_on_where_the_socket_was_lost(visit: Visit, server: LiveServer) -> None:
    """Cut twice in the middle, it is whole and completed, and nobody is told twice."""
    page, cutter = arrive(visit, server)
    reply = say(page, "Sing.")
    for count in (2, 3):
        expect(reply.get_by_test_id("reply-text")).to_contain_text("la-" * 4 * count)
        cutter.cut()
        ready(page)
    settled(reply)
    expect(reply.get_by_test_id("reply-text")).to_have_text(SONG.rstrip())
    assert len(cutter.sockets) == 3
    assert page.get_by_test_id("reply").count() == 2


def test_what_got_lost_on_its_way_is_said_again(visit: Visit, server: LiveServer) -> None:
    """Words that the server never heard are answered after the return, once."""
    page, cutter = arrive(visit, server)
    settled(say(page, "Sing."))
    cutter.is_deaf = True
    reply = say(page, "Once more.")
    page.wait_for_timeout(200)
    cutter.is_deaf = False
    cutter.cut()
    settled(reply)
    expect(reply.get_by_test_id("reply-text")).to_have_text(SONG.rstrip())
    expect(page.get_by_test_id("user-message")).to_have_count(2)


def test_a_reload_comes_back_to_the_same_conversation(visit: Visit, server: LiveServer) -> None:
    """In the middle of a reply: it goes on where it was, and is told and asked for once."""
    page, cutter = arrive(visit, server)
    settled(say(page, "Sing."))
    reply = say(page, "Once more.")
    expect(reply.get_by_test_id("reply-text")).to_contain_text("la-" * 8)
    asked = len(server.engine.prompts)
    page.reload()
    ready(page)
    expect(page.get_by_test_id("user-message")).to_have_count(2)
    reply = page.get_by_test_id("reply").last
    settled(reply)
    expect(reply.get_by_test_id("reply-text")).to_have_text(SONG.rstrip())
    expect(page.get_by_test_id("reply")).to_have_count(3)
    assert len(server.engine.prompts) == asked
    assert "resume=" in cutter.sockets[-1][0].url


def test_a_new_tab_begins_anew(visit: Visit, server: LiveServer) -> None:
    """What the page has left behind is taken once; a copy of the tab takes nobody's session."""
    page, _ = arrive(visit, server)
    settled(say(page, "Sing."))
    page.reload()
    ready(page)
    assert page.evaluate("sessionStorage.getItem('kaiwa.talk')") is None
