"""Changes count once they have settled."""

from __future__ import annotations

import os
from pathlib import Path

from server.file_watch import FileWatch, fingerprint

OLD, HALF, NEW = ((1,),), ((2,),), ((3,),)


def test_an_unchanged_file_is_left_alone() -> None:
    """However often it is looked at."""
    watch = FileWatch(OLD)
    assert not any(watch.look(OLD) for _ in range(3))


def test_a_change_counts_at_the_second_look_that_sees_it() -> None:
    """And once."""
    watch = FileWatch(OLD)
    assert [watch.look(NEW) for _ in range(4)] == [False, True, False, False]


def test_a_file_that_is_being_written_is_waited_for() -> None:
    """Half of it is none."""
    watch = FileWatch(OLD)
    assert [watch.look(one) for one in (HALF, NEW, NEW)] == [False, False, True]


def test_a_change_that_was_taken_back_is_none() -> None:
    """The old file is read already."""
    watch = FileWatch(OLD)
    assert [watch.look(one) for one in (NEW, OLD, OLD)] == [False, False, False]


def test_who_asks_is_served_at_once() -> None:
    """Changed, settled, or neither."""
    watch = FileWatch(OLD)
    assert watch.look(NEW, at_once=True)
    assert not watch.look(NEW)
    assert watch.look(NEW, at_once=True)


def test_a_file_that_went_and_came_back_is_read() -> None:
    """Both are changes."""
    watch = FileWatch(OLD)
    looks = [watch.look(one) for one in ((None,), (None,), NEW, NEW)]
    assert looks == [False, True, False, True]


def test_fingerprints_tell_contents_and_links_apart(tmp_path: Path) -> None:
    """A link that is turned to another file of the same size and time is a change."""
    first, second, link = (tmp_path / name for name in ("first", "second", "link"))
    for file in (first, second):
        file.write_text("same")
        os.utime(file, (1, 1))
    link.symlink_to(first)
    before = fingerprint([link])
    link.unlink()
    link.symlink_to(second)
    assert fingerprint([link]) != before
    assert fingerprint([tmp_path / "none"]) == (None,)
