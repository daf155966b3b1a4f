"""Where a trace's time begins."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from clients.replay.script import Session


def from_first(sessions: Sequence[Session]) -> list[Session]:
    """Return the sessions, in their order, as seconds after the earliest of them."""
    first_s = min((session.start_s for session in sessions), default=0.0)
    return [dataclasses.replace(session, start_s=session.start_s - first_s) for session in sessions]
