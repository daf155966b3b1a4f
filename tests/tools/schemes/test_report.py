"""Tables and the picture."""

from __future__ import annotations

from xml.etree import ElementTree

import msgspec

from tools.bench.schemes.figures import Figures
from tools.bench.schemes.report import WAYS, Row, Run, lines, picture

SVG = "{http://www.w3.org/2000/svg}"


def run() -> Run:
    """Two rounds of all schemes at two rates; the later ones are better."""
    rows = []
    for place, policy in enumerate(WAYS, 1):
        for rate in (2.0, 8.0):
            for number in range(2):
                figures = Figures(
                    tokens_per_second=100.0 * place + 10 * number,
                    latency_p50_ms=1000.0 / place,
                    latency_p99_ms=9000.0 / place,
                    ttft_p50_ms=50.0,
                    ttft_p99_ms=60.0,
                    memory_mib=100.0 * place + rate,
                )
                rows.append(Row(policy=policy, rate=rate, round=number, figures=figures))
    return Run(command="c", machine={}, plan={}, rounds=2, rows=rows)


def test_a_line_per_rate_and_scheme_with_medians() -> None:
    """Over the rounds."""
    found = lines(run())
    assert len(found) == 1 + 2 * 5
    assert found[1] == ["2", "threads, one model", "105", "1,000", "9,000", "50", "60", "102"]


def test_the_picture_shows_all_schemes_in_all_panels() -> None:
    """Three charts by rate with a point for each, and a bar of memory at its most."""
    root = ElementTree.fromstring(picture(run()))
    for _, colour in WAYS.values():
        dots = [dot for dot in root.iter(f"{SVG}circle") if dot.get("fill") == colour]
        assert len(dots) == 3 * 2
    texts = [text.text for text in root.iter(f"{SVG}text")]
    assert {"108", "508"} <= set(texts)


def test_what_was_measured_can_be_read_again() -> None:
    """From its JSON."""
    found = run()
    assert msgspec.json.decode(msgspec.json.encode(found), type=Run) == found
