"""Autobahn|Testsuite against Kaiwa's own front door.

    python -m tools.autobahn [--all] [--json FILE] [--write-baseline]

The suite (``autobahntestsuite`` on PyPI) runs on CPython 2.7 only; the first call installs it into
a folder of its own, which takes a minute or two. Its fuzzing client then dials a real
``FrontDoor``: the listening call, the limits and the handshake are those of the server, only the
handler is one that echoes, and messages may be larger, as the cases need. Printed is how many cases
ended in which behaviour, and which do worse than in the stored baseline; the exit code is 1 when
any does.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import uvloop

from engine.outputs import EngineHealth
from server.config_loader import load_settings
from server.http.app import build_http_app
from server.protocol.close_codes import CloseCode
from server.sockets.front_door import FrontDoor
from server.sockets.owners import RealtimeConnection
from server.startup import build_state

BASELINE = Path(__file__).resolve().parents[1] / "tests" / "attacks" / "autobahn_baseline.json"
"""Case to behaviour, as last agreed upon."""

LONG_CASES = ("9.*", "12.*", "13.*")
"""Large messages and compression: minutes, and compression is off."""

MAX_MESSAGE_BYTES = 2**25
_SUITE = "autobahntestsuite==25.10.1"
_BOOTSTRAP = "virtualenv<20.22"
"""The last that makes environments for Python 2.7."""
_AGENT = "Kaiwa"
_PATIENCE_S = {False: 180.0, True: 1800.0}
_GOOD = ("OK", "NON-STRICT", "INFORMATIONAL")


class SuiteMissing(Exception):
    """The suite cannot be had here; the message says why."""


def find_python2() -> Path | None:
    """A CPython 2.7: named by ``PYTHON2``, on the path, or of pyenv."""
    named = os.environ.get("PYTHON2")
    if named:
        return Path(named)
    found = shutil.which("python2.7")
    if found and _runs(Path(found)):
        return Path(found)
    versions = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    return next(iter(sorted(versions.glob("2.7.*/bin/python2.7"))), None)


def _runs(python2: Path) -> bool:
    """Whether it is more than a shim for a version that is not chosen."""
    return (
        subprocess.run(
            [str(python2), "-c", "import pip"], capture_output=True, check=False
        ).returncode
        == 0
    )


def cache_folder() -> Path:
    """Where the suite is kept between runs."""
    home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(home) / "kaiwa" / "autobahn"


def install(folder: Path) -> Path:
    """Return the suite's ``wstest``, installed into ``folder`` if it is not there.

    Raises:
        SuiteMissing: There is no CPython 2.7, or the package index does not have the suite.
    """
    wstest = folder / "suite" / "bin" / "wstest"
    if wstest.exists():
        return wstest
    python2 = find_python2()
    if python2 is None:
        raise SuiteMissing("no CPython 2.7 was found; name one in the variable PYTHON2")
    folder.mkdir(parents=True, exist_ok=True)
    boot, suite = folder / "bootstrap", folder / "suite"
    quiet = ("--quiet", "--disable-pip-version-check")
    steps: list[tuple[list[str | Path], dict[str, str]]] = [
        ([python2, "-m", "pip", "install", *quiet, "--target", boot, "--upgrade", _BOOTSTRAP], {}),
        ([python2, "-m", "virtualenv", "--quiet", suite], {"PYTHONPATH": str(boot)}),
        # without the variable: what lies there would count as installed
        ([suite / "bin" / "pip", "install", *quiet, _SUITE], {}),
    ]
    for step, extra in steps:
        done = subprocess.run(
            step, env=_clean_environment() | extra, capture_output=True, text=True, check=False
        )
        if done.returncode:
            shutil.rmtree(suite, ignore_errors=True)
            last = (done.stderr.strip().splitlines() or ["no reason was given"])[-1]
            raise SuiteMissing(f"{_SUITE} could not be installed: {last}")
    return wstest


def _clean_environment() -> dict[str, str]:
    """Our own variables, but for those that speak of our own Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}


@contextlib.asynccontextmanager
async def echo_door() -> AsyncIterator[str]:
    """Open the server's own door with an echo behind it; gives the URL to dial."""
    values: dict[str, object] = {
        "listen.port": 0,
        "limits.max_message_bytes": MAX_MESSAGE_BYTES,
        "history.keep": "off",
    }
    state = build_state(load_settings(command_line=values).settings)
    state.engine = cast(Any, _ReadyEngine())
    door = FrontDoor(state, build_http_app(state), _echo)
    await door.open()
    try:
        yield door.url.replace("http", "ws", 1) + f"/v1/realtime?model={state.catalog.engine_name}"
    finally:
        await door.close(CloseCode.SERVICE_RESTART, "The run is over.", patience_s=0.0)
        state.prompt_threads.shutdown(wait=False)


class _ReadyEngine:
    """All of an engine that a handshake asks for."""

    def health(self) -> EngineHealth:
        return EngineHealth(True, "", 0, 0.0)


async def _echo(connection: RealtimeConnection) -> None:
    async for message in connection:
        await connection.send(message)


async def run_suite(
    wstest: Path, url: str, *, cases: Sequence[str], exclude: Sequence[str], patience_s: float
) -> dict[str, str]:
    """Run the fuzzing client against a URL; returns case to behaviour, closing behaviour included.

    Raises:
        TimeoutError: It did not end in time.
    """
    with tempfile.TemporaryDirectory(prefix="kaiwa-autobahn-") as folder:
        work = Path(folder)
        specification = {
            "outdir": str(work / "reports"),
            "servers": [{"agent": _AGENT, "url": url}],
            "cases": list(cases),
            "exclude-cases": list(exclude),
            "exclude-agent-cases": {},
        }
        (work / "client.json").write_text(json.dumps(specification), encoding="utf-8")
        process = await asyncio.create_subprocess_exec(
            *(wstest, "-m", "fuzzingclient", "-s", work / "client.json"),
            cwd=work,
            env=_clean_environment(),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            async with asyncio.timeout(patience_s):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        index = json.loads((work / "reports" / "index.json").read_text(encoding="utf-8"))
    return {case: _behaviour(verdict) for case, verdict in index[_AGENT].items()}


def _behaviour(verdict: Mapping[str, str]) -> str:
    """One word for a case; a wrong way to close counts as much as a wrong answer."""
    behaviour, closing = verdict["behavior"], verdict["behaviorClose"]
    return behaviour if closing in _GOOD or behaviour not in _GOOD else f"{closing} CLOSE"


def compare(found: Mapping[str, str], baseline: Mapping[str, str]) -> list[str]:
    """Name every case that does worse than in the baseline, or which the baseline lacks.

    Some cases are ``OK`` or ``NON-STRICT`` by chance: whether an echo left before the bad frame
    behind it was seen. The baseline has the second for them, and the first is always good enough.
    """
    return [
        f"{case}: {behaviour}, and the baseline has {baseline.get(case, 'no such case')}"
        for case, behaviour in sorted(found.items(), key=lambda item: case_key(item[0]))
        if case not in baseline or behaviour not in ("OK", baseline[case])
    ]


def case_key(case: str) -> tuple[int, ...]:
    """Sort cases as the suite numbers them."""
    return tuple(int(part) for part in case.split("."))


def read_baseline() -> dict[str, str]:
    """The agreed behaviour of each case; empty when there is none."""
    if not BASELINE.exists():
        return {}
    held: dict[str, str] = json.loads(BASELINE.read_text(encoding="utf-8"))
    return held


async def run_against_kaiwa(
    wstest: Path, *, cases: Sequence[str] = ("*",), complete: bool = False
) -> dict[str, str]:
    """Run the suite against a door of its own; ``complete`` takes in the long cases."""
    async with echo_door() as url:
        return await run_suite(
            wstest,
            url,
            cases=cases,
            exclude=() if complete else LONG_CASES,
            patience_s=_PATIENCE_S[complete],
        )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print, compare."""
    parser = argparse.ArgumentParser(description=__doc__, prog="python -m tools.autobahn")
    parser.add_argument("--all", action="store_true", help="the long cases too; many minutes")
    parser.add_argument("--case", action="append", help="only these, such as 6.*")
    parser.add_argument("--cache", type=Path, default=cache_folder(), help="where the suite lies")
    parser.add_argument("--json", type=Path, help="write case to behaviour here")
    parser.add_argument("--write-baseline", action="store_true", help="agree to what is found")
    options = parser.parse_args(arguments)
    try:
        wstest = install(options.cache)
    except SuiteMissing as error:
        print(error, file=sys.stderr)
        return 2
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(
            run_against_kaiwa(wstest, cases=options.case or ("*",), complete=options.all)
        )
    for behaviour, number in Counter(found.values()).most_common():
        names = sorted((case for case in found if found[case] == behaviour), key=case_key)
        listed = "" if behaviour == "OK" else "  " + " ".join(names[:20])
        print(f"{number:4} {behaviour}{listed}{' …' if listed and number > 20 else ''}")
    print(f"{len(found):4} cases")
    ordered = {case: found[case] for case in sorted(found, key=case_key)}
    text = json.dumps(ordered, indent=0) + "\n"
    if options.json is not None:
        options.json.write_text(text, encoding="utf-8")
    if options.write_baseline:
        BASELINE.write_text(text, encoding="utf-8")
    differences = compare(found, read_baseline())
    for line in differences:
        print(line)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
