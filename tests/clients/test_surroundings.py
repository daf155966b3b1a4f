"""What a measurement ran on."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from clients.surroundings import describe_processor, memory_gib, revision, surroundings


def test_versions_and_machine_are_named_and_nothing_is_empty() -> None:
    """A reader can judge the figures by them."""
    found = surroundings()
    assert {"python", "platform", "processor"} <= set(found)
    assert None not in found.values()
    assert "cores of" in describe_processor()
    assert (memory_gib() or 1.0) > 0.1


def test_a_folder_that_is_no_checkout_has_no_revision(tmp_path: Path) -> None:
    """Even within somebody else's."""
    assert revision(tmp_path) is None


@pytest.mark.slow
def test_a_checkout_has_one_that_tells_of_changes(tmp_path: Path) -> None:
    """It ends in -dirty as soon as a file differs."""

    def git(*words: str) -> None:
        identity = ["-c", "user.name=n", "-c", "user.email=e@example.com"]
        command = ["git", "-C", str(tmp_path), *identity, *words]
        subprocess.run(command, check=True, capture_output=True)

    (tmp_path / "file").write_text("1")
    git("init")
    git("add", ".")
    git("commit", "-m", "first")
    clean = revision(tmp_path)
    (tmp_path / "file").write_text("2")
    assert clean is not None
    assert revision(tmp_path) == f"{clean}-dirty"
