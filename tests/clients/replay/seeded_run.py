"""A run drawn by lot: errors, interruptions, replies of one token, pieces of several."""

from __future__ import annotations

import random

from clients.replay.records import RequestRecord, RunRecord


def seeded_run(seed: int, num_requests: int = 400, *, end_lag_ns: int = 0) -> RunRecord:
    """Return a run whose times are whole nanoseconds.

    Args:
        seed: Of everything.
        num_requests: How many.
        end_lag_ns: At most so long after the last token comes the terminal event.
    """
    rng = random.Random(seed)
    now_ns, requests = 0, []
    for number in range(num_requests):
        now_ns += rng.randrange(50_000_000)
        requests.append(_request(rng, number, now_ns, end_lag_ns))
    ends = [r.ended_s for r in requests if r.ended_s is not None]
    return RunRecord(
        name="seeded",
        policy="",
        load=1.0,
        requests=requests,
        duration_s=max(ends) - requests[0].sent_s,
        target="chat completions",
    )


def _request(rng: random.Random, number: int, sent_ns: int, end_lag_ns: int) -> RequestRecord:
    finish = rng.choices(["stop", "length", "abort", "error"], [60, 15, 15, 10])[0]
    length = 1 if rng.random() < 0.1 else rng.randrange(2, 60)
    if finish in ("abort", "error"):
        length = rng.choice([0, 1, length])
    time_ns = sent_ns + rng.randrange(20_000_000, 1_500_000_000)
    times_ns: list[int] = []
    while len(times_ns) < length:
        piece = min(rng.choice([1, 1, 1, 2, 4]), length - len(times_ns))
        times_ns += [time_ns] * piece
        time_ns += rng.randrange(1_000_000, 120_000_000)
    last_ns = times_ns[-1] if times_ns else time_ns
    return RequestRecord(
        request_id=f"r{number}",
        session_id=f"s{number}",
        turn=0,
        sent_s=sent_ns / 1e9,
        token_times_s=[at / 1e9 for at in times_ns],
        ended_s=(last_ns + (rng.randrange(end_lag_ns) if end_lag_ns else 0)) / 1e9,
        finish=finish,
        error_code="server_error" if finish == "error" else None,
        output_tokens=rng.choice([None, length, length + rng.randrange(3)]),
    )
