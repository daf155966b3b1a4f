"""What tests on a card said."""

from __future__ import annotations

from pathlib import Path

from tools.gpu.pytest_parts import OneTest, read_report, summary

REPORT = """<testsuites><testsuite>
<testcase classname="tests.gpu.test_rows" name="test_gates[silu]" time="0.1">
  <properties><property name="error" value="6.1e-08"/></properties></testcase>
<testcase classname="tests.gpu.test_rows" name="test_norm" time="0.1">
  <failure message="assert 0.2 &lt; 1e-06&#10;more">long</failure></testcase>
<testcase classname="tests.gpu.test_graphs" name="test_replay" time="0.0">
  <skipped message="graphs are captured on a GPU" type="pytest.skip"/></testcase>
</testsuite></testsuites>"""


def test_a_report_says_of_each_test_what_came_of_it(tmp_path: Path) -> None:
    """With its error against float64, where it measured one."""
    file = tmp_path / "report.xml"
    file.write_text(REPORT, encoding="utf-8")
    tests = read_report(file)
    assert tests == [
        OneTest("test_rows.test_gates[silu]", "passed", "", {"error": "6.1e-08"}),
        OneTest("test_rows.test_norm", "failed", "assert 0.2 < 1e-06"),
        OneTest("test_graphs.test_replay", "skipped", "graphs are captured on a GPU"),
    ]
    assert summary(tests) == {
        "passed": 1,
        "failed": 1,
        "skipped": {"graphs are captured on a GPU": 1},
        "largest_errors": {"test_rows.test_gates[silu]": 6.1e-08},
    }
