"""What the rows of a table are called in Japanese."""

from __future__ import annotations

import re

from clients.replay.report.row_words import japanese
from clients.replay.table import GROUPS, LINES

_ABBREVIATED = re.compile(r"(TTFT|ITL|TPOT|NTPOT) p[\d.]+( / p[\d.]+)? ms")


def test_every_row_and_group_has_a_name() -> None:
    """All but those that are only abbreviations; no two have one name."""
    names = [*GROUPS, *(name for name, _ in LINES)]
    said = [japanese(name) for name in names]
    kept = [name for name, other in zip(names, said, strict=True) if name == other]
    assert all(_ABBREVIATED.fullmatch(name) for name in kept)
    assert len(set(said)) == len(set(names))


def test_what_a_server_names_itself_keeps_its_name() -> None:
    """Behind whose clock it is by."""
    assert japanese("server: queue_ms p50 / p99 ms") == "サーバー：queue_ms p50 / p99 ms"
    assert japanese("client − server: ttft p50 / p99 ms").endswith("サーバー：ttft p50 / p99 ms")
