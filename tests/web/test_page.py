"""The page as a reader meets it: talking, stopping, feeling, reconnecting, watching the engine."""

import json
import re
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.web.conftest import Visit
from tests.web.mock_server import HOSTILE, Mock

pytestmark = pytest.mark.slow

PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 640}, "is_mobile": True, "has_touch": True,
}  # fmt: skip


def ready(page: Page) -> Page:
    """Wait until the page is connected."""
    expect(page.get_by_test_id("status")).to_have_attribute("data-state", "ready")
    return page


def say(page: Page, text: str) -> Locator:
    """Send a message with the Enter key and return the newest reply."""
    box = page.get_by_test_id("message-input")
    count = page.get_by_test_id("user-message").count()
    box.fill(text)
    box.press("Enter")
    expect(page.get_by_test_id("user-message")).to_have_count(count + 1)
    return page.get_by_test_id("reply").last


def settled(reply: Locator, status: str = "completed") -> Locator:
    """Wait until a reply has ended in a status."""
    expect(reply).to_have_attribute("data-status", status)
    return reply


def streaming(page: Page, text: str = "slow please") -> Locator:
    """Ask for a long reply and wait for its first words."""
    say(page, text)
    reply = page.locator('[data-testid=reply][data-status="streaming"]')
    expect(reply.get_by_test_id("reply-text")).to_contain_text("word5")
    return page.get_by_test_id("reply").last


def wire_kinds(mock: Mock) -> list[str]:
    """List the types of all client events so far."""
    return [str(event["type"]) for event in mock.events]


def test_a_reply_streams_and_shows_its_figures(visit: Visit, page_url: str) -> None:
    """Words appear as they are made, then the first-token time and the speed."""
    page = ready(visit(page_url))
    reply = say(page, "hello")
    expect(reply).to_have_attribute("data-status", "streaming")
    settled(reply)
    expect(reply.get_by_test_id("reply-text")).to_have_text(
        "I am glad you stopped by. Wait, is that the last train I hear? "
        "Then there is time for one more cup."
    )
    expect(reply.get_by_test_id("metrics-ttft")).to_contain_text("151 ms")
    expect(reply.get_by_test_id("metrics-tps")).to_contain_text(re.compile(r"\d+\.\d tokens/s"))


def test_the_character_greets(visit: Visit, mock: Mock) -> None:
    """The page asks for the greeting in its language, and shows it without tags or figures."""
    page = ready(visit(mock.url))
    greeting = page.get_by_test_id("reply").first
    expect(greeting.get_by_test_id("reply-text")).to_contain_text("Welcome in!")
    expect(greeting.get_by_test_id("reply-text")).not_to_contain_text("[")
    expect(settled(greeting).get_by_test_id("metrics-ttft")).to_have_count(0)
    asked = mock.of_type("character.greet")
    assert [(event["index"], event["language"]) for event in asked] == [(0, "en")]


def test_the_face_follows_the_feelings(visit: Visit, page_url: str) -> None:
    """Each expression of a reply reaches the face, in order, and its label says so."""
    page = ready(visit(page_url))
    face = page.get_by_test_id("face")
    say(page, "hello")
    for feeling in ("happy", "surprised", "relaxed"):
        expect(face).to_have_attribute("data-expression", feeling)
    expect(face).to_have_attribute("aria-label", "Aoi looks relaxed")
    say(page, "angry now")
    expect(face).to_have_attribute("data-expression", "angry")


def test_the_face_moves(visit: Visit, page_url: str) -> None:
    """The drawing changes from moment to moment while nothing is said."""
    page = ready(visit(page_url))
    inner = "document.querySelector('[data-testid=face]').outerHTML"
    before = page.evaluate(inner)
    page.wait_for_timeout(400)
    assert page.evaluate(inner) != before


def test_the_stop_button_stops(visit: Visit, mock: Mock) -> None:
    """Stop cancels on the wire, marks the reply and gives the focus back to the box."""
    page = ready(visit(mock.url))
    reply = streaming(page)
    page.get_by_test_id("stop").click()
    settled(reply, "cancelled")
    words = reply.get_by_test_id("reply-text").inner_text()
    page.wait_for_timeout(200)
    assert reply.get_by_test_id("reply-text").inner_text() == words
    assert mock.cancels == 1
    expect(page.get_by_test_id("stop")).to_be_hidden()
    expect(page.get_by_test_id("message-input")).to_be_focused()


def test_escape_stops(visit: Visit, mock: Mock) -> None:
    """The Escape key does what the stop button does."""
    page = ready(visit(mock.url))
    reply = streaming(page)
    page.keyboard.press("Escape")
    settled(reply, "cancelled")
    assert mock.cancels == 1


def test_a_reply_can_be_stopped_before_its_first_word(visit: Visit, page_url: str) -> None:
    """A reply that never said a word says so."""
    page = ready(visit(page_url))
    reply = say(page, "think")
    expect(reply).to_have_attribute("data-status", "streaming")
    page.keyboard.press("Escape")
    settled(reply, "cancelled")
    expect(reply.get_by_test_id("reply-text")).to_contain_text("stopped before a word")


def test_the_next_message_interrupts(visit: Visit, mock: Mock) -> None:
    """A message sent meanwhile is one frame more: the request says what was shown before it."""
    page = ready(visit(mock.url))
    old = streaming(page)
    shown = len(old.get_by_test_id("reply-text").inner_text())
    start = len(mock.events)
    key = page.locator("[data-testid=reply]").count() - 1
    say(page, "hello")
    expect(page.get_by_test_id("reply")).to_have_count(key + 2)
    settled(page.get_by_test_id("reply").nth(key), "cancelled")
    settled(old)
    kinds = [kind for kind in wire_kinds(mock)[start:] if kind != "character.playback"]
    assert kinds == ["conversation.item.create", "response.create"]
    asked = mock.of_type("response.create")[-1]["response"]
    assert asked["if_active"] == "interrupt"
    assert asked["heard"]["item_id"].startswith("item_reply_")
    assert shown <= asked["heard"]["text_end"] < 400
    expect(page.get_by_test_id("notice")).to_be_hidden()


def test_a_restart_interrupts_and_the_conversation_is_told_again(visit: Visit, mock: Mock) -> None:
    """After close 1012 the page says so, comes back, and re-creates its items under their ids."""
    page = ready(visit(mock.url))
    settled(say(page, "hello"))
    page.evaluate(
        "window.seen = []; new MutationObserver(() => window.seen.push("
        "document.querySelector('[data-testid=status]').dataset.state))"
        ".observe(document.querySelector('[data-testid=status]'), {attributes: true})"
    )
    told = {event["item"]["id"] for event in mock.of_type("conversation.item.create")}
    first = len(mock.of_type("conversation.item.create")) + 1
    reply = say(page, "drop me")
    settled(reply, "interrupted")
    ready(page)
    assert "waiting" in page.evaluate("window.seen")
    expect(page.get_by_test_id("reply")).to_have_count(3)
    page.wait_for_timeout(200)
    again = [event["item"] for event in mock.of_type("conversation.item.create")[first:]]
    assert told <= {item["id"] for item in again}
    assert [item["role"] for item in again] == [
        "assistant",
        "user",
        "assistant",
        "user",
        "assistant",
    ]
    assert again[2]["id"].startswith("item_reply_")
    assert again[2]["content"][0]["text"].startswith("[happy] I am")
    assert again[-1]["status"] == "incomplete"
    assert mock.sockets == 2
    settled(say(page, "hello"))


def test_words_said_while_away_are_answered_after(visit: Visit, page_url: str) -> None:
    """A message written during an outage is answered when the link is back."""
    page = ready(visit(page_url))
    page.route("**/v1/models", lambda route: route.abort())
    settled(say(page, "drop me"), "interrupted")
    expect(page.get_by_test_id("status")).to_have_attribute("data-state", "waiting")
    expect(page.get_by_test_id("retry")).to_be_visible()
    box = page.get_by_test_id("message-input")
    box.fill("hello")
    box.press("Enter")
    page.unroute("**/v1/models")
    ready(page)
    expect(page.get_by_test_id("reply")).to_have_count(3)
    settled(page.get_by_test_id("reply").last)
    expect(page.get_by_test_id("reply-text").last).to_contain_text("I am glad")


def test_a_policy_close_stops_with_a_reason(visit: Visit, mock: Mock) -> None:
    """Close 1008 is not retried; the page explains, and Try again works."""
    page = ready(visit(mock.url))
    box = page.get_by_test_id("message-input")
    box.fill("kick me")
    box.press("Enter")
    expect(page.get_by_test_id("status")).to_have_attribute("data-state", "stopped")
    expect(page.get_by_test_id("notice")).to_contain_text("policy says no")
    page.wait_for_timeout(900)
    assert mock.sockets == 1
    page.get_by_test_id("new-chat").click()
    ready(page)


def test_a_key_that_ends_is_asked_for_anew(visit: Visit, mock: Mock) -> None:
    """Close 4401 is like a key that was refused: coming back with it is no use."""
    page = ready(visit(mock.url))
    box = page.get_by_test_id("message-input")
    box.fill("expire my key")
    box.press("Enter")
    expect(page.get_by_test_id("key-dialog")).to_contain_text("has expired or was taken away")
    assert mock.sockets == 1


def test_a_refusal_is_told_kindly(visit: Visit, page_url: str) -> None:
    """An error event ends the waiting and says what to do, without its code."""
    page = ready(visit(page_url))
    reply = say(page, "refuse this")
    settled(reply, "interrupted")
    expect(page.get_by_test_id("notice")).to_contain_text("A little too fast")
    expect(page.get_by_test_id("notice")).not_to_contain_text("rate_limit")
    settled(say(page, "hello"))
    expect(page.get_by_test_id("notice")).to_be_hidden()


def test_the_key_is_asked_for_and_kept_in_the_tab(visit: Visit, locked: Mock) -> None:
    """A wrong key is refused, a right one opens; neither reaches localStorage."""
    page = visit(locked.url)
    expect(page.get_by_test_id("key-dialog")).to_be_visible()
    page.get_by_test_id("key-input").fill("sk-wrong")
    page.get_by_test_id("key-submit").click()
    expect(page.get_by_test_id("key-dialog")).to_contain_text("did not accept")
    page.get_by_test_id("key-input").fill("sk-right")
    page.keyboard.press("Enter")
    ready(page)
    settled(say(page, "hello"))
    assert page.evaluate("sessionStorage.getItem('kaiwa.key')") == "sk-right"
    assert page.evaluate("JSON.stringify(localStorage)").find("sk-") == -1
    page.get_by_test_id("view-live").click()
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "open")


def test_the_language_switches_and_stays(visit: Visit, page_url: str) -> None:
    """One press turns every word Japanese, greeting included, and a reload keeps it."""
    page = ready(visit(page_url))
    page.get_by_test_id("lang-toggle").click()
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    expect(page.get_by_test_id("view-live")).to_contain_text("エンジン")
    expect(page.get_by_test_id("reply").first).to_contain_text("いらっしゃい")
    expect(page.get_by_test_id("character-aoi")).to_contain_text("葵")
    expect(page.get_by_test_id("message-input")).to_have_attribute("placeholder", "葵に話しかける…")
    page.reload()
    ready(page)
    expect(page.locator("html")).to_have_attribute("lang", "ja")
    settled(say(page, "今日は疲れた"))
    expect(page.get_by_test_id("metrics-tps").last).to_contain_text("トークン/秒")


def test_a_japanese_browser_is_greeted_in_japanese(visit: Visit, page_url: str) -> None:
    """Without a choice, the browser's language decides."""
    page = ready(visit(page_url, locale="ja-JP"))
    expect(page.locator("html")).to_have_attribute("lang", "ja")


def test_the_theme_turns_and_stays(visit: Visit, page_url: str) -> None:
    """Auto, light, dark: each shows, and a reload keeps it."""
    page = ready(visit(page_url, color_scheme="light"))
    toggle = page.get_by_test_id("theme-toggle")
    background = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(background)
    toggle.click()
    toggle.click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    assert page.evaluate(background) != light
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_hostile_words_stay_words(visit: Visit, page_url: str) -> None:
    """Markup from the model is shown as text and never runs."""
    page = ready(visit(page_url))
    reply = settled(say(page, f"hostile {HOSTILE}"))
    expect(reply.get_by_test_id("reply-text")).to_have_text(HOSTILE)
    assert page.evaluate("window.pwned") is None
    assert page.locator("#messages img, #messages script, #messages b").count() == 0


@pytest.mark.parametrize("view", ["chat", "live"])
def test_a_phone_needs_no_sideways_scroll(visit: Visit, page_url: str, view: str) -> None:
    """At 360 by 640 nothing sticks out, even with a word of 400 letters."""
    page = ready(visit(page_url, **PHONE))
    settled(say(page, "wide"))
    page.get_by_test_id(f"view-{view}").click()
    page.wait_for_timeout(300)
    width = "Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)"
    assert page.evaluate(width) <= 360
    outside = """[...document.querySelectorAll("main *")].filter((node) => {
      const box = node.getBoundingClientRect();
      return box.width && box.right > 361 && !node.closest(".cast, .stage, .unseen");
    }).length"""
    assert page.evaluate(outside) == 0


@pytest.mark.parametrize("options", [PHONE, {}], ids=["phone", "desktop"])
def test_targets_are_large_enough(visit: Visit, page_url: str, options: dict[str, Any]) -> None:
    """Everything that can be pressed is at least 44 pixels in both directions."""
    page = ready(visit(page_url, **options))
    streaming(page)
    small = """[...document.querySelectorAll("button, a.tab, textarea")].filter((node) => {
      const box = node.getBoundingClientRect();
      return box.width && (box.width < 43.5 || box.height < 43.5);
    }).map((node) => node.outerHTML)"""
    assert page.evaluate(small) == []
    page.get_by_test_id("view-live").click()
    assert page.evaluate(small) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast(visit: Visit, page_url: str, scheme: str) -> None:
    """Every visible text reaches 4.5 to 1 against what lies behind it, in both themes."""
    page = ready(visit(page_url, color_scheme=scheme, reduced_motion="reduce"))
    settled(say(page, "hello"))
    assert page.evaluate(CONTRAST) == []
    page.get_by_test_id("view-live").click()
    expect(page.get_by_test_id("live-kv")).not_to_have_text("0")
    assert page.evaluate(CONTRAST) == []


CONTRAST = """(() => {
  const pen = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const rgba = (color) => {
    pen.clearRect(0, 0, 1, 1); pen.fillStyle = color; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = (c) => c.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const over = (top, under) => top.slice(0, 3).map(
    (v, i) => (v * top[3] + under[i] * (255 - top[3])) / 255).concat(255);
  const backdrop = (node) => {
    const chain = [];
    for (let at = node; at; at = at.parentElement) chain.unshift(at);
    return chain.reduce((c, at) => over(rgba(getComputedStyle(at).backgroundColor), c),
      rgba(getComputedStyle(document.body).backgroundColor));
  };
  const bad = [];
  for (const node of document.querySelectorAll("body *:not(script, noscript, .stage *)")) {
    const own = [...node.childNodes].some((c) => c.nodeType === 3 && c.data.trim());
    const box = node.getBoundingClientRect();
    if (!own || !box.width || node.closest(".unseen, .skip, :disabled")) continue;
    const back = backdrop(node), ink = over(rgba(getComputedStyle(node).color), back);
    const [a, b] = [light(ink), light(back)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) bad.push(`${node.className} ${node.textContent.trim()} ${ratio.toFixed(2)}`);
  }
  return bad;
})()"""


def test_the_keyboard_is_enough(visit: Visit, page_url: str) -> None:
    """Arrow keys choose a character; Shift+Enter breaks the line; a composing Enter never sends."""
    page = ready(visit(page_url))
    page.get_by_test_id("character-aoi").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("character-ren")).to_have_attribute("aria-checked", "true")
    expect(page.get_by_test_id("character-ren")).to_be_focused()
    expect(page.locator("#who")).to_have_text("Ren")
    ready(page)
    box = page.get_by_test_id("message-input")
    box.press_sequentially("one")
    box.press("Shift+Enter")
    box.press_sequentially("two")
    expect(box).to_have_value("one\ntwo")
    box.dispatch_event("keydown", {"key": "Enter", "isComposing": True, "bubbles": True})
    expect(page.get_by_test_id("user-message")).to_have_count(0)
    box.press("Enter")
    expect(page.get_by_test_id("user-message")).to_have_count(1)


def test_sentences_are_announced_whole(visit: Visit, page_url: str) -> None:
    """The live region gets complete sentences, never single tokens."""
    page = ready(visit(page_url))
    page.evaluate(
        "window.heard = []; new MutationObserver(() => window.heard.push("
        "document.querySelector('#announcer').textContent))"
        ".observe(document.querySelector('#announcer'), {childList: true})"
    )
    settled(say(page, "hello"))
    assert page.evaluate("window.heard") == [
        "Aoi: I am glad you stopped by.",
        "Aoi: Wait, is that the last train I hear?",
        "Aoi: Then there is time for one more cup.",
    ]


def test_reading_back_is_not_disturbed(visit: Visit, page_url: str) -> None:
    """New words do not pull a reader down who has scrolled up; one press does."""
    page = ready(visit(page_url, viewport={"width": 360, "height": 500}))
    streaming(page)
    expect(page.get_by_test_id("reply-text").last).to_contain_text("word60")
    scroll = page.locator("#scroll")
    scroll.hover()
    page.mouse.wheel(0, -4000)
    expect(page.locator("#latest")).to_be_visible()
    page.wait_for_function("() => document.getElementById('scroll').scrollTop === 0")
    height = scroll.evaluate("node => node.scrollHeight")
    page.wait_for_function(
        "height => document.getElementById('scroll').scrollHeight > height", arg=height
    )
    assert scroll.evaluate("node => node.scrollTop") == 0
    page.locator("#latest").click()
    expect(page.locator("#latest")).to_be_hidden()
    assert scroll.evaluate("n => n.scrollHeight - n.clientHeight - n.scrollTop") < 60


def test_a_notice_does_not_hide_the_newest_words(visit: Visit, page_url: str) -> None:
    """When a refusal takes room on a short screen, the newest row stays in sight."""
    page = ready(visit(page_url, viewport={"width": 740, "height": 360}))
    settled(say(page, "refuse this"), "interrupted")
    expect(page.get_by_test_id("notice")).to_be_visible()
    page.wait_for_timeout(400)
    expect(page.locator("#latest")).to_be_hidden()
    expect(page.get_by_test_id("reply-text").last).to_be_in_viewport()
    expect(page.get_by_test_id("reply-text").last).to_have_text("could not finish")


def test_each_character_keeps_its_conversation(visit: Visit, mock: Mock) -> None:
    """Going to another character and back finds the old words, told to the server again."""
    page = ready(visit(mock.url))
    settled(say(page, "hello"))
    page.get_by_test_id("character-unit-7").click()
    expect(page.get_by_test_id("user-message")).to_have_count(0)
    ready(page)
    page.get_by_test_id("character-plain-prompt").click()
    expect(page.locator("#who")).to_have_text("plain-prompt")
    ready(page)
    settled(say(page, "hello"))
    page.get_by_test_id("character-aoi").click()
    expect(page.get_by_test_id("user-message")).to_have_count(1)
    ready(page)
    page.get_by_test_id("new-chat").click()
    expect(page.get_by_test_id("user-message")).to_have_count(0)
    expect(page.get_by_test_id("reply")).to_have_count(1)


def test_calm_readers_get_a_calm_page(visit: Visit, page_url: str) -> None:
    """With reduced motion nothing animates, and the face still changes."""
    page = ready(visit(page_url, reduced_motion="reduce"))
    settled(say(page, "sad story"))
    expect(page.get_by_test_id("face")).to_have_attribute("data-expression", "sad")
    assert page.evaluate("document.getAnimations().length") == 0
    expect(page.get_by_test_id("face")).to_have_attribute("data-expression", "neutral")
    inner = "document.querySelector('[data-testid=face]').outerHTML"
    page.wait_for_timeout(200)
    before = page.evaluate(inner)
    page.wait_for_timeout(400)
    assert page.evaluate(inner) == before


MOUTH = "[data-testid=face] .face-mouth"


def test_the_mouth_speaks_the_visemes(visit: Visit, page_url: str) -> None:
    """Every one of the five shapes is drawn in its turn, and the mouth shuts after the reply."""
    page = ready(visit(page_url))
    say(page, "vowels")
    mouth = page.locator(MOUTH)
    for shape in ("aa", "ih", "ou", "ee", "oh", "shut"):
        expect(mouth).to_have_attribute("data-shape", shape)


def test_a_weak_feeling_reaches_the_face(visit: Visit, page_url: str) -> None:
    """The weight comes along with the name."""
    page = ready(visit(page_url))
    say(page, "half")
    face = page.get_by_test_id("face")
    expect(face).to_have_attribute("data-expression", "angry")
    expect(face).to_have_attribute("data-weight", "0.5")


def test_what_is_spoken_is_marked_and_reported(visit: Visit, mock: Mock) -> None:
    """One segment at a time is marked, and the server hears of each start and end."""
    page = ready(visit(mock.url))
    expect(page.locator(".seg.now")).to_have_count(0)
    start = len(mock.of_type("character.playback"))
    reply = say(page, "hello")
    expect(reply.locator(".seg.now")).to_have_text("Then there is time for one more cup.")
    expect(page.locator(".seg.now")).to_have_count(0)
    expect(page.get_by_test_id("stop")).to_be_hidden()
    told = mock.of_type("character.playback")[start:]
    after = [(one.get("segment_index"), one["state"], one["text_end"]) for one in told]
    assert after[-6:] == [
        (0, "started", 0), (0, "finished", 26), (1, "started", 26), (1, "finished", 63),
        (2, "started", 63), (2, "finished", 99),
    ]  # fmt: skip


def test_asides_and_code_look_like_what_they_are(visit: Visit, page_url: str) -> None:
    """Actions and thoughts are emphasised, code is code, and none of them moves the mouth."""
    page = ready(visit(page_url))
    reply = say(page, "kinds")
    expect(reply.locator("em.action.now")).to_have_count(1)
    expect(page.locator(MOUTH)).to_have_attribute("data-shape", "shut")
    settled(reply)
    expect(reply.locator("em.action")).to_have_text("leans on the counter ")
    expect(reply.locator("em.thought")).to_have_text("(Not again.) ")
    expect(reply.locator("code.block")).to_have_text("kettle.boil();")


def test_stopping_the_mouth_leaves_a_written_reply_whole(visit: Visit, mock: Mock) -> None:
    """A reply that is complete has been read, however far the mouth is; the server is told so."""
    page = ready(visit(mock.url))
    reply = settled(say(page, "hello"))
    expect(reply.locator(".seg.now")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(reply.locator(".unheard")).to_have_count(0)
    expect(page.locator(MOUTH)).to_have_attribute("data-shape", "shut")
    expect(page.get_by_test_id("stop")).to_be_hidden()
    last = mock.of_type("character.playback")[-1]
    assert last["state"] == "finished"
    assert last["text_end"] == len(reply.get_by_test_id("reply-text").inner_text())


def test_who_answers_before_the_mouth_is_done_cuts_nothing(visit: Visit, mock: Mock) -> None:
    """An answer to a complete reply is an ordinary request, and the reply stays whole."""
    page = ready(visit(mock.url))
    reply = settled(say(page, "hello"))
    expect(reply.locator(".seg.now")).to_have_count(1)
    settled(say(page, "hello"))
    asked = mock.of_type("response.create")[-1]["response"]
    assert "heard" not in asked
    assert "if_active" not in asked
    expect(page.locator(".unheard")).to_have_count(0)
    assert mock.cancels == 0


def test_there_are_other_greetings(visit: Visit, mock: Mock) -> None:
    """A character with several greets anew, until somebody has said something."""
    page = ready(visit(mock.url))
    expect(page.get_by_test_id("reply-text").first).to_contain_text("Welcome in!")
    page.get_by_test_id("other-greeting").click()
    expect(page.get_by_test_id("reply-text").first).to_contain_text("Ah, it is you.")
    expect(page.get_by_test_id("reply")).to_have_count(1)
    assert [event["index"] for event in mock.of_type("character.greet")] == [0, 1]
    settled(say(page, "hello"))
    expect(page.get_by_test_id("other-greeting")).to_be_hidden()
    page.get_by_test_id("character-ren").click()
    ready(page)
    expect(page.get_by_test_id("reply")).to_have_count(1)
    expect(page.get_by_test_id("other-greeting")).to_be_hidden()


def settings_told(mock: Mock) -> dict[str, Any]:
    """The extension's block of the last ``session.update``."""
    told: dict[str, Any] = mock.of_type("session.update")[-1]["session"]["character"]
    return told


def test_the_reader_has_a_name_and_may_be_spoken_to(visit: Visit, mock: Mock) -> None:
    """Name and switch are told to the server, kept over a reload, and reach by keyboard."""
    page = ready(visit(mock.url))
    assert settings_told(mock)["user_name"] is None
    assert settings_told(mock)["proactive"] is None
    page.get_by_test_id("own-open").click()
    page.get_by_test_id("own-name").fill("Ken")
    page.keyboard.press("Tab")
    page.keyboard.press("Space")
    page.get_by_test_id("own-done").click()
    expect(page.get_by_test_id("own-open")).to_be_focused()
    page.reload()
    ready(page)
    page.wait_for_timeout(200)
    assert settings_told(mock)["user_name"] == "Ken"
    assert settings_told(mock)["proactive"] == {"idle_ms": 60000}
    page.get_by_test_id("own-open").click()
    expect(page.get_by_test_id("own-name")).to_have_value("Ken")
    expect(page.get_by_test_id("own-first")).to_be_checked()


def test_a_character_may_speak_unasked(visit: Visit, page_url: str) -> None:
    """A reply that nobody asked for is shown and played like any other."""
    page = ready(visit(page_url))
    say(page, "nudge")
    expect(page.get_by_test_id("reply")).to_have_count(3)
    settled(page.get_by_test_id("reply").last)
    expect(page.get_by_test_id("reply-text").last).to_have_text("Are you still there?")
    expect(page.get_by_test_id("face")).to_have_attribute("data-expression", "surprised")


def test_a_summary_is_shown_and_can_be_put_right(visit: Visit, mock: Mock) -> None:
    """The note says what is remembered; what the reader writes instead is told to the server."""
    page = ready(visit(mock.url))
    settled(say(page, "remember me"))
    note = page.get_by_test_id("memory-note")
    expect(note).to_contain_text("What Aoi remembers")
    expect(note.get_by_test_id("memory-text")).to_contain_text("lost an umbrella")
    note.get_by_test_id("memory-edit").click()
    note.get_by_test_id("memory-field").fill("Ken has found it again.")
    note.get_by_test_id("memory-save").click()
    expect(note.get_by_test_id("memory-text")).to_have_text("Ken has found it again.")
    expect(note.get_by_test_id("memory-edit")).to_be_focused()
    assert settings_told(mock) == {"memory": {"summary": "Ken has found it again."}}
    settled(say(page, "hello"))
    assert "umbrella" not in json.dumps(mock.of_type("conversation.item.create"))


CARD = json.dumps({"spec": "chara_card_v2", "data": {"name": "Sumire"}}).encode()


def test_a_card_from_a_file_becomes_a_character(visit: Visit, mock: Mock) -> None:
    """The file goes to the server as it is; its character is met, greets, and shows its picture."""
    page = ready(visit(mock.url))
    png: FilePayload = {
        "name": "sakura.PNG",
        "mimeType": "image/png",
        "buffer": b"\x89PNG" + bytes(700_000),
    }
    with page.expect_file_chooser() as chooser:
        page.get_by_test_id("add-card").click()
    chooser.value.set_files([png])
    expect(page.locator("#who")).to_have_text("Sakura")
    ready(page)
    expect(page.get_by_test_id("reply-text").first).to_have_text("Hello from the card.")
    expect(page.get_by_test_id("notice")).to_contain_text("Sakura is here.")
    expect(page.get_by_test_id("notice")).to_contain_text("kept unread")
    card = page.get_by_test_id("character-sakura")
    expect(card).to_have_attribute("aria-checked", "true")
    expect(card.locator("img")).to_have_attribute("src", "/v1/characters/sakura/picture")
    assert mock.cards == [("image/png", 700_004)]


DROP = """([name, type, text]) => {
  const data = new DataTransfer();
  data.items.add(new File([text], name, { type }));
  const at = document.querySelector("#messages");
  const fire = (kind) => at.dispatchEvent(
    new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true }));
  fire("dragenter");
  const open = !document.querySelector("#curtain").hidden;
  fire("dragover"); fire("drop");
  return open && document.querySelector("#curtain").hidden;
}"""


def test_a_card_can_be_dropped_anywhere(visit: Visit, mock: Mock) -> None:
    """While a file is above the page it says so; let go, the card is taken."""
    page = ready(visit(mock.url))
    assert page.evaluate(DROP, ["sumire.json", "application/json", CARD.decode()])
    expect(page.locator("#who")).to_have_text("Sumire")
    assert mock.cards == [("application/json", len(CARD))]


def test_a_card_that_is_refused_is_explained(visit: Visit, mock: Mock) -> None:
    """The server's own sentence is shown; what is no card at all is not even sent."""
    page = ready(visit(mock.url))
    assert page.evaluate(DROP, ["empty.json", "application/json", "{}"])
    notice = page.get_by_test_id("notice")
    expect(notice).to_contain_text("empty.json could not be used. the card has no data.name")
    assert page.evaluate(DROP, ["holiday.jpg", "image/jpeg", "?"])
    expect(notice).to_contain_text("holiday.jpg is not a character card")
    expect(page.locator("#who")).to_have_text("Aoi")
    assert len(mock.cards) == 1


INKED = """(id) => {
  const canvas = document.querySelector(`[data-testid=canvas-${id}]`);
  const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  const colours = new Set();
  for (let i = 0; i < data.length; i += 4) {
    if (data[i + 3] > 200) colours.add((data[i] << 16) | (data[i + 1] << 8) | data[i + 2]);
  }
  return colours.size;
}"""


def test_the_engine_is_shown_live(visit: Visit, page_url: str) -> None:
    """Lanes, load, memory and speed are drawn, move, and are told in words."""
    page = visit(f"{page_url}/#engine")
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "open")
    expect(page.get_by_test_id("live-running")).not_to_have_text("0")
    expect(page.get_by_test_id("live-kv")).not_to_have_text("0")
    expect(page.get_by_test_id("live-tps")).not_to_have_text(re.compile(r"^0(\.0)?$"))
    expect(page.get_by_test_id("live-waiting")).to_have_text(re.compile(r"^\d+$"))
    expect(page.get_by_test_id("live-summary")).to_contain_text("KV blocks in use")
    page.wait_for_timeout(1500)
    assert page.evaluate(INKED, "lanes") > 6
    for name in ("load", "memory", "speed"):
        assert page.evaluate(INKED, name) >= 2, name
    picture = "document.querySelector('[data-testid=canvas-lanes]').toDataURL()"
    before = page.evaluate(picture)
    page.wait_for_timeout(300)
    assert page.evaluate(picture) != before


def test_the_engine_view_can_be_paused(visit: Visit, page_url: str) -> None:
    """Pause holds the picture and the figures; leaving the view ends the feed."""
    page = visit(f"{page_url}/#engine")
    expect(page.get_by_test_id("live-kv")).not_to_have_text("0")
    page.get_by_test_id("live-pause").click()
    expect(page.get_by_test_id("live-state")).to_have_attribute("data-state", "paused")
    columns = page.locator("#live-view").get_attribute("data-columns")
    page.wait_for_timeout(500)
    assert page.locator("#live-view").get_attribute("data-columns") == columns
    page.get_by_test_id("live-pause").click()
    page.wait_for_timeout(500)
    assert page.locator("#live-view").get_attribute("data-columns") != columns
    page.get_by_test_id("view-chat").click()
    expect(page.get_by_test_id("message-input")).to_be_visible()
    page.wait_for_timeout(200)
    columns = page.locator("#live-view").get_attribute("data-columns")
    page.wait_for_timeout(400)
    assert page.locator("#live-view").get_attribute("data-columns") == columns
