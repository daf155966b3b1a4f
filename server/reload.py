"""Reads the API keys and the certificate again while the server runs: at SIGHUP, or at a change.

A file that cannot be used is said in the log, and what was read before stays: a slip of an
operator's hand neither opens the door nor closes it.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import ConfigError
from server.auth.key_file import read_key_file
from server.characters.kept_cards import KeptCards, read_kept_cards, take_in
from server.config.access import ListenConfig
from server.file_watch import FileWatch, fingerprint
from server.log_lines import log_line
from server.state import ServerState

logger = logging.getLogger(__name__)

_NO_SIGNALS = (NotImplementedError, RuntimeError, ValueError, AttributeError)
"""What a loop raises that is not the main thread's, or on a system without SIGHUP."""

Apply = Callable[[], None]
"""Makes hold what was read; runs on the loop."""


@dataclass(slots=True)
class Reloadable:
    """Something that files decide.

    Attributes:
        name: For the log.
        files: Which.
        read: Reads them, in a thread; raises `ConfigError` where they cannot be used.
        watch: What they looked like.
    """

    name: str
    files: Sequence[Path]
    read: Callable[[], Apply]
    watch: FileWatch = field(init=False)

    def __post_init__(self) -> None:
        """Take the files for read."""
        self.watch = FileWatch(fingerprint(self.files))


class Reloader:
    """Looks at files now and then, and when it is asked."""

    def __init__(self, things: Sequence[Reloadable], interval_s: float) -> None:
        """Watch files that have just been read.

        Args:
            things: What they decide.
            interval_s: Seconds between two looks.
        """
        self._things = things
        self._interval_s = interval_s
        self._asked = asyncio.Event()

    def ask(self) -> None:
        """Read everything now, changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._interval_s):
                    await self._asked.wait()
            is_asked = self._asked.is_set()
            self._asked.clear()
            await self.look(at_once=is_asked)

    async def look(self, *, at_once: bool = False) -> None:
        """Read what has changed and settled, or everything."""
        for thing in self._things:
            seen = await asyncio.to_thread(fingerprint, thing.files)
            if thing.watch.look(seen, at_once=at_once):
                await self._read(thing)

    async def _read(self, thing: Reloadable) -> None:
        try:
            apply = await asyncio.to_thread(thing.read)
            apply()
        except ConfigError as error:
            logger.error("%s not read again, the old stay: %s", thing.name, error.message)
        except Exception:
            logger.exception("%s not read again, the old stay", thing.name)
        else:
            log_line(logger, "read again", what=thing.name)


def keys_of(state: ServerState) -> list[Reloadable]:
    """The API keys, where a file holds them, and the kept cards of who comes with new ones."""
    file = state.settings.auth.api_keys_file
    if file is None:
        return []
    met = set(state.auth.principals)

    def read() -> Apply:
        found = read_key_file(file)
        for warning in found.warnings:
            logger.warning("%s", warning)
        newcomers = {key.name for key in found.keys} - met
        folder = state.settings.characters.folder
        kept: KeptCards = [] if folder is None else read_kept_cards(folder, sorted(newcomers))

        def apply() -> None:
            met.update(newcomers)
            take_in(kept, state.catalog)
            state.auth.replace_keys(found.keys)

        return apply

    return [Reloadable("API keys", [file], read)]


def certificate_of(listen: ListenConfig, renew: Apply) -> list[Reloadable]:
    """The certificate, where there is one; ``renew`` puts it in."""
    if listen.tls_cert is None or listen.tls_key is None:
        return []
    return [Reloadable("certificate", [listen.tls_cert, listen.tls_key], lambda: renew)]


@contextlib.asynccontextmanager
async def reloading(things: Sequence[Reloadable], interval_s: float) -> AsyncIterator[Reloader]:
    """Reload while the block runs; SIGHUP asks for it."""
    reloader = Reloader(things, interval_s)
    loop = asyncio.get_running_loop()
    running = loop.create_task(reloader.run())
    if things:  # with nothing to read, a terminal that is closed ends the server as ever
        with contextlib.suppress(*_NO_SIGNALS):
            loop.add_signal_handler(signal.SIGHUP, reloader.ask)
    try:
        yield reloader
    finally:
        with contextlib.suppress(*_NO_SIGNALS):
            loop.remove_signal_handler(signal.SIGHUP)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
