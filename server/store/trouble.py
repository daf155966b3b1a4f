"""Tells the log of failures that come in hundreds: when they begin, and when they are over."""

from __future__ import annotations

import logging

from server.log_lines import log_line

logger = logging.getLogger(__name__)


class Trouble:
    """Of one store."""

    def __init__(self) -> None:
        """All is well."""
        self._num_failed = 0

    def failed(self, why: str) -> None:
        """A transaction has failed; only the first in a row is told."""
        if self._num_failed == 0:
            logger.error("conversations cannot be kept: %s", why)
        self._num_failed += 1

    def worked(self) -> None:
        """One has not."""
        if self._num_failed:
            log_line(logger, "conversations are kept again", failed=self._num_failed)
        self._num_failed = 0
