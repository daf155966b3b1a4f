"""A PostgreSQL of the tests' own, in a folder of theirs: a cluster, and a fresh schema for each."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

_UNPRIVILEGED = "nobody"
"""PostgreSQL refuses to run as root."""


class PostgresCluster:
    """A running one.

    Attributes:
        port: Where it listens, on 127.0.0.1 and nowhere else.
        bin: The folder of its programs.
    """

    def __init__(self, bin: Path, folder: Path) -> None:
        self.bin = bin
        self._folder = folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]

    def initialise(self) -> None:
        """Make its files."""
        self._run("initdb", "-D", self._data, "-U", "kaiwa", "-A", "trust", "-E", "UTF8", "-N")

    def start(self) -> None:
        """Let it run; returns when it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories=''"
        log = str(self._folder / "log")
        self._run("pg_ctl", "-D", self._data, "-l", log, "-o", options, "-w", "start")

    def stop(self, how: str = "immediate") -> None:
        """Stop it; ``immediate`` is as good as ``kill -9`` to those who are connected."""
        self._run("pg_ctl", "-D", self._data, "-m", how, "-w", "stop")

    def dsn(self, schema: str) -> str:
        """Where tables go into one schema."""
        return f"postgresql://kaiwa@127.0.0.1:{self.port}/postgres?search_path={schema}"

    @property
    def _data(self) -> str:
        return str(self._folder / "data")

    def _run(self, program: str, *arguments: str) -> None:
        user = _UNPRIVILEGED if os.geteuid() == 0 else None
        command = [str(self.bin / program), *arguments]
        # Its own log takes the output: a server that outlives pg_ctl would hold a pipe open.
        done = subprocess.run(
            command,
            user=user,
            cwd=self._folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
        assert done.returncode == 0, f"{program} ended with {done.returncode}"


@contextlib.contextmanager
def postgres_cluster() -> Iterator[PostgresCluster]:
    """Run one until the block ends; skips where there is no PostgreSQL."""
    found = shutil.which("initdb")
    if found is None:
        pytest.skip("there is no initdb on PATH; Debian: apt install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="kaiwa-postgres-"))
    try:
        if os.geteuid() == 0:
            owner = pwd.getpwnam(_UNPRIVILEGED)
            os.chown(folder, owner.pw_uid, owner.pw_gid)
        cluster = PostgresCluster(Path(found).resolve().parent, folder)
        cluster.initialise()
        cluster.start()
        try:
            yield cluster
        finally:
            with contextlib.suppress(AssertionError):  # a test has stopped it
                cluster.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
