"""Take a character in the middle of a sentence: three mouth shapes, two feelings, the whole page.

A mouth shape lasts a tenth of a second, and a screenshot takes longer. So the page's animation
frames are held back at the moment that is wanted; nothing that is shown is set from outside.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from playwright.async_api import Browser, Page, ViewportSize
from playwright.async_api import TimeoutError as TookTooLong

SIZE: ViewportSize = {"width": 1280, "height": 800}
SHAPES = {"aa": 8, "ou": 6, "ee": 6}
"""Mouth shapes, and how many tenths of each a good picture shows: about what a voice reaches."""
FEELINGS = ("happy", "surprised")
SAYINGS = (
    "What do you like?",
    "You are cute!",
    "Tell me a story.",
    "Sing me a song.",
    "hello",
    "Do you want to be my friend?",
    "I won a prize today!",
    "歌を歌って！",
    "お話をして。",
    "好きな食べ物は何？",
)
PATIENCE_MS = 14_000.0

HOLD = """
const frame = window.requestAnimationFrame.bind(window);
let waiting = null;
window.requestAnimationFrame = (act) => frame((now) => (waiting ? waiting.push(act) : act(now)));
window.hold = (wanted, forMs, patienceMs) => new Promise((resolve) => {
  const begun = performance.now();
  let since = null;
  const look = (now) => {
    if (!document.querySelector(wanted)) since = null;
    else since ??= now;
    const silent = now - begun > 2500 && document.querySelector("#stop").hidden; // all is said
    if (silent || now - begun > patienceMs) return resolve(false);
    if (since === null || now - since < forMs) return frame(look);
    waiting = [];
    return resolve(true);
  };
  frame(look);
});
window.release = () => {
  const acts = waiting ?? [];
  waiting = null;
  for (const act of acts) window.requestAnimationFrame(act);
};
"""
# The head and a little around it, on the drawing's board.
FACE_BOX = """(face) => {
  const board = face.getScreenCTM();
  const [x, y] = [board.e + 50 * board.a, board.f + 36 * board.d];
  return { x, y, width: 300 * board.a, height: 354 * board.d };
}"""
FELT_MS = 500


@asynccontextmanager
async def _meeting(browser: Browser, url: str) -> AsyncIterator[Page]:
    context = await browser.new_context(locale="en-US", color_scheme="light", viewport=SIZE)
    await context.add_init_script(HOLD)
    page = await context.new_page()
    await page.goto(url)
    await page.locator('[data-testid=status][data-state="ready"]').wait_for()
    yield page
    await context.close()


async def _say(page: Page, text: str) -> None:
    await page.get_by_test_id("message-input").fill(text)
    await page.keyboard.press("Enter")


async def _hear_out(page: Page) -> None:
    """Wait for the end of what is being said; a message before it would be an interruption."""
    await page.wait_for_timeout(600)
    await page.locator("#stop").wait_for(state="hidden", timeout=60_000)


def _mouth(shape: str, least: int) -> str:
    """Select the mouth where it has a shape, at least so many tenths, in a face with open eyes."""
    strengths = (f'[data-strength="{tenths / 10:.1f}"]' for tenths in range(least, 11))
    face = '[data-testid=face]:not([data-expression="relaxed"])'  # whose eyes are shut
    return f'{face} .face-mouth[data-shape="{shape}"]:is({", ".join(strengths)})'


async def _catch_shape(page: Page, shape: str, *, within: str = "") -> None:
    """Hold the page where a shape is drawn nearly in full, or else well enough."""
    try:
        await _catch(page, within + _mouth(shape, SHAPES[shape]), 0)
    except TookTooLong:
        await _catch(page, within + _mouth(shape, 4), 0)


async def _catch(page: Page, wanted: str, for_ms: int) -> None:
    """Say one thing after another until the page shows what is wanted, and hold it there."""
    for text in SAYINGS:
        await _hear_out(page)
        await _say(page, text)
        wish = [wanted, for_ms, PATIENCE_MS]
        if await page.evaluate("(wish) => hold(...wish)", wish):
            return
    raise TookTooLong(f"the character never showed {wanted}; try again, or another character")


async def _take_face(page: Page, path: Path) -> None:
    box = await page.get_by_test_id("face").evaluate(FACE_BOX)
    await page.screenshot(path=str(path), clip=box)
    await page.evaluate("release()")


async def character_pictures(browser: Browser, url: str, images: Path) -> None:
    """Take all of them.

    Raises:
        TimeoutError: A shape or a feeling did not come in any of the replies.
    """
    speaking = ":has(.seg.now)"
    async with _meeting(browser, url) as page:
        await _hear_out(page)
        await _say(page, "Hi! I'm Ken.")
        await _hear_out(page)
        await _catch_shape(page, "aa", within=f"body{speaking} ")
        await page.screenshot(path=str(images / "character-mid-sentence.png"))
    async with _meeting(browser, url) as page:
        for shape in SHAPES:
            await _catch_shape(page, shape)
            await _take_face(page, images / f"character-mouth-{shape}.png")
        for feeling in FEELINGS:
            wanted = f'body{speaking} [data-testid=face][data-expression="{feeling}"]'
            await _catch(page, wanted, FELT_MS)
            await _take_face(page, images / f"character-{feeling}.png")
