"""Everything that only a GPU can tell, part by part, within a given time.

A part that is complete is not run again; one that was cut short goes on where it stopped. What does
not fit into the time is left with a note. The folder gets ``results.json``, which is all that a
later run needs to go on, ``tables.md`` and ``figure.svg``, which are made of it, and what pytest
reported.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from tools.gpu.figure import draw_figure
from tools.gpu.options import Options
from tools.gpu.parts import OTHER_CARD, PARTS, PartSpec
from tools.gpu.results import Results
from tools.gpu.tables import tables

_ROOT = Path(__file__).parents[2]
_SHARED_MEMORY = Path("/dev/shm")
_ROOM_BYTES = 40 * 10**9
"""For the checkpoints of all shapes, the largest of 16 GB."""
_PATIENCE_S = 10.0
"""For a part that is asked to end."""


def main(argv: list[str] | None = None) -> int:
    """Run what was asked for; 1 if something went wrong, 3 if the folder is another card's."""
    options = _parse(argv)
    deadline = time.monotonic() + options.seconds
    folder: Path = options.folder
    folder.mkdir(parents=True, exist_ok=True)
    status = 0
    with _scratch(options) as scratch:
        told = Options(
            scratch=str(scratch),
            quick=options.quick,
            tiny=options.tiny,
            peers=dict(peer.split("=", 1) for peer in options.peer),
        )
        for name in options.parts or PARTS:
            found = _run(PARTS[name], folder / "results.json", told, deadline, again=options.again)
            if found == OTHER_CARD:
                return found
            status |= int(found != 0)
    _report(folder)
    return status


def _run(spec: PartSpec, file: Path, told: Options, deadline: float, *, again: bool) -> int:
    """Run a part in a process of its own; returns how it ended, 0 if there was nothing to do."""
    results = Results(file)
    if results.is_complete(spec.name) and not again:
        print(f"{spec.name}: complete already", flush=True)
        return 0
    left_s = deadline - time.monotonic() - _PATIENCE_S
    if left_s < spec.least_s:
        print(f"{spec.name}: left, {left_s:.0f} s are too few for it", flush=True)
        if not results.part(spec.name):
            results.record(spec.name)["left"].append("everything")
            results.save()
        return 0
    seconds = left_s if told.tiny else min(left_s, spec.most_s)
    print(f"{spec.name}: within {seconds:.0f} s", flush=True)
    command = [sys.executable, "-m", "tools.gpu.part", spec.name, "--results", str(file)]
    command += ["--seconds", f"{seconds:.1f}", "--options", told.to_json(), *["--again"] * again]
    process = subprocess.Popen(command, cwd=_ROOT, start_new_session=True)
    status: int | None = None
    try:
        status = process.wait(seconds + _PATIENCE_S / 2)
    except subprocess.TimeoutExpired:
        print(f"{spec.name}: ended, its time is over", flush=True)
    finally:
        _end(process)
    _note_end(spec, file, status)
    return status or 0


def _note_end(spec: PartSpec, file: Path, status: int | None) -> None:
    """Note what a process could not say itself: it was ended (``None``), or it died."""
    results = Results(file)
    if status is None:
        results.record(spec.name)["left"].append("the rest")
    elif status not in (0, 1, OTHER_CARD) or (status == 1 and not results.part(spec.name)):
        failed = results.record(spec.name)["failed"]
        failed["everything"] = f"its process ended with status {status}"
    results.save()


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a part that still runs to end, so that it ends what it has started, then end it."""
    if process.poll() is None:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_PATIENCE_S / 2)
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _report(folder: Path) -> None:
    results = Results(folder / "results.json")
    text = tables(results)
    (folder / "tables.md").write_text(text, encoding="utf-8")
    (folder / "figure.svg").write_text(draw_figure(results), encoding="utf-8")
    print(f"\n{text}\nall of it is in {folder}", flush=True)


@contextlib.contextmanager
def _scratch(options: argparse.Namespace) -> Iterator[Path]:
    """Yield a folder for checkpoints; in memory where it has room, and gone afterwards."""
    if options.scratch is not None:
        yield options.scratch
        return
    where = None
    if _SHARED_MEMORY.is_dir() and shutil.disk_usage(_SHARED_MEMORY).free > _ROOM_BYTES:
        where = _SHARED_MEMORY
    with tempfile.TemporaryDirectory(prefix="kaiwa-gpu-", dir=where) as folder:
        yield Path(folder)


def _parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="tools/gpu_check.sh",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"parts, in the order in which they are run: {', '.join(PARTS)}",
    )
    option = parser.add_argument
    option(
        "folder",
        nargs="?",
        type=Path,
        default=Path("build/gpu"),
        help="for what is found; one that was begun elsewhere is gone on with (%(default)s)",
    )
    option("parts", nargs="*", metavar="part", help="which of them; all if none")
    option("--seconds", type=float, default=540.0, help="for everything (%(default)g)")
    option("--quick", action="store_true", help="fewer sizes")
    option("--again", action="store_true", help="measure what is there already too")
    option(
        "--tiny",
        action="store_true",
        help="tiny shapes, which show on a CPU too that every line runs, and measure nothing",
    )
    option(
        "--peer",
        action="append",
        default=[],
        metavar="NAME=PATH",
        help="where nano-vllm, vllm, gpt-fast (a folder, or an interpreter) or flash-attn-3 "
        "(a library) is",
    )
    option("--scratch", type=Path, help="folder for checkpoints, kept for the next run")
    options = parser.parse_intermixed_args(argv)
    for name in options.parts:
        if name not in PARTS:
            parser.error(f"there is no part {name}; there are {', '.join(PARTS)}")
    for peer in options.peer:
        if "=" not in peer:
            parser.error(f"--peer {peer} names no place; write NAME=PATH")
    return options


if __name__ == "__main__":
    raise SystemExit(main())
