"""Which event loops the tests run on."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import uvloop

from tests.support.virtual_clock import VirtualClockLoop

if not Path("/dev/nvidiactl").exists():
    os.environ["TRITON_INTERPRET"] = "1"  # read when Triton is imported, by whoever comes first

os.environ["KAIWA_HISTORY_KEEP"] = "memory"  # servers that tests start leave nothing at home

LoopFactories = Mapping[str, Callable[[], asyncio.AbstractEventLoop]]


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> LoopFactories:
    """Tests of timing run on the virtual clock; those with real sockets on both real loops.

    ``wire(only="uvloop")`` is for tests of what no loop has a part in.
    """
    marker = item.get_closest_marker("wire")
    if marker is not None:
        both: LoopFactories = {
            "asyncio": asyncio.SelectorEventLoop,
            "uvloop": uvloop.new_event_loop,
        }
        only: str | None = marker.kwargs.get("only")
        return both if only is None else {only: both[only]}
    return {"virtual": VirtualClockLoop}


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger; its handlers, and who is heard from what level on, are put back."""
    root = logging.getLogger()
    handlers = root.handlers[:]
    others = [logging.getLogger(name) for name in ("server", "engine", "clients", "asyncio")]
    levels = [(one, one.level) for one in (root, *others)]
    yield root
    root.handlers[:] = handlers
    for one, level in levels:
        one.setLevel(level)
