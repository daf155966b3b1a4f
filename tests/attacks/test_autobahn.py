"""Autobahn|Testsuite finds the server's front door as it was last agreed upon."""

from __future__ import annotations

from collections import Counter

import pytest

from tools.autobahn import (
    SuiteMissing,
    cache_folder,
    compare,
    install,
    read_baseline,
    run_against_kaiwa,
)


@pytest.mark.slow
@pytest.mark.wire(only="uvloop")
async def test_every_case_of_the_suite_does_as_well_as_before() -> None:
    """All 247 cases but those of size and compression, against the listening call of the server."""
    try:
        wstest = install(cache_folder())
    except SuiteMissing as missing:
        pytest.skip(f"the suite needs CPython 2.7: {missing}")
    found = await run_against_kaiwa(wstest)
    assert compare(found, read_baseline()) == []
    assert len(found) == 247
    assert Counter(found.values())["FAILED"] == 1
