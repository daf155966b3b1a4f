"""The log hears of a failure when it begins and when it is over."""

from __future__ import annotations

import logging

import pytest

from server.store.trouble import Trouble


def test_the_first_of_many_is_told_and_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """As often as it happens anew; nothing while all is well."""
    caplog.set_level(logging.INFO)
    trouble = Trouble()
    for _ in range(2):
        trouble.worked()
        for _ in range(100):
            trouble.failed("the disk is full")
        trouble.worked()
        trouble.worked()
    assert [record.getMessage() for record in caplog.records] == [
        "conversations cannot be kept: the disk is full",
        "conversations are kept again",
    ] * 2
