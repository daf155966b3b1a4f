"""One request's tokens become text: detokenised, cut at stop strings, ended exactly once."""

from __future__ import annotations

import bisect
import random

import msgspec

from engine.detokenizer import IncrementalDetokenizer
from engine.outputs import RequestDelta, TokenOutput
from engine.request import FinishReason
from engine.sampling_params import SamplingParams
from engine.tokenizer import Tokenizer

DRY_BREAKERS = ("\n", ":", '"', "*")
"""llama.cpp's: a repeat is not counted across the scaffolding of a chat."""


def complete(params: SamplingParams, tokenizer: Tokenizer) -> SamplingParams:
    """Return the parameters with what the caller left open filled in.

    A seed is drawn at random, so that a reply that is preempted and recomputed goes on as it
    began. DRY gets its breakers.
    """
    if params.seed is None and not params.greedy:
        params = msgspec.structs.replace(params, seed=random.getrandbits(63))
    if params.dry_multiplier and not params.dry_breaker_ids:
        params = msgspec.structs.replace(params, dry_breaker_ids=dry_breaker_ids(tokenizer))
    return params


def dry_breaker_ids(tokenizer: Tokenizer) -> list[int]:
    """Return the default breakers of a vocabulary; slow the first time, then remembered."""
    return sorted({*tokenizer.special_token_ids, *tokenizer.ids_containing(DRY_BREAKERS)})


class TextStream:
    """Turns the outputs of one request into deltas.

    ``finished`` is set by the terminal delta; nothing may be pushed after it.
    """

    def __init__(self, request_id: str, params: SamplingParams, tokenizer: Tokenizer) -> None:
        self.request_id = request_id
        self.finished = False
        self._text_lengths: list[int] = []
        self._detokenizer = IncrementalDetokenizer(
            tokenizer, stop=params.stop, min_tokens=params.min_tokens
        )

    def push(
        self, output: TokenOutput, *, batch_size: int = 0, num_preemptions: int = 0
    ) -> RequestDelta:
        """Take in what one step brought.

        A stop string ends the request here, before the engine knows: the delta is terminal
        although the output is not, and the caller cancels the request.

        Args:
            output: Of this request.
            batch_size: Passed on.
            num_preemptions: Likewise.
        """
        visible = output.token_ids
        if output.stop_token_id is not None:
            visible = visible[:-1]  # the end token ends the reply; it is not part of its text
        text = self._detokenizer.push(visible)
        self._text_lengths += [self._detokenizer.text_length] * len(output.token_ids)
        reason = output.finish_reason
        stop_reason: str | int | None = output.stop_token_id
        if self._detokenizer.stopped_by is not None:
            reason, stop_reason = FinishReason.STOP, self._detokenizer.stopped_by
        elif reason is not None:
            text += self._detokenizer.finish()
            if self._detokenizer.stopped_by is not None:
                reason, stop_reason = FinishReason.STOP, self._detokenizer.stopped_by
        self.finished = reason is not None
        return RequestDelta(
            request_id=self.request_id,
            text=text,
            token_ids=output.token_ids,
            finish_reason=reason,
            stop_reason=stop_reason,
            logprobs=output.logprobs,
            num_prompt_tokens=output.num_prompt_tokens,
            num_cached_tokens=output.num_cached_tokens,
            num_output_tokens=output.num_output_tokens,
            queue_s=output.queue_s,
            batch_size=batch_size,
            num_preemptions=num_preemptions,
            error_code=output.error_code,
            error_message=output.error_message,
            error_param=output.error_param,
            retry_after_s=output.retry_after_s,
        )

    def num_tokens_within(self, num_chars: int) -> int:
        """Return how many tokens the first ``num_chars`` code points of the text are made of."""
        return bisect.bisect_right(self._text_lengths, num_chars)
