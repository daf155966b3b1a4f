"""The times of one reply, all on the client's clock; ``None`` where a reply has no such time.

Tokens that came in one piece share their time. Sources: ``vllm bench serve``
(``calculate_metrics`` and its request functions), aiperf 0.13 (``aiperf.metrics.types``) and
Kubernetes' inference-perf. How they differ is told where it matters.
"""

from __future__ import annotations

from clients.replay.records import RequestRecord

DONE = ("stop", "length")
"""How a completed reply ends."""


def num_output_tokens(request: RequestRecord) -> int:
    """Return the tokens of a reply.

    Those that the target counts, where it does and the reply is whole; otherwise those that came.
    Of an interrupted reply the target may count some that it never sent.
    """
    if request.finish in DONE and request.output_tokens:
        return request.output_tokens
    return len(request.token_times_s)


def gaps(request: RequestRecord) -> list[float]:
    """Return the times between the pieces of a reply: ITL as vLLM counts it.

    aiperf calls the same inter-chunk latency.
    """
    times = request.token_times_s
    pairs = zip(times, times[1:], strict=False)
    return [later - earlier for earlier, later in pairs if later > earlier]


def ttst_s(request: RequestRecord) -> float | None:
    """Return aiperf's time to the second token: from the first piece to the second.

    A prompt of somebody else, computed between the two, shows here.
    """
    return next(iter(gaps(request)), None)


def last_token_s(request: RequestRecord) -> float | None:
    """Return the time from sending to the last token: aiperf's request latency."""
    return request.token_times_s[-1] - request.sent_s if request.token_times_s else None


def e2e_s(request: RequestRecord) -> float | None:
    """Return the time from sending to the terminal event.

    That is vLLM's E2EL, whose clock stops at the last event of a stream, whatever it holds.
    """
    return None if request.ended_s is None else request.ended_s - request.sent_s


def tpot_s(request: RequestRecord) -> float | None:
    """Return ``(time to the last token - TTFT) / (output tokens - 1)``; vLLM's TPOT.

    vLLM takes its end to end time for that of the last token. Where the terminal event comes
    later, its value is larger by that delay over ``output tokens - 1``.
    """
    times, tokens = request.token_times_s, num_output_tokens(request)
    return (times[-1] - times[0]) / (tokens - 1) if times and tokens > 1 else None


def mean_itl_s(request: RequestRecord) -> float | None:
    """Return ``(time to the last token - TTFT) / tokens after the first piece``; aiperf's ITL.

    Unlike TPOT it is not made smaller by a first piece of several tokens. A reply in one piece is
    divided by ``output tokens - 1``, as aiperf does.
    """
    times, tokens = request.token_times_s, num_output_tokens(request)
    if not times or tokens < 2:
        return None
    first = sum(1 for time_s in times if time_s == times[0])
    following = tokens - first
    return (times[-1] - times[0]) / (following if following > 0 else tokens - 1)


def ntpot_s(request: RequestRecord) -> float | None:
    """Return ``end to end / output tokens``: inference-perf's normalized time per output token."""
    tokens, whole = num_output_tokens(request), e2e_s(request)
    return whole / tokens if tokens and whole is not None else None


def first_segment_s(request: RequestRecord) -> float | None:
    """Return the time from sending until a voice could begin to speak."""
    return None if request.first_segment_s is None else request.first_segment_s - request.sent_s
