"""What a reply cost, in tokens and in time."""

from __future__ import annotations

from array import array
from collections.abc import Sequence

from engine.outputs import RequestDelta
from server.protocol.objects import (
    BatchSizes,
    Gaps,
    InputTokenDetails,
    OutputTokenDetails,
    ResponseMetrics,
    Usage,
)


class ReplyClock:
    """Watches the deltas of one reply; times are seconds on the caller's clock.

    Attributes:
        created_at: When the reply was announced.
    """

    def __init__(self, now: float) -> None:
        """Start when the reply is announced."""
        self.created_at = now
        self._first_delta_at: float | None = None
        self._last_delta_at = now
        self._last_delta: RequestDelta | None = None
        self._num_sized = self._sum_sizes = self._max_size = 0  # of batches that brought tokens
        self._gaps = array("d")  # seconds between one step that brought tokens and the next

    def note(self, delta: RequestDelta, now: float) -> None:
        """Take what one step brought."""
        if self._first_delta_at is not None and delta.token_ids:
            self._gaps.append(now - self._last_delta_at)
        if delta.token_ids and delta.batch_size:
            self._num_sized += 1
            self._sum_sizes += delta.batch_size
            self._max_size = max(self._max_size, delta.batch_size)
        self._last_delta = delta
        self._last_delta_at = now
        if self._first_delta_at is None and delta.num_output_tokens:
            self._first_delta_at = now

    def since_ms(self, now: float) -> float:
        """Milliseconds since the reply was announced."""
        return _to_ms(now - self.created_at)

    def usage(self) -> Usage:
        """Token counts."""
        last = self._last_delta
        if last is None:
            return Usage()
        cached = InputTokenDetails(
            text_tokens=last.num_prompt_tokens, cached_tokens=last.num_cached_tokens
        )
        cached.cached_tokens_details.text_tokens = last.num_cached_tokens
        return Usage(
            total_tokens=last.num_prompt_tokens + last.num_output_tokens,
            input_tokens=last.num_prompt_tokens,
            output_tokens=last.num_output_tokens,
            input_token_details=cached,
            output_token_details=OutputTokenDetails(text_tokens=last.num_output_tokens),
        )

    def metrics(self, now: float, first_segment_ms: float | None = None) -> ResponseMetrics:
        """Where the time went.

        Args:
            now: Seconds.
            first_segment_ms: When the first segment was whole, if anybody cut segments.
        """
        last, first_at = self._last_delta, self._first_delta_at
        num_tokens = last.num_output_tokens if last else 0
        speed = None
        if first_at is not None and num_tokens > 1 and self._last_delta_at > first_at:
            speed = round((num_tokens - 1) / (self._last_delta_at - first_at), 2)
        batch = prefill_ms = None
        if self._num_sized:
            mean = round(self._sum_sizes / self._num_sized, 2)
            batch = BatchSizes(mean=mean, max=self._max_size)
        if last is not None and first_at is not None:
            prefill_ms = max(0.0, _to_ms(first_at - self.created_at - last.queue_s))
        return ResponseMetrics(
            ttft_ms=None if first_at is None else _to_ms(first_at - self.created_at),
            queue_ms=_to_ms(last.queue_s) if last else None,
            prefill_ms=prefill_ms,
            batch=batch,
            preemptions=last.num_preemptions if last else 0,
            total_ms=self.since_ms(now),
            output_tokens=num_tokens,
            tokens_per_second=speed,
            cached_tokens=last.num_cached_tokens if last else 0,
            first_segment_ms=first_segment_ms,
            itl_ms=_summarise(self._gaps),
        )


def _summarise(gaps: Sequence[float]) -> Gaps | None:
    if not gaps:
        return None
    ordered = sorted(gaps)
    last = len(ordered) - 1
    return Gaps(
        p50=_to_ms(ordered[last // 2]),
        p95=_to_ms(ordered[round(last * 0.95)]),
        max=_to_ms(ordered[last]),
    )


def _to_ms(seconds: float) -> float:
    return round(seconds * 1000, 1)
