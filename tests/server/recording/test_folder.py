"""The folder is closed to others, and what is wrong with it is said before anything is recorded."""

from __future__ import annotations

import resource
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from engine.errors import ConfigError
from server.recording.folder import append, look_at_folder, prepare_folder


def test_a_folder_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    """And those above it where there are none."""
    folder = tmp_path / "a" / "logs"
    assert prepare_folder(folder) == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_logs_that_are_there_count(tmp_path: Path) -> None:
    """Those of earlier runs; other files do not."""
    folder = tmp_path / "logs"
    prepare_folder(folder)
    (folder / "sess_1.jsonl").write_bytes(b"x" * 100)
    (folder / "notes.txt").write_bytes(b"x" * 100)
    assert prepare_folder(folder) == 100


def test_a_folder_that_is_open_to_others_is_refused(tmp_path: Path) -> None:
    """With the way out."""
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    folder.chmod(0o750)
    with pytest.raises(ConfigError, match=r"mode 750.*chmod 700") as caught:
        prepare_folder(folder)
    assert caught.value.param == "record.dir"


def test_a_file_is_no_folder(tmp_path: Path) -> None:
    """Nor is what lies below one."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "logs"):
        with pytest.raises(ConfigError, match="there is a file of that name"):
            prepare_folder(path)


def test_a_look_says_what_a_recorder_would_find(tmp_path: Path) -> None:
    """Nothing is made; what would be refused is refused."""
    folder = tmp_path / "a" / "logs"
    assert look_at_folder(folder) == f"{folder} will be made"
    assert not folder.parent.exists()
    prepare_folder(folder)
    (folder / "sess_1.jsonl").write_bytes(b"x" * 100)
    assert look_at_folder(folder) == f"{folder}, 100 bytes of logs"
    folder.chmod(0o701)
    with pytest.raises(ConfigError, match="mode 701"):
        look_at_folder(folder)
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "logs"):
        with pytest.raises(ConfigError, match="there is a file of that name"):
            look_at_folder(path)


def test_a_file_is_readable_for_its_owner_alone(tmp_path: Path) -> None:
    """Lines come behind each other."""
    file = tmp_path / "sess_1.jsonl"
    append(file, b"a\n", is_new=True)
    append(file, b"b\n", is_new=False)
    assert file.read_bytes() == b"a\nb\n"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_nothing_is_written_over_or_through_a_link(tmp_path: Path) -> None:
    """Nor is a file that was taken away made again."""
    file = tmp_path / "sess_1.jsonl"
    with pytest.raises(FileNotFoundError):
        append(file, b"a\n", is_new=False)
    file.touch()
    with pytest.raises(FileExistsError):
        append(file, b"a\n", is_new=True)
    (tmp_path / "link").symlink_to(file)
    with pytest.raises(OSError, match="symbolic links"):
        append(tmp_path / "link", b"a\n", is_new=False)


@contextmanager
def room_for(num_bytes: int) -> Iterator[None]:
    """No file may grow beyond this, as on a disk that is nearly full."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (num_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_no_half_of_a_line(tmp_path: Path) -> None:
    """What there was room for of it is taken back, and a file that cannot begin is none."""
    file, other = tmp_path / "sess_1.jsonl", tmp_path / "sess_2.jsonl"
    append(file, b"line 1\n", is_new=True)
    with room_for(10):
        with pytest.raises(OSError, match="too large"):
            append(file, b"line 2\n", is_new=False)
        with pytest.raises(OSError, match="too large"):
            append(other, b"a line of fourteen\n", is_new=True)
    assert file.read_bytes() == b"line 1\n"
    assert not other.exists()
