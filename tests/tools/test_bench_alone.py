"""Measuring in another process."""

from __future__ import annotations

import sys

import pytest

from tools.bench.alone import AloneFailed, run_alone

WRITE = "import json, sys; json.dump({'found': 3}, open(sys.argv[-1], 'w'))"


def test_what_was_found_comes_back() -> None:
    """As JSON, from a file that the process is told of."""
    assert run_alone(["-c", WRITE]) == {"found": 3}


def test_how_it_ended_is_told() -> None:
    """The end of what it said."""
    with pytest.raises(AloneFailed, match="out of memory"):
        run_alone(["-c", "import sys; sys.exit('out of memory')"])


def test_one_that_takes_too_long_is_ended() -> None:
    """With the seconds that it had."""
    with pytest.raises(AloneFailed, match="not ready within 0 s"):
        run_alone(["-c", "import time; time.sleep(60)"], seconds=0.2)


@pytest.mark.slow
def test_one_that_does_not_find_its_way_out_has_found_something_all_the_same() -> None:
    """Its file is there."""
    stuck = "import json, sys, time; f = open(sys.argv[-1], 'w'); json.dump(3, f); f.close()"
    assert run_alone(["-c", f"{stuck}; time.sleep(60)"], seconds=1.0) == 3


@pytest.mark.slow
def test_folders_to_import_from_come_first(tmp_path: object) -> None:
    """A peer's checkout is found, and so is this one."""
    code = "import json, sys, tools.bench; json.dump(sys.path, open(sys.argv[-1], 'w'))"
    path = run_alone(["-c", code], path=[str(tmp_path)], python=sys.executable)
    assert str(tmp_path) in path
