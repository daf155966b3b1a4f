"""A recorded session's events are noted once each, however they leave."""

from __future__ import annotations

import json
from pathlib import Path

from server.config.recording import RecordConfig
from server.config.sockets import OutboxConfig
from server.metrics import Metrics
from server.protocol.server_events import ResponseOutputTextDelta, ServerEvent
from server.recording.writer import Recorder
from server.resume.journal import Journal
from server.sockets.event_rules import make_event_rules
from server.sockets.recorded_outbox import RecordedOutbox
from tests.support.fake_socket import FakeSocket


def delta(text: str) -> ResponseOutputTextDelta:
    """A token of a reply."""
    return ResponseOutputTextDelta(
        response_id="resp_1", item_id="i", output_index=0, content_index=0, delta=text
    )


async def test_deltas_that_are_merged_for_a_slow_reader_are_noted_one_by_one(
    tmp_path: Path,
) -> None:
    """When they were there, which is what a replay has to know; the reader loses nothing."""
    folder = tmp_path / "logs"
    metrics = Metrics()
    recorder = Recorder(RecordConfig(dir=folder), folder, metrics)
    recording = recorder.begin("sess_1", None, "yes")
    assert recording is not None
    recording.start(0.0)
    times = iter([1.0, 1.5, 2.0, 2.0, 2.0, 2.0])
    journal: Journal[ServerEvent] = Journal(make_event_rules("sess_1"), max_told_bytes=10**6)
    outbox = RecordedOutbox(recording, journal, OutboxConfig(), metrics, lambda: next(times))
    socket = FakeSocket()
    socket.buffer = 10**6
    outbox.attach(socket)
    for text in ("Hel", "lo"):
        outbox.push(delta(text))
    recording.end(3.0)
    recorder.close()
    socket.buffer = 0
    outbox.flush()
    assert [event["delta"] for event in socket.sent] == ["Hello"]
    lines = [json.loads(line) for line in (folder / "sess_1.jsonl").read_text().splitlines()]
    noted = [(line["ms"], line["chars"]) for line in lines if "chars" in line]
    assert noted == [(1000.0, 3), (1500.0, 2)]
