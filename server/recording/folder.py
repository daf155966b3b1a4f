"""The folder of wire logs: closed to others, and how full it is."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from engine.errors import ConfigError

SUFFIX = ".jsonl"
_PARAM = "record.dir"
_IS_FILE = "there is a file of that name"


def prepare_folder(folder: Path) -> int:
    """Make the folder where there is none, for its owner alone, and see that it can be used.

    Returns:
        Bytes that its logs take already.

    Raises:
        ConfigError: It is no folder, cannot be made or written to, or others can look into it.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(folder, _why(error)) from None
    return _check_folder(folder)


def look_at_folder(folder: Path) -> str:
    """Say in a few words what a recorder would find; changes nothing.

    Raises:
        ConfigError: It could not be used.
    """
    try:
        there = next(one for one in (folder, *folder.parents) if one.exists())
    except OSError as error:
        raise _unusable(folder, _why(error)) from None
    if there == folder:
        return f"{folder}, {_check_folder(folder)} bytes of logs"
    if not there.is_dir():
        raise _unusable(folder, _IS_FILE)
    if not os.access(there, os.W_OK | os.X_OK):
        raise _unusable(folder, f"it is not there, and this user may not write in {there}")
    return f"{folder} will be made"


def _check_folder(folder: Path) -> int:
    try:
        mode = stat.S_IMODE(folder.stat().st_mode)
        taken = sum(file.stat().st_size for file in folder.glob(f"*{SUFFIX}"))
    except OSError as error:
        raise _unusable(folder, _why(error)) from None
    if not folder.is_dir():
        raise _unusable(folder, _IS_FILE)
    if mode & 0o077:
        raise _unusable(
            folder,
            f"others on this machine can look into it (mode {mode:o}); `chmod 700 {folder}`, or "
            "name a folder that is not there yet",
        )
    if not os.access(folder, os.W_OK | os.X_OK):
        raise _unusable(folder, "this user may not write there")
    return taken


def _why(error: OSError) -> str:
    is_file = isinstance(error, FileExistsError | NotADirectoryError)
    return _IS_FILE if is_file else error.strerror or type(error).__name__


def _unusable(folder: Path, why: str) -> ConfigError:
    return ConfigError(f"wire logs cannot be kept in {folder}: {why}", param=_PARAM)


def append(file: Path, data: bytes, *, is_new: bool) -> None:
    """Write behind what is there, and hold nothing open.

    Args:
        file: Of one session; one that is to go on and has been taken away is not made again.
        data: Whole lines.
        is_new: Whether it must not be there yet.

    Raises:
        OSError: It cannot be written; what was is then as it was before.
    """
    flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    if is_new:
        flags |= os.O_CREAT | os.O_EXCL
    descriptor = os.open(file, flags, 0o600)
    size = os.fstat(descriptor).st_size
    try:
        left = memoryview(data)
        while left:
            left = left[os.write(descriptor, left) :]
    except OSError:
        with contextlib.suppress(OSError):
            os.ftruncate(descriptor, size)  # no half of a line
            if is_new:
                file.unlink()
        raise
    finally:
        os.close(descriptor)
