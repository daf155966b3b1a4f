"""How many files the process may have open: a socket is one, and the usual limit is 1,024."""

from __future__ import annotations

import logging

try:
    import resource
except ImportError:  # no such limit on this system
    resource = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)

SPARE = 128
"""Files that are open beside the connections."""


def open_files_limit(*, hard: bool = False) -> int | None:
    """What the process may open now, or may raise that to; ``None`` for no limit."""
    if resource is None:
        return None
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[hard]
    return None if limit == resource.RLIM_INFINITY else limit


def raise_limit(num_connections: int) -> int | None:
    """Raise the limit so that so many connections fit, as far as the system allows.

    Returns:
        The limit as it is now.
    """
    soft, wanted = open_files_limit(), num_connections + SPARE
    if soft is None or soft >= wanted:
        return soft
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    reachable = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (reachable, hard))
    if reachable < wanted:
        logger.warning(
            "%d open files are allowed, %d connections need %d; raise ulimit -n",
            reachable,
            num_connections,
            wanted,
        )
    return reachable
