"""Sessions of one run: who waited and heard when, and where listening broke off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

from clients.replay.charts import Picture
from clients.replay.playback import underruns
from clients.replay.records import RequestRecord, RunRecord
from clients.replay.report.over_time import end_of
from clients.replay.script import READING_TOKENS_PER_S, SPEECH_START_TOKENS, SPEECH_TOKENS_PER_S
from clients.replay.timelines import Kind, Row, timeline

MOST_SESSIONS = 60

T = TypeVar("T")
Speed = Literal["reading", "speech"]
_SPEEDS: dict[Speed, tuple[float, int]] = {
    "reading": (READING_TOKENS_PER_S, 1),
    "speech": (SPEECH_TOKENS_PER_S, SPEECH_START_TOKENS),
}


def sessions(run: RunRecord, words: Mapping[str, str]) -> list[Picture]:
    """Draw the sessions of a run, or an even sample of them.

    Args:
        run: With times from its begin.
        words: Of ``report.words``.
    """
    by_session: dict[str, list[RequestRecord]] = {}
    for request in sorted(run.requests, key=lambda request: request.sent_s):
        by_session.setdefault(request.session_id, []).append(request)
    chosen = sampled(list(by_session.items()), MOST_SESSIONS)
    said = ""
    if len(chosen) < len(by_session):
        said = words["sampled"].format(shown=len(chosen), all=len(by_session))
    end_s = end_of(run)
    pictures = [
        timeline(
            words["waterfall"],
            words["s"],
            [_life(name, requests, end_s) for name, requests in chosen],
            _life_kinds(words),
            caption=words["waterfall.how"] + said,
        )
    ]
    for speed, (tokens_per_s, reserve) in _SPEEDS.items():
        rows = [_strip(name, requests, tokens_per_s, reserve) for name, requests in chosen]
        caption = words["strips.how"].format(speed=tokens_per_s, reserve=reserve) + said
        title = words[f"strips.{speed}"]
        pictures.append(timeline(title, words["s"], rows, _strip_kinds(words), caption=caption))
    return pictures


def sampled(items: Sequence[T], most: int) -> list[T]:
    """Return at most so many items, evenly spread over all of them."""
    count = min(most, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _life(name: str, requests: Sequence[RequestRecord], end_s: float) -> Row:
    row = Row(name)
    last_end: float | None = None
    for request in requests:
        if last_end is not None and request.sent_s > last_end:
            row.bars.append(("thinking", last_end, request.sent_s))
        over = end_s if request.ended_s is None else request.ended_s
        first = request.token_times_s[0] if request.token_times_s else over
        queued = min(request.sent_s + request.server_ms.get("queue_ms", 0.0) / 1e3, first)
        if queued > request.sent_s:
            row.bars.append(("queued", request.sent_s, queued))
            row.bars.append(("prefill", queued, first))
        else:
            row.bars.append(("until first", request.sent_s, first))
        if over > first:
            kind = "unfinished" if request.ended_s is None else "streaming"
            row.bars.append((kind, first, over))
        if request.ended_s is None and not request.token_times_s:
            row.bars[-1] = ("unfinished", request.sent_s, over)
        if request.num_resumes:
            row.dots.append(("resume", (request.sent_s + over) / 2))
        if request.finish == "error":
            row.dots.append(("error", over))
        elif request.cancelled_s is not None:
            row.dots.append(("cancelled", request.cancelled_s))
        last_end = over
    return row


def _strip(name: str, requests: Sequence[RequestRecord], speed: float, reserve: int) -> Row:
    row = Row(name)
    for request in requests:
        times = request.token_times_s
        if not times:
            continue
        late = underruns(times, speed, reserve_tokens=reserve)
        begin = times[min(reserve, len(times)) - 1]
        over = begin + len(times) / speed + sum(end - start for start, end in late)
        row.bars.append(("playing", begin, over))
        row.bars += [("underrun", start, end) for start, end in late]
    return row


def _life_kinds(words: Mapping[str, str]) -> dict[str, Kind]:
    return {
        "thinking": Kind(words["thinking"], "#8a939b", 0.45, share=0.15),
        "queued": Kind(words["queued"], "#d08a1e", 0.55),
        "prefill": Kind(words["prefill"], "#d08a1e"),
        "until first": Kind(words["until first"], "#d08a1e"),
        "streaming": Kind(words["streaming"], "#3b7fe0"),
        "unfinished": Kind(words["unfinished"], "#c23b8a", 0.6),
        "cancelled": Kind(words["cancelled"], "#a05bd0", is_dot=True),
        "error": Kind(words["error"], "#e0563b", is_dot=True),
        "resume": Kind(words["resume"], "#2e9e5b", is_dot=True),
    }


def _strip_kinds(words: Mapping[str, str]) -> dict[str, Kind]:
    return {
        "playing": Kind(words["playing"], "#3b7fe0", 0.35),
        "underrun": Kind(words["underrun"], "#d93025"),
    }
