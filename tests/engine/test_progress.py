"""How loading is shown."""

from __future__ import annotations

import logging

import pytest

from engine.progress import LoadProgress


def test_logs_get_a_few_lines(caplog: pytest.LogCaptureFixture) -> None:
    """A line per quarter, not per call."""
    caplog.set_level(logging.INFO)
    with LoadProgress(is_terminal=False) as progress:
        for percent in range(101):
            progress(percent / 100, "reading weights")
    assert 4 <= len(caplog.records) <= 6
    assert "loading: 0 %, reading weights" in caplog.messages[0]


def test_people_get_a_bar(
    capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """On standard error; nothing on standard output, nothing in the log."""
    caplog.set_level(logging.INFO)
    with LoadProgress(is_terminal=True) as progress:
        progress(0.5, "reading weights")
    told = capsys.readouterr()
    assert told.out == ""
    assert caplog.records == []
