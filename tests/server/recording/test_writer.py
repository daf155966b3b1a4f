"""Logs of sessions that agreed lie in the folder, whole; what has no room ends without a fuss."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from server.config.recording import RecordConfig
from server.metrics import Metrics
from server.protocol.client_events import ConversationItemCreate, ResponseCreate
from server.protocol.items import ContentPart, MessageItem
from server.protocol.server_events import ConversationItemDeleted
from server.recording.writer import Recorder, is_agreed, open_recorder


class Desk:
    """A recorder with its folder in the test's hand."""

    def __init__(self, folder: Path, **settings: Any) -> None:
        self.folder = folder
        self.metrics = Metrics()
        most = settings.pop("max_waiting_chars", 1_000_000)
        config = RecordConfig(dir=folder, **settings)
        self.recorder = Recorder(config, folder, self.metrics, max_waiting_chars=most)

    def lines(self, session_id: str = "sess_1") -> list[dict[str, Any]]:
        """What stands in a session's file."""
        text = (self.folder / f"{session_id}.jsonl").read_text()
        return [json.loads(line) for line in text.splitlines()]

    def ended(self, result: str) -> float:
        """How many recordings ended so."""
        name = "kaiwa_recordings_total"
        return self.metrics.registry.get_sample_value(name, {"result": result}) or 0.0


def item(text: str) -> ConversationItemCreate:
    """A user says something."""
    parts = [ContentPart(type="input_text", text=text)]
    return ConversationItemCreate(item=MessageItem(role="user", content=parts))


@pytest.mark.parametrize(
    ("consent", "answer", "may"),
    [
        ("ask", None, False),
        ("ask", "no", False),
        ("ask", "yes", True),
        ("operator", None, True),
        ("operator", "yes", True),
        ("operator", "no", False),
    ],
)
def test_who_agrees_is_recorded(consent: Any, answer: str | None, may: bool) -> None:
    """A client's no counts whatever the operator says."""
    assert is_agreed(consent, answer) is may


def test_a_session_is_written_from_its_start_to_its_end(tmp_path: Path) -> None:
    """Each message with its milliseconds since the start."""
    desk = Desk(tmp_path / "logs", text="full")
    recording = desk.recorder.begin("sess_1", "aoi", "yes")
    assert recording is not None
    assert recording.text == "full"
    recording.start(100.0)
    recording.received(item("Hi"), 100.5)
    recording.sent(ConversationItemDeleted(item_id="i"), 100.75)
    recording.socket_closed(101.0)
    recording.socket_resumed(102.0)
    recording.end(103.0)
    desk.recorder.close()
    header, *lines = desk.lines()
    assert (header["session"], header["character"], header["consent"]) == ("sess_1", "aoi", "ask")
    assert [(line["ms"], line["type"]) for line in lines] == [
        (500.0, "conversation.item.create"),
        (750.0, "conversation.item.deleted"),
        (1000.0, "socket.closed"),
        (2000.0, "socket.resumed"),
        (3000.0, "session.ended"),
    ]
    assert lines[0]["text"] == "Hi"
    assert desk.ended("whole") == 1
    size = (tmp_path / "logs" / "sess_1.jsonl").stat().st_size
    assert desk.metrics.registry.get_sample_value("kaiwa_recorded_bytes_total") == size


def test_who_did_not_agree_leaves_nothing(tmp_path: Path) -> None:
    """Nor does a session that never begins."""
    desk = Desk(tmp_path / "logs")
    assert desk.recorder.begin("sess_1", None, None) is None
    assert desk.recorder.begin("sess_2", None, "yes") is not None
    desk.recorder.close()
    assert list((tmp_path / "logs").iterdir()) == []


def test_nothing_follows_the_end(tmp_path: Path) -> None:
    """And an end comes once."""
    desk = Desk(tmp_path / "logs")
    recording = desk.recorder.begin("sess_1", None, "yes")
    assert recording is not None
    recording.start(0.0)
    for _ in range(2):
        recording.end(1.0)
    recording.received(ResponseCreate(), 2.0)
    desk.recorder.close()
    assert [line.get("type") for line in desk.lines()] == [None, "session.ended"]
    assert desk.ended("whole") == 1


def test_a_full_file_ends_its_own_recording_alone(tmp_path: Path) -> None:
    """With a line that says so, within the bound."""
    desk = Desk(tmp_path / "logs", max_file_bytes=4096)
    first = desk.recorder.begin("sess_1", None, "yes")
    second = desk.recorder.begin("sess_2", None, "yes")
    assert first is not None
    assert second is not None
    first.start(0.0)
    second.start(0.0)
    for _ in range(200):
        first.received(item("Hi"), 1.0)
    second.end(2.0)
    first.end(2.0)
    desk.recorder.close()
    assert desk.lines("sess_1")[-1]["type"] == "recording.ended"
    assert desk.lines("sess_1")[-1]["reason"] == "file_full"
    assert (tmp_path / "logs" / "sess_1.jsonl").stat().st_size <= 4096
    assert desk.lines("sess_2")[-1]["type"] == "session.ended"
    assert (desk.ended("file_full"), desk.ended("whole")) == (1, 1)


def test_a_full_folder_ends_all_recording(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With one line in the log; the next server sees it too."""
    folder = tmp_path / "logs"
    desk = Desk(folder, max_total_bytes=4096)
    recordings = [desk.recorder.begin(f"sess_{number}", None, "yes") for number in range(3)]
    with caplog.at_level(logging.WARNING):
        for recording in recordings:
            assert recording is not None
            recording.start(0.0)
            for _ in range(100):
                recording.received(item("Hi"), 1.0)
            recording.end(2.0)
        desk.recorder.close()
    assert desk.ended("folder_full") == 3
    assert desk.recorder.begin("sess_9", None, "yes") is None
    assert caplog.text.count("record.max_total_bytes") == 1
    assert sum(file.stat().st_size for file in folder.iterdir()) < 4096 + 3 * 128
    again = Desk(folder, max_total_bytes=4096)
    assert again.recorder.begin("sess_9", None, "yes") is None
    again.recorder.close()


def test_a_session_that_is_too_fast_for_the_disk_is_recorded_no_further(tmp_path: Path) -> None:
    """It does not wait; its file says so."""
    desk = Desk(tmp_path / "logs", text="full", max_waiting_chars=100)
    recording = desk.recorder.begin("sess_1", None, "yes")
    assert recording is not None
    recording.start(0.0)
    recording.received(item("x" * 101), 1.0)
    recording.received(item("Hi"), 2.0)
    recording.end(3.0)
    desk.recorder.close()
    assert [line.get("reason") for line in desk.lines()] == [None, "backlog"]
    assert desk.ended("backlog") == 1


def test_a_file_that_cannot_be_written_ends_its_recording(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What is there stays as it is."""
    desk = Desk(tmp_path / "logs")
    (tmp_path / "logs" / "sess_1.jsonl").write_text("mine")
    recording = desk.recorder.begin("sess_1", None, "yes")
    assert recording is not None
    recording.start(0.0)
    recording.end(1.0)
    desk.recorder.close()
    assert (tmp_path / "logs" / "sess_1.jsonl").read_text() == "mine"
    assert desk.ended("failed") == 1
    assert "a wire log cannot be written" in caplog.text


def test_without_a_folder_nothing_is_recorded() -> None:
    """The default."""
    assert open_recorder(RecordConfig(), Metrics()) is None


def test_a_closed_recorder_takes_nobody_in(tmp_path: Path) -> None:
    """The server is about to end."""
    recorder = open_recorder(RecordConfig(dir=tmp_path / "logs"), Metrics())
    assert recorder is not None
    recorder.close()
    assert recorder.begin("sess_1", None, "yes") is None
