"""Take the pictures that the README shows, from a running server, in headless Chromium."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize, async_playwright

from clients.python.client import RealtimeClient

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
ARGS = ["--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]
SIZE: ViewportSize = {"width": 1280, "height": 800}
CHATTERS = 12


async def talk(page: Page, *sayings: str) -> None:
    """Say things and wait for the replies."""
    for text in sayings:
        count = await page.get_by_test_id("reply").count()
        await page.get_by_test_id("message-input").fill(text)
        await page.keyboard.press("Enter")
        done = page.locator('[data-testid=reply][data-status="completed"]')
        await done.nth(count).wait_for()
    await page.wait_for_timeout(2500)  # the face follows at speaking pace


async def chat_picture(browser: Browser, url: str, name: str, locale: str, *sayings: str) -> None:
    """Take one picture of a conversation."""
    context = await browser.new_context(locale=locale, viewport=SIZE)
    page = await context.new_page()
    await page.goto(url)
    await page.locator('[data-testid=status][data-state="ready"]').wait_for()
    await talk(page, *sayings)
    await page.screenshot(path=str(IMAGES / name))
    await context.close()


async def engine_picture(browser: Browser, url: str) -> None:
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
        await page.wait_for_timeout(6000)
        await page.screenshot(path=str(IMAGES / "engine.png"))
        stop.set()


async def main() -> None:
    """Take all of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="http://127.0.0.1:8000/", help="a running server")
    parser.add_argument("--chromium", default="/usr/bin/chromium", help="the browser to use")
    options = parser.parse_args()
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=options.chromium, args=ARGS)
        await chat_picture(
            browser, options.url, "page.png", "en-US", "Hi! I'm Ken.", "What do you like?"
        )
        await chat_picture(
            browser,
            options.url,
            "page-ja.png",
            "ja-JP",
            "こんにちは！ケンです。",
            "好きな食べ物は何？",
        )
        await engine_picture(browser, options.url)
        await browser.close()


if __name__ == "__main__":
    asyncio.run(main())
