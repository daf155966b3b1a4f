"""What this process holds."""

from __future__ import annotations

import sys

import pytest

from tools.bench.schemes.memory import forget_peak, peak_mib, resident_mib


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_peak_counts_from_when_it_was_forgotten() -> None:
    """What was given back before is not in it; what was held meanwhile is."""
    block = bytearray(64 * 2**20)
    assert resident_mib() > 64
    assert peak_mib() >= resident_mib() - 1
    del block
    forget_peak()
    before = peak_mib()
    block = bytearray(32 * 2**20)
    del block
    assert 30 < peak_mib() - before < 60
