"""A file of any format in, sessions by their time out."""

from __future__ import annotations

import gzip
import random
from pathlib import Path

import pytest

from clients.replay.script import ScriptError, fitted
from clients.replay.traces import read
from clients.replay.traces.read import parse_trace, read_trace
from clients.replay.traces.recognise import recognise

SAMPLES = Path(__file__).parents[4] / "configs" / "traces"
SAMPLE_FORMATS = {
    "aiperf_multi_turn.jsonl": "aiperf multi_turn",
    "azure_llm_2023_conv.csv": "Azure",
    "azure_llm_2024_conv.csv": "Azure",
    "azure_lmm_2025.csv": "Azure",
    "bailian_blksz_16.jsonl": "Bailian",
    "burstgpt.csv": "BurstGPT",
    "burstgpt_sessions.csv": "BurstGPT",
    "mooncake_conversation.jsonl": "Mooncake",
    "mooncake_synthetic.jsonl": "Mooncake",
    "mooncake_toolagent.jsonl": "Mooncake",
    "script.jsonl": "script",
    "sharegpt.json": "ShareGPT",
    "wire_log.jsonl": "wire log",
}
DEMO_CONTEXT = 2048

TRACE = """\
{"timestamp": 30, "input_length": 4, "output_length": 1}
{"timestamp": 10, "input_length": 5, "output_length": 1}
{"timestamp": 20, "input_length": 6, "output_length": 1}
"""


def test_there_is_a_sample_of_every_format() -> None:
    """And each of them is in the list above."""
    files = {path.name for path in SAMPLES.iterdir() if path.suffix != ".md"}
    assert files == SAMPLE_FORMATS.keys()


@pytest.mark.parametrize("name", sorted(SAMPLE_FORMATS))
def test_a_sample_fits_the_demo_model_and_half_a_minute(name: str) -> None:
    """Ten to forty requests that are small enough for two cores."""
    path = SAMPLES / name
    assert path.stat().st_size < 20_000
    assert recognise(path.read_text(encoding="utf-8"), name).name == SAMPLE_FORMATS[name]
    sessions = read_trace(path)
    turns = [turn for session in sessions for turn in session.turns]
    assert 10 <= len(turns) <= 40
    assert len({session.session_id for session in sessions}) == len(sessions)
    assert all(1 <= turn.input_tokens <= 600 for turn in turns)
    assert all(10 <= (turn.output_tokens or 0) <= 80 for turn in turns)
    assert max(s.start_s + max(t.at_s or 0.0 for t in s.turns) for s in sessions) <= 30.0
    assert fitted(sessions, DEMO_CONTEXT) == sessions


def damaged(text: str, dice: random.Random) -> str:
    """Put something odd into a text, or cut or repeat a part of it."""
    place, other = sorted(dice.randrange(len(text)) for _ in "ab")
    odd = dice.choice(
        ["", text[place:other], "null", "-1", "1e400", "[", '"', ",", "{}", "\0", "٣"]
    )
    return text[:place] + odd + text[dice.choice([place, place + 1, other]) :]


@pytest.mark.parametrize("name", sorted(SAMPLE_FORMATS))
def test_damage_is_complained_of_or_read_and_nothing_else(name: str) -> None:
    """No other error comes out, and no session that could not be played."""
    text = (SAMPLES / name).read_text(encoding="utf-8")
    complaints = []
    for seed in range(60):
        try:
            sessions = parse_trace(damaged(text, random.Random(seed)), name=name)
        except ScriptError as error:
            complaints.append(str(error))
            continue
        for session in sessions:
            assert session.start_s >= 0
            assert all(turn.input_tokens >= 1 for turn in session.turns)
    assert max(map(len, complaints)) < 400


def test_sessions_are_in_order_of_their_time_and_a_limit_keeps_the_first(tmp_path: Path) -> None:
    """A long trace can be tried out."""
    file = tmp_path / "trace.jsonl"
    file.write_text("\ufeff" + TRACE, encoding="utf-8")
    assert [s.turns[0].input_tokens for s in read_trace(file)] == [5, 6, 4]
    assert [s.turns[0].input_tokens for s in read_trace(file, limit=2)] == [5, 6]


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(TRACE.encode()),
        TRACE.encode("utf-16"),
        TRACE.replace("\n", "\r\n").encode(),
        TRACE.replace("\n", "\r").encode(),
    ],
    ids=["gzip", "UTF-16", "CRLF", "CR"],
)
def test_a_file_is_read_as_it_was_saved(tmp_path: Path, data: bytes) -> None:
    """Azure's trace of multimodal models is published compressed."""
    file = tmp_path / "trace.jsonl.gz"
    file.write_bytes(data)
    assert len(read_trace(file)) == 3


def test_what_is_left_out_is_told() -> None:
    """To whoever asks."""
    notes: list[str] = []
    table = "Timestamp,Request tokens,Response tokens\n1,2,0\n1,2,3\n"
    parse_trace(table, name="b.csv", note=notes.append)
    assert len(notes) == 1


def test_a_trace_with_nothing_to_play_says_so() -> None:
    """Such as a heading alone."""
    with pytest.raises(ScriptError, match="b.csv holds no session that can be played"):
        parse_trace("Timestamp,Request tokens,Response tokens\n", name="b.csv")


def test_what_is_no_file_and_no_text_is_told(tmp_path: Path) -> None:
    """One sentence instead of a traceback."""
    with pytest.raises(ScriptError, match="cannot read"):
        read_trace(tmp_path / "none.jsonl")
    with pytest.raises(ScriptError, match="cannot read"):
        read_trace(tmp_path)
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\xff")
    with pytest.raises(ScriptError, match="cannot read .*picture.png, line 1: .*UTF-8"):
        read_trace(tmp_path / "picture.png")
    (tmp_path / "part.gz").write_bytes(gzip.compress(TRACE.encode())[:-9])
    with pytest.raises(ScriptError, match="cannot read .*part.gz"):
        read_trace(tmp_path / "part.gz")
    with pytest.raises(ScriptError, match="trace is empty"):
        parse_trace(" \n")


def test_a_file_that_is_too_large_is_to_be_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The complaint says how."""
    file = tmp_path / "week.csv"
    file.write_text(TRACE, encoding="utf-8")
    monkeypatch.setattr(read, "MAX_RECORDS", 2)
    with pytest.raises(ScriptError, match="more than 2 lines; cut it first: head -n .*part.csv"):
        read_trace(file)
    monkeypatch.setattr(read, "MAX_TRACE_BYTES", 10)
    with pytest.raises(ScriptError, match="larger than 10 bytes; cut it first"):
        read_trace(file)
    packed = tmp_path / "week.csv.gz"
    packed.write_bytes(gzip.compress(b"a" * 1000))
    monkeypatch.setattr(read, "MAX_TRACE_BYTES", 100)
    with pytest.raises(ScriptError, match=r"gunzip -c week.csv.gz \| head -n 100000 > part.csv"):
        read_trace(packed)


def test_sessions_of_one_id_are_told_apart() -> None:
    """ShareGPT has some, and requests are known by their session's id."""
    line = '{"session_id": "a", "turns": [{"text": "hi"}]}\n'
    assert [one.session_id for one in parse_trace(line * 2)] == ["0:a", "1:a"]
    assert [one.session_id for one in parse_trace(line)] == ["a"]
