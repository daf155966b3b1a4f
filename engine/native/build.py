"""Compiles the kernels for this very processor, once, and finds them again.

The result lies in the user's cache folder under a name made of the sources, the compiler and the
processor, so that an update, another compiler or another machine builds its own. Built at
``make setup`` (``python -m engine.native.build``) or when an engine first starts; without a C++
compiler the engine runs in plain torch.
"""

from __future__ import annotations

import ctypes
import hashlib
import logging
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from engine.errors import EngineError
from engine.native.structs import SIZED

logger = logging.getLogger(__name__)

SOURCES = Path(__file__).parent / "src"
FLAGS = ("-O3", "-std=c++20", "-fno-math-errno", "-shared", "-fPIC", "-pthread", "-Wno-psabi")
_TIMEOUT_S = 300.0


class KernelsUnavailable(EngineError):
    """The kernels cannot be had here; the message says why."""

    code = "kernels_unavailable"


def load_library(on_compile: Callable[[], None] | None = None) -> ctypes.CDLL:
    """Return the compiled kernels, compiling them first if need be.

    Args:
        on_compile: Called before they are compiled, which takes a quarter of a minute.

    Raises:
        KernelsUnavailable: No compiler, or it failed, or what it made does not fit.
    """
    path = library_path()
    if not path.is_file():
        if on_compile is not None:
            on_compile()
        compile_library(find_compiler(), path)
    library = ctypes.CDLL(str(path))
    _declare(library)
    return library


def library_path() -> Path:
    """Return where the kernels are, or will be, for this processor and compiler.

    Raises:
        KernelsUnavailable: They cannot be had here.
    """
    if sys.platform == "win32":
        raise KernelsUnavailable("not supported on Windows")
    return cache_folder() / f"kernels-{_fingerprint(find_compiler())}.so"


def find_compiler() -> str:
    """Return the C++ compiler's path.

    Raises:
        KernelsUnavailable: There is none.
    """
    for name in (os.environ.get("CXX"), "g++", "c++", "clang++"):
        if name and (found := shutil.which(name)):
            return found
    raise KernelsUnavailable("no C++ compiler was found; install g++ (or name one in CXX)")


def cache_folder() -> Path:
    """Return the folder that holds what was built, private to the user."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    folder = Path(base) / "kaiwa"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise KernelsUnavailable(f"{folder} belongs to somebody else")
    return folder


def compile_library(compiler: str, path: Path) -> None:
    """Compile the kernels into a file that appears whole or not at all.

    Raises:
        KernelsUnavailable: With the compiler's first complaint.
    """
    started = time.perf_counter()
    with tempfile.TemporaryDirectory(dir=path.parent) as folder:
        made = Path(folder) / "kernels.so"
        native = "-mcpu=native" if platform.machine() in ("arm64", "aarch64") else "-march=native"
        command = [compiler, *FLAGS, native, "-o", str(made), str(SOURCES / "api.cpp")]
        try:
            done = subprocess.run(
                command, check=False, capture_output=True, text=True, timeout=_TIMEOUT_S
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise KernelsUnavailable(f"{compiler} could not be run: {error}") from error
        if done.returncode:
            complaint = next((line for line in done.stderr.splitlines() if "error" in line), "")
            raise KernelsUnavailable(f"{compiler} failed: {complaint or done.stderr[:300]}")
        made.replace(path)
    logger.info("compiled the kernels in %.0f s", time.perf_counter() - started)


def _fingerprint(compiler: str) -> str:
    digest = hashlib.sha256(" ".join(FLAGS).encode())
    for source in sorted(SOURCES.iterdir()):
        digest.update(source.read_bytes())
    about = subprocess.run([compiler, "--version"], check=False, capture_output=True).stdout
    digest.update(about)
    digest.update(_processor().encode())
    return digest.hexdigest()[:16]


def _processor() -> str:
    """What ``-march=native`` depends on."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return f"{platform.machine()} {platform.processor()}"
    wanted = ("model name", "flags", "Features", "CPU part")
    return "\n".join(dict.fromkeys(line for line in lines if line.startswith(wanted)))


def _declare(library: ctypes.CDLL) -> None:
    library.kaiwa_create.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.kaiwa_create.restype = ctypes.c_void_p
    library.kaiwa_destroy.argtypes = [ctypes.c_void_p]
    library.kaiwa_destroy.restype = None
    library.kaiwa_set_threads.argtypes = [ctypes.c_void_p, ctypes.c_int32]
    library.kaiwa_set_threads.restype = None
    library.kaiwa_step.argtypes = [ctypes.c_void_p, ctypes.c_void_p]
    library.kaiwa_step.restype = None
    library.kaiwa_draw.argtypes = [
        ctypes.c_void_p,
        ctypes.c_void_p,
        ctypes.c_int32,
        ctypes.c_int32,
        ctypes.c_void_p,
    ]
    library.kaiwa_draw.restype = None
    library.kaiwa_features.restype = ctypes.c_char_p
    sizes = (ctypes.c_int32 * len(SIZED))()
    library.kaiwa_sizes(sizes)
    if list(sizes) != [ctypes.sizeof(struct) for struct in SIZED]:
        raise KernelsUnavailable("the compiled kernels lay their structures out otherwise")


def main() -> int:
    """Compile now, so that the first start does not have to; never fails an installation."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        library = load_library()
    except KernelsUnavailable as error:
        logger.warning("models will run in plain torch, slower: %s", error.message)
        return 0
    logger.info("kernels ready (%s)", library.kaiwa_features().decode())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
