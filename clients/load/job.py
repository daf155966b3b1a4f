"""What a client process is told, and what it answers: one JSON object a line, both ways."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from clients.access import Access
from clients.load.completions import CompletionsOptions, CompletionsTarget
from clients.load.driver import REPLY_TIMEOUT_S
from clients.load.kaiwa import KaiwaOptions, KaiwaTarget
from clients.load.line import Target
from clients.replay.records import RequestRecord
from clients.replay.script import Session
from clients.replay.texts import SessionTexts


class TargetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Which server, and how it is asked.

    Attributes:
        kind: ``kaiwa`` or ``chat``.
        url: Its WebSocket, or its ``…/chat/completions``.
        model: By its name there.
        api_key: Sent as a bearer token; never on a command line.
        ca_file: Certificate authorities in PEM.
        events: Of the extension, for ``kaiwa``.
        ignores_end: Whether replies have exactly the length that the script says.
        fields: Further fields of each session or request.
    """

    kind: str
    url: str
    model: str = ""
    api_key: str | None = None
    ca_file: str | None = None
    events: str = "character.v1"
    ignores_end: bool = True
    fields: dict[str, Any] = {}

    def make(self) -> Target:
        """The target itself; within the loop that will use it."""
        ca_file = None if self.ca_file is None else Path(self.ca_file)
        if self.kind == "kaiwa":
            options = KaiwaOptions(self.model, self.events, self.ignores_end, self.fields)
            return KaiwaTarget(Access(self.url, self.api_key, ca_file), options)
        return CompletionsTarget(
            CompletionsOptions(
                self.url, self.model, self.api_key, ca_file, self.fields, self.ignores_end
            )
        )


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One process's share of a run.

    Attributes:
        target: To whom.
        sessions: Who talks.
        texts: What they say.
        max_sessions: At a time, for a closed loop.
        report_every_s: Of playback.
        reply_timeout_s: After which a reply is given up.
    """

    target: TargetSpec
    sessions: list[Session]
    texts: SessionTexts
    max_sessions: int | None = None
    report_every_s: float | None = None
    reply_timeout_s: float = REPLY_TIMEOUT_S


class Begin(msgspec.Struct, frozen=True):
    """When second 0 is, on the machine's monotonic clock."""

    starts_at: float


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    """A process has read its job."""


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    """Requests sent, ended and failed so far."""

    sent: int
    ended: int
    failed: int


class Result(msgspec.Struct, frozen=True, tag="result"):
    """All records of a share, and the share of a processor that playing it took."""

    records: list[RequestRecord]
    cpu_s: float


Told = Ready | Progress | Result
