"""Follows one response from submission to its end, and can say it all in one line."""

from __future__ import annotations

from array import array

from engine.outputs import RequestDelta
from engine.request import FinishReason
from server.metrics import Metrics
from server.response_times import EndedResponse, ResponseTimes

_MAX_GAPS = 4096
_TELL_TOKENS_EVERY = 16  # a counter's lock per token is a tenth of the whole fan-out


class ResponseWatch:
    """Follows one response and tells the metrics about it.

    Attributes:
        finish_reason: Set by the terminal delta.
    """

    __slots__ = (
        "_cancelled_at",
        "_ended_at",
        "_first_at",
        "_gaps",
        "_last",
        "_last_at",
        "_metrics",
        "_num_tokens",
        "_submitted_at",
        "_untold_tokens",
        "finish_reason",
    )

    def __init__(self, metrics: Metrics, now: float) -> None:
        """Start the clock at submission."""
        self._metrics = metrics
        self._submitted_at = now
        self._first_at: float | None = None
        self._last_at = self._ended_at = now
        self._cancelled_at: float | None = None
        self._gaps = array("d")
        self._last: RequestDelta | None = None
        self._num_tokens = 0
        self._untold_tokens = 0
        self.finish_reason: FinishReason | None = None

    def cancelled(self, now: float) -> None:
        """The client called it off; how long does the engine take to obey?"""
        if self._cancelled_at is None and self.finish_reason is None:
            self._cancelled_at = now

    def on_delta(self, delta: RequestDelta, now: float) -> None:
        """Take in what one step brought."""
        if delta.token_ids:
            self._on_tokens(len(delta.token_ids), now)
        self._last = delta
        if delta.finish_reason is not None:
            self._on_end(delta, delta.finish_reason, now)

    def _on_tokens(self, count: int, now: float) -> None:
        self._num_tokens += count
        self._untold_tokens += count
        if self._untold_tokens >= _TELL_TOKENS_EVERY:
            self._tell_tokens()
        if self._first_at is None:
            self._first_at = now
            self._metrics.ttft.observe(now - self._submitted_at)
        else:
            gap = (now - self._last_at) / count
            self._metrics.itl.observe(gap)
            if len(self._gaps) < _MAX_GAPS:
                self._gaps.append(gap)
        self._last_at = now

    def _tell_tokens(self) -> None:
        self._metrics.generation_tokens.inc(self._untold_tokens)
        self._untold_tokens = 0

    def _on_end(self, delta: RequestDelta, reason: FinishReason, now: float) -> None:
        self.finish_reason = reason
        self._ended_at = now
        metrics = self._metrics
        self._tell_tokens()
        is_whole = reason in (FinishReason.STOP, FinishReason.LENGTH)
        ended = metrics.successes if is_whole else metrics.unfinished
        ended.labels(reason.value).inc()
        if self._num_tokens or delta.num_prompt_tokens:
            self._tell_work(delta, self._times(delta))
        if reason is FinishReason.ERROR:
            metrics.rejections.labels(delta.error_code or "unknown").inc()
        if self._cancelled_at is not None:
            metrics.barge_in.observe(now - self._cancelled_at)
        if metrics.on_response is not None:
            metrics.on_response(
                EndedResponse(
                    times=self._times(delta),
                    finish_reason=reason.value,
                    num_prompt_tokens=delta.num_prompt_tokens,
                    num_cached_tokens=delta.num_cached_tokens,
                    num_output_tokens=delta.num_output_tokens,
                    error_code=delta.error_code,
                )
            )

    def _tell_work(self, delta: RequestDelta, times: ResponseTimes) -> None:
        """Where the time of a response went that the engine took up; the parts make the whole."""
        metrics = self._metrics
        metrics.e2e.observe(times.e2e_s)
        metrics.queue_time.observe(times.queue_s)
        metrics.prefill_time.observe(times.prefill_s)
        metrics.decode_time.observe(times.decode_s)
        metrics.inference_time.observe(times.inference_s)
        metrics.rest_time.observe(times.rest_s)
        metrics.prompt_tokens.inc(delta.num_prompt_tokens)
        metrics.cache_queries.inc(delta.num_prompt_tokens)
        metrics.cache_hits.inc(delta.num_cached_tokens)
        metrics.request_prompt_tokens.observe(delta.num_prompt_tokens)
        metrics.request_generation_tokens.observe(self._num_tokens)

    def _times(self, last: RequestDelta) -> ResponseTimes:
        return ResponseTimes(
            submitted_at=self._submitted_at,
            first_token_at=self._first_at,
            last_token_at=None if self._first_at is None else self._last_at,
            ended_at=self._ended_at,
            told_queue_s=last.queue_s,
        )

    def summary(self) -> dict[str, str | int | float | None]:
        """The canonical line's numbers; times in milliseconds, no words anybody said."""
        last = self._last
        ttft = None if self._first_at is None else self._first_at - self._submitted_at
        gaps = sorted(self._gaps)
        p95 = gaps[min(len(gaps) - 1, int(len(gaps) * 0.95))] if gaps else None
        return {
            "finish_reason": None if self.finish_reason is None else self.finish_reason.value,
            "prompt_tokens": 0 if last is None else last.num_prompt_tokens,
            "cached_tokens": 0 if last is None else last.num_cached_tokens,
            "output_tokens": 0 if last is None else last.num_output_tokens,
            "queue_ms": _ms(None if last is None else last.queue_s),
            "ttft_ms": _ms(ttft),
            "itl_p95_ms": _ms(p95),
            "e2e_ms": _ms(max(self._last_at, self._ended_at) - self._submitted_at),
            "error_code": None if last is None else last.error_code,
        }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
