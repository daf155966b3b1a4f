"""How a verdict is told."""

from __future__ import annotations

from engine.parallel_safety.findings import Finding, is_safe, report, shortened

GOOD = Finding("pass", "mode", "all is well")
BAD = [Finding("fail", "state", f"every forward changes x{n}", "use a pool") for n in range(3)]


def test_one_failure_makes_a_model_unsafe() -> None:
    """A warning does not."""
    assert is_safe([GOOD, Finding("warn", "memory", "little")])
    assert not is_safe([GOOD, BAD[0]])


def test_the_way_out_stands_below_once_for_several() -> None:
    """With a sum at the end."""
    text = report("m", [GOOD, *BAD], 4)
    assert text.count("-> use a pool") == 1
    assert text.splitlines()[-1].startswith("unsafe: 3 reasons")
    assert report("m", [GOOD], 4).endswith("safe: 4 threads may share one instance\n")


def test_many_of_a_kind_are_shortened() -> None:
    """The first few are told, then how many more; the verdict stays."""
    few = shortened(BAD * 10)
    assert len(few) == 9
    assert (few[-1].verdict, few[-1].detail) == ("fail", "and 22 more like these")
    assert shortened(BAD * 3) == BAD * 3
