"""From characters per second to tokens per second."""

from __future__ import annotations

import pytest

from server.text.pace import TokenDensity, is_wide, listener_for


def test_nobody_has_no_pace() -> None:
    """Who takes every token at once needs no pacing."""
    assert listener_for("none", None, TokenDensity(), wide=False) is None


def test_the_assumed_rates_differ_by_script() -> None:
    """250 words of English a minute are about 6 tokens a second, in Japanese 600 characters 7."""
    english = listener_for("reading", None, TokenDensity(), wide=False)
    japanese = listener_for("reading", None, TokenDensity(), wide=True)
    assert english is not None
    assert japanese is not None
    assert english.tokens_per_s == pytest.approx(25 / 4)
    assert japanese.tokens_per_s == pytest.approx(10 / 1.5)


def test_a_named_rate_holds() -> None:
    """Whatever the script is."""
    listener = listener_for("speech", 8.0, TokenDensity(), wide=False)
    assert listener is not None
    assert listener.tokens_per_s == pytest.approx(2.0)
    assert listener.reserve_s == 2.0


def test_the_density_is_measured() -> None:
    """Replies outweigh the first guess soon, each script for itself; the newest count most."""
    density = TokenDensity()
    for _ in range(100):
        density.observe(600, 100, wide=False)
    assert density.characters_per_token(wide=False) == pytest.approx(6, abs=0.1)
    assert density.characters_per_token(wide=True) == 1.5
    for _ in range(1000):
        density.observe(300, 100, wide=False)
    assert density.characters_per_token(wide=False) == pytest.approx(3, abs=0.1)


@pytest.mark.parametrize(
    ("text", "wide"), [("", False), ("Hello 葵, how are you?", False), ("こんにちは。OK?", True)]
)
def test_the_script_is_told_by_the_characters(text: str, wide: bool) -> None:
    """A name in another script does not change it."""
    assert is_wide(text) is wide
