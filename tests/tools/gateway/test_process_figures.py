"""What the kernel says of a process."""

from __future__ import annotations

import os

from tools.gateway.launched import add_up
from tools.gateway.process_figures import Snapshot, cpu_seconds, rss_kib


def test_a_name_may_hold_anything() -> None:
    """Fields are counted from behind the name."""
    ticks = os.sysconf("SC_CLK_TCK")
    stat = f"12 (a) b (c)) S 1 1 1 0 -1 0 5 0 0 0 {3 * ticks} {ticks} 0 0 20 0 1 0 1"
    assert cpu_seconds(stat) == 4.0


def test_resident_memory_is_read() -> None:
    """In KiB, as it stands there."""
    assert rss_kib("Name:\tx\nVmHWM:\t 9 kB\nVmRSS:\t 1234 kB\n") == 1234


def test_shares_are_of_one_core() -> None:
    """Processor time over time."""
    before, after = Snapshot(10.0, 1.0, 0, 0), Snapshot(12.0, 2.0, 0, 0)
    assert after.cpu_share_since(before) == 0.5
    assert Snapshot.take(os.getpid()).rss_kib > 0


def test_samples_of_one_name_are_added() -> None:
    """Whatever their labels."""
    text = '# HELP a_total b\na_total{x="1"} 2.0\na_total{x="2"} 3.5\nother 1\n'
    assert add_up(text) == {"a_total": 5.5, "other": 1.0}
