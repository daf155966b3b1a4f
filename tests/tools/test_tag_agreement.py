"""Tags are asked for where segments begin."""

from __future__ import annotations

import pytest

from tools.tag_agreement import BOTH, NO_START, compare, forced_tags, main


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("おはよう！今日も早いね。", [BOTH]),
        ("「もう帰る！」と叫んだ。", []),
        ("他低声说：“跟我来。”", []),
        ("Good morning. Did you sleep well?", [BOTH]),
        ("“別だよ。そうだね。”", [NO_START]),
    ],
)
def test_places_are_told_apart(text: str, expected: list[str]) -> None:
    """Where both see a sentence end, where neither does, and where only the grammar does."""
    (forced,) = forced_tags([text])
    assert [place.what for place in compare(text, forced)] == expected


def test_the_gold_set_is_mostly_agreed_on(capsys: pytest.CaptureFixture[str]) -> None:
    """Nine tags of ten begin a segment."""
    main([])
    rows = {
        cells[0].strip(): int(cells[-1])
        for line in capsys.readouterr().out.splitlines()
        if len(cells := line.strip("│ ").split("│")) > 2 and cells[-1].strip().isdigit()
    }
    assert rows[BOTH] > 9 * rows[NO_START]
