"""What ``vllm bench serve`` would report, written anew with numpy from the text of its formulas.

Read: ``calculate_metrics`` of ``vllm/benchmarks/serve.py`` and the request functions of
``vllm/benchmarks/lib/endpoint_request_func.py`` (vLLM of 2026). It knows success and failure only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clients.replay.records import RequestRecord

PERCENTS = (50, 90, 95, 99)


@dataclass(frozen=True)
class Output:
    """What vLLM's client keeps of one request; seconds."""

    success: bool
    start_time: float
    ttft: float
    itl: list[float]
    latency: float
    output_len: int


def observe(request: RequestRecord) -> Output:
    """Return what vLLM's client would have seen of the same events.

    The first chunk gives the TTFT, each further chunk a gap, and the last event the latency. It
    takes the usage's count of tokens, and counts the text's tokens where there is none.
    """
    chunks = sorted(set(request.token_times_s))
    return Output(
        success=request.finish in ("stop", "length"),
        start_time=request.sent_s,
        ttft=chunks[0] - request.sent_s if chunks else 0.0,
        itl=[float(gap) for gap in np.diff(chunks)],
        latency=(request.ended_s or 0.0) - request.sent_s,
        output_len=request.output_tokens or len(request.token_times_s),
    )


def report(
    outputs: Sequence[Output], dur_s: float, goodput_ms: Mapping[str, float]
) -> dict[str, float]:
    """Return vLLM's figures by its names, times in milliseconds."""
    good_outputs = [output for output in outputs if output.success]
    lengths = np.array([output.output_len for output in good_outputs])
    ttft = np.array([output.ttft for output in good_outputs])
    latency = np.array([output.latency for output in good_outputs])
    # A reply of one token has no TPOT, and 0 where goodput asks for it.
    tpot = np.where(lengths > 1, (latency - ttft) / np.maximum(lengths - 1, 1), 0.0)
    values = {
        "ttft": ttft,
        "tpot": tpot[lengths > 1],
        "itl": np.concatenate([np.array(output.itl) for output in good_outputs]),
        "e2el": latency,
    }
    found: dict[str, float] = {}
    for name, seconds in values.items():
        found[f"mean_{name}"] = float(np.mean(seconds)) * 1e3
        found[f"std_{name}"] = float(np.std(seconds)) * 1e3
        for percent in PERCENTS:
            found[f"p{percent}_{name}"] = float(np.percentile(seconds, percent)) * 1e3
    kept = np.ones(len(good_outputs), dtype=bool)
    for name, limit_ms in goodput_ms.items():
        kept &= {"ttft": ttft, "tpot": tpot, "e2el": latency}[name] <= limit_ms / 1e3
    found["request_throughput"] = len(good_outputs) / dur_s
    found["output_throughput"] = float(lengths.sum()) / dur_s
    found["request_goodput"] = float(kept.sum()) / dur_s if goodput_ms else 0.0
    return found


def max_output_tokens_per_s(outputs: Sequence[Output]) -> float:
    """Return the fullest whole second; vLLM counts a chunk as a token there."""
    begin = min(output.start_time for output in outputs if output.success)
    times = [
        output.start_time + output.ttft + np.concatenate([[0.0], np.cumsum(output.itl)]) - begin
        for output in outputs
        if output.success
    ]
    return float(np.bincount(np.concatenate(times).astype(int)).max())
