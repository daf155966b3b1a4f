"""The scripted engine with so many rows: whoever comes later waits in line, first come first."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from engine.outputs import EngineInfo
from tests.support.fake_engine import FakeEngine, _Live


@dataclass
class NarrowEngine(FakeEngine):
    """Writes only for the first so many requests.

    Attributes:
        num_rows: How many.
    """

    num_rows: int = 4

    @property
    def info(self) -> EngineInfo:
        """Says how many rows there are."""
        return msgspec.structs.replace(super().info, max_num_seqs=self.num_rows)

    def _advance(self, request_id: str, live: _Live) -> None:
        if live.is_cancelled or request_id in list(self._live)[: self.num_rows]:
            super()._advance(request_id, live)
