"""Where a response's time went, in parts that add up to the whole.

::

    submitted ─ queue ─► scheduled ─ prefill ─► first token ─ decode ─► last token ─ rest ─► end

The parts are vLLM's, from the engine's own word for the queue and the server's clock for the rest;
``inference`` is prefill and decode together. What is left from the last token to the end is mostly
nothing: the end token comes with the last step.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ResponseTimes:
    """The stations of one response that has ended; seconds on one clock.

    Attributes:
        submitted_at: When it was handed to the engine.
        first_token_at: When its first token came; ``None`` if none did.
        last_token_at: When its last token came; likewise.
        ended_at: When its end was told.
        told_queue_s: How long it waited to be scheduled, as the engine says. A prompt that was
            prepared beforehand may have waited before it was submitted.
    """

    submitted_at: float
    first_token_at: float | None
    last_token_at: float | None
    ended_at: float
    told_queue_s: float

    @property
    def e2e_s(self) -> float:
        """From submission to the end: queue, prefill, decode and rest."""
        return self.ended_at - self.submitted_at

    @property
    def ttft_s(self) -> float | None:
        """From submission to the first token: queue and prefill."""
        return None if self.first_token_at is None else self.first_token_at - self.submitted_at

    @property
    def queue_s(self) -> float:
        """From submission to being scheduled; never more than there was time for."""
        ttft = self.ttft_s
        return min(max(0.0, self.told_queue_s), self.e2e_s if ttft is None else ttft)

    @property
    def prefill_s(self) -> float:
        """From being scheduled to the first token; 0 without one."""
        ttft = self.ttft_s
        return 0.0 if ttft is None else ttft - self.queue_s

    @property
    def decode_s(self) -> float:
        """From the first token to the last."""
        if self.first_token_at is None or self.last_token_at is None:
            return 0.0
        return self.last_token_at - self.first_token_at

    @property
    def inference_s(self) -> float:
        """From being scheduled to the last token."""
        return self.prefill_s + self.decode_s

    @property
    def rest_s(self) -> float:
        """From the last token, or without one from being scheduled, to the end."""
        if self.last_token_at is not None:
            return self.ended_at - self.last_token_at
        return self.e2e_s - self.queue_s


@dataclass(frozen=True, slots=True)
class EndedResponse:
    """What may be told of a response when it is over: numbers, and how it ended.

    Attributes:
        times: Where its time went.
        finish_reason: ``stop``, ``length``, ``abort`` or ``error``.
        num_prompt_tokens: Tokens of its prompt.
        num_cached_tokens: Those that the prefix cache had.
        num_output_tokens: Tokens that were sampled.
        error_code: Why it failed, if it did.
    """

    times: ResponseTimes
    finish_reason: str
    num_prompt_tokens: int
    num_cached_tokens: int
    num_output_tokens: int
    error_code: str | None
