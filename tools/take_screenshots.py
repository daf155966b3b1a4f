"""Take the pictures that README and docs show, in headless Chromium.

``python -m tools.take_screenshots`` serves the demo model for it; ``--url`` takes another server.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from clients.python.client import RealtimeClient
from tools.character_pictures import character_pictures

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SIZE: ViewportSize = {"width": 1280, "height": 800}
CHATTERS = 12
ENGINE_MS = 7_000
"""For the lanes to fill."""


async def talk(page: Page, *sayings: str) -> None:
    """Say things and wait for the replies."""
    for text in sayings:
        count = await page.get_by_test_id("reply").count()
        await page.get_by_test_id("message-input").fill(text)
        await page.keyboard.press("Enter")
        done = page.locator('[data-testid=reply][data-status="completed"]')
        await done.nth(count).wait_for()
        # The next message would be an interruption while the character still speaks.
        await page.locator("#stop").wait_for(state="hidden", timeout=60_000)


async def chat_picture(browser: Browser, url: str, path: Path, locale: str, *sayings: str) -> None:
    """Take one picture of a conversation."""
    context = await browser.new_context(locale=locale, viewport=SIZE)
    page = await context.new_page()
    await page.goto(url)
    await page.locator('[data-testid=status][data-state="ready"]').wait_for()
    await talk(page, *sayings)
    await page.screenshot(path=str(path))
    await context.close()


async def engine_picture(browser: Browser, url: str, path: Path) -> None:
    """Take the live view while a dozen conversations run."""
    page = await browser.new_page(viewport=SIZE)
    await page.goto(url)
    await page.get_by_test_id("view-live").click()
    stop = asyncio.Event()

    async def chatter(number: int) -> None:
        realtime = url.replace("http", "ws", 1).rstrip("/") + "/v1/realtime"
        async with RealtimeClient.connect(realtime, model="aoi") as client:
            while not stop.is_set():
                await client.say(
                    ["Hi, I'm Ken!", "Tell me a story.", "好きな食べ物は？"][number % 3]
                )
                await asyncio.sleep(0.05 * (number % 4))

    async with asyncio.TaskGroup() as group:
        for number in range(CHATTERS):
            group.create_task(chatter(number))
        await page.wait_for_timeout(ENGINE_MS)
        await page.screenshot(path=str(path))
        stop.set()


@contextlib.asynccontextmanager
async def serving(url: str | None) -> AsyncIterator[str]:
    """The address of a server: of the one that is named, or of one that runs meanwhile."""
    if url is not None:
        yield url
        return
    command = [sys.executable, "-m", "server", "serve", "--port", "0", "--log-level", "warning"]
    environment = {**os.environ, "KAIWA_HISTORY_KEEP": "memory"}
    server = await asyncio.create_subprocess_exec(
        *command, cwd=ROOT, stdout=asyncio.subprocess.PIPE, env=environment
    )
    assert server.stdout is not None
    try:
        line = (await server.stdout.readline()).decode().split()
        if line[:1] != ["ready"]:
            raise SystemExit("the server did not start; its own words are above")
        yield line[1]
    finally:
        server.terminate()
        await server.wait()


async def take(options: argparse.Namespace) -> None:
    """Take the pictures that are asked for, or all of them."""
    images: Path = options.images
    async with async_playwright() as playwright, serving(options.url) as url:
        browser = await playwright.chromium.launch(executable_path=options.chromium, args=ARGS)
        if options.only in (None, "chat"):
            english = ("Hi! I'm Ken.", "What do you like?")
            await chat_picture(browser, url, images / "page.png", "en-US", *english)
            japanese = ("こんにちは！ケンです。", "好きな食べ物は何？")
            await chat_picture(browser, url, images / "page-ja.png", "ja-JP", *japanese)
        if options.only in (None, "character"):
            await character_pictures(browser, url, images)
        if options.only in (None, "engine"):
            await engine_picture(browser, url, images / "engine.png")
        await browser.close()


def main() -> None:
    """Read the command line and take them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", help="a running server; left out, one is started")
    parser.add_argument("--only", choices=["chat", "character", "engine"], help="some of them")
    parser.add_argument("--images", type=Path, default=IMAGES, help="where they go")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser to use")
    options = parser.parse_args()
    options.images.mkdir(parents=True, exist_ok=True)
    asyncio.run(take(options))


if __name__ == "__main__":
    main()
