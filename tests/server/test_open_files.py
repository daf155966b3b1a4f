"""The limit on open files is raised as far as needed and allowed."""

from __future__ import annotations

import resource
from collections.abc import Iterator

import pytest

from server.open_files import SPARE, open_files_limit, raise_limit


@pytest.fixture(autouse=True)
def low_limit() -> Iterator[int]:
    """A soft limit as most systems have it, put back afterwards."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    low = 512
    resource.setrlimit(resource.RLIMIT_NOFILE, (low, hard))
    yield low
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_it_is_raised_to_what_is_needed() -> None:
    """With something to spare for what is open anyway."""
    assert raise_limit(600) == 600 + SPARE
    assert open_files_limit() == 600 + SPARE


def test_it_is_never_lowered(low_limit: int) -> None:
    """A limit that is high enough stays."""
    assert raise_limit(1) == low_limit


def test_it_stops_at_what_is_allowed(caplog: pytest.LogCaptureFixture) -> None:
    """And says so, with the way out."""
    hard = open_files_limit(hard=True)
    if hard is None:
        pytest.skip("this system has no limit")
    assert raise_limit(hard) == hard
    assert "ulimit -n" in caplog.text
