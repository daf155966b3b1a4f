"""What the page says when the service has news: its engine, its end, its limits, another window."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.web.conftest import Visit
from tests.web.mock_server import Mock
from tests.web.test_page import PHONE, ready, say, settled

pytestmark = pytest.mark.slow


def test_an_engine_that_is_restarted_is_told_of_until_it_is_back(visit: Visit, mock: Mock) -> None:
    """The status says so, the link stays, and both words go away by themselves."""
    page = ready(visit(mock.url))
    settled(say(page, "unwell today"))
    status, notice = page.get_by_test_id("status"), page.get_by_test_id("notice")
    expect(status).to_contain_text("Engine restarting")
    say(page, "cured again")
    expect(status).to_have_text("Connected")
    expect(notice).to_be_hidden()
    assert mock.sockets == 1


def test_replies_are_promised_to_go_on_in_both_languages(visit: Visit, mock: Mock) -> None:
    """The notice changes its language with the page."""
    page = ready(visit(mock.url))
    say(page, "unwell today")
    notice = page.get_by_test_id("notice")
    expect(notice).to_contain_text("Replies go on by themselves")
    page.get_by_test_id("lang-toggle").click()
    expect(notice).to_contain_text("返事はまもなく自動で続きます")
    expect(page.get_by_test_id("status")).to_contain_text("エンジン再起動中")


def test_what_is_said_to_a_server_that_leaves_is_answered_by_the_next(
    visit: Visit, mock: Mock
) -> None:
    """The page asks nothing of it any more, and asks the one that it comes back to."""
    page = ready(visit(mock.url))
    settled(say(page, "leaving soon"))
    notice = page.get_by_test_id("notice")
    expect(notice).to_contain_text("comes back by itself")
    say(page, "hello")
    expect(page.get_by_test_id("reply")).to_have_count(2)
    assert len(mock.of_type("response.create")) == 1
    mock.hang_up(1012)
    expect(page.get_by_test_id("reply")).to_have_count(3)
    settled(page.get_by_test_id("reply").last)
    expect(page.get_by_test_id("reply-text").last).to_contain_text("I am glad")
    expect(notice).to_be_hidden()
    assert mock.sockets == 2


def test_a_session_that_ends_by_its_age_is_announced(visit: Visit, mock: Mock) -> None:
    """With the time that is left, and the news that nothing is lost; gone when it is renewed."""
    page = ready(visit(mock.url))
    settled(say(page, "it is late"))
    notice = page.get_by_test_id("notice")
    expect(notice).to_contain_text("renewed in 60 s")
    mock.hang_up(1001)
    expect(notice).to_be_hidden()
    ready(page)


def test_a_conversation_in_another_window_can_be_fetched_back(visit: Visit, mock: Mock) -> None:
    """Close 4409 is no failure: the page waits, and a button says how to go on here."""
    page = ready(visit(mock.url))
    settled(say(page, "hello"))
    mock.hang_up(4409)
    expect(page.get_by_test_id("status")).to_contain_text("Elsewhere")
    expect(page.get_by_test_id("notice")).not_to_contain_text("4409")
    page.wait_for_timeout(900)
    assert mock.sockets == 1
    button = page.get_by_role("button", name="Go on here")
    button.click()
    ready(page)
    expect(page.get_by_test_id("notice")).to_be_hidden()
    expect(button).to_be_hidden()
    assert mock.sockets == 2


def test_a_limit_says_when_to_go_on(visit: Visit, mock: Mock) -> None:
    """The seconds go by, a screen reader hears them once, and then that the time is over."""
    page = ready(visit(mock.url))
    say(page, "refuse for a while")
    notice = page.get_by_test_id("notice")
    expect(notice.locator(".unseen")).to_have_text(re.compile(r"write again in [12] s"))
    expect(notice.locator("[aria-hidden].count")).to_have_text(re.compile(r"write again in 1 s"))
    expect(notice).to_have_text("You can write again now.")


def test_a_flood_is_told_without_its_number(visit: Visit, mock: Mock) -> None:
    """Close 4429 is not retried by itself; the page says what happened and what to do."""
    page = ready(visit(mock.url))
    settled(say(page, "hello"))
    mock.hang_up(4429)
    expect(page.get_by_test_id("notice")).to_contain_text("wait a moment")
    expect(page.get_by_test_id("notice")).not_to_contain_text("4429")
    page.get_by_test_id("retry").click()
    ready(page)


@pytest.mark.parametrize("locale", ["en-US", "ja-JP"])
def test_the_way_back_fits_on_a_phone(visit: Visit, mock: Mock, locale: str) -> None:
    """The row with the status and its button is no wider than the narrowest screen."""
    page = ready(visit(mock.url, **PHONE, locale=locale))
    mock.hang_up(4409)
    expect(page.get_by_test_id("retry")).to_be_visible()
    widths = page.locator(".talk-top").evaluate("row => [row.scrollWidth, row.clientWidth]")
    assert widths[0] <= widths[1]


def test_who_is_recorded_sees_it_in_their_language(visit: Visit, mock: Mock) -> None:
    """As long as it is so: the next session may not be."""
    mock.kept = "redacted"
    page = ready(visit(mock.url))
    recorded = page.get_by_test_id("recorded")
    expect(recorded).to_contain_text("is recorded, with other letters")
    page.get_by_test_id("lang-toggle").click()
    expect(recorded).to_contain_text("別の文字に置き換えて記録")
    mock.kept = None
    mock.hang_up(1012)
    expect(recorded).to_be_hidden()
