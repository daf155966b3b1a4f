"""A headless browser, a server for it to visit, and a watch over what the page does."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from tests.web.mock_server import Mock, MockServer

ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
WATCH = """
window.violations = [];
document.addEventListener("securitypolicyviolation",
  (event) => window.violations.push(`${event.violatedDirective} ${event.blockedURI}`));
"""

Visit = Callable[..., Page]


def find_chromium() -> str | None:
    """Find a Chromium: named by CHROMIUM, in the usual place, or on PATH."""
    named = os.environ.get("CHROMIUM")
    if named:
        return named
    usual = Path("/usr/bin/chromium")
    return str(usual) if usual.exists() else shutil.which("chromium")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Start one browser per module: its loop must not outlive the module's plain tests."""
    expect.set_options(timeout=15_000)  # a loaded machine is slow, not wrong
    path = find_chromium()
    if path is None:
        pytest.skip("no Chromium: install one, or name it in CHROMIUM")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=path, args=ARGS)
        yield chromium
        chromium.close()


@pytest.fixture
def mock() -> Iterator[Mock]:
    """Run the scripted server without a key."""
    with MockServer() as running:
        yield running


@pytest.fixture
def locked() -> Iterator[Mock]:
    """Run the scripted server behind a key."""
    with MockServer(key="sk-right") as running:
        yield running


@pytest.fixture
def page_url(mock: Mock) -> str:
    """Where the page is served."""
    return mock.url


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visit]:
    """Open the page; at the end, no error, no violation and no foreign request may have been."""
    contexts = []
    pages: list[tuple[Page, str]] = []
    problems: list[str] = []

    def hear(message: ConsoleMessage) -> None:
        expected = "Failed to load resource" in message.text or "WebSocket" in message.text
        if message.type in ("error", "warning") and not expected:
            problems.append(message.text)

    def open_page(url: str, **context_options: Any) -> Page:
        options: dict[str, Any] = {"locale": "en-US", "viewport": {"width": 1280, "height": 800}}
        context = browser.new_context(**{**options, **context_options})
        context.add_init_script(WATCH)
        page = context.new_page()
        page.set_default_timeout(15_000)
        host = urlsplit(url).netloc

        def look(address: str) -> None:
            if urlsplit(address).scheme != "data" and urlsplit(address).netloc != host:
                problems.append(f"foreign request: {address}")

        page.on("console", hear)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("request", lambda request: look(request.url))
        page.on("websocket", lambda socket: look(socket.url))
        page.goto(url)
        contexts.append(context)
        pages.append((page, url))
        return page

    yield open_page
    for page, _ in pages:
        problems.extend(page.evaluate("window.violations"))
    for context in contexts:
        context.close()
    assert problems == []
