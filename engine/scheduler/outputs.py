"""What a request's caller is told."""

from __future__ import annotations

from engine.errors import EngineError, QueueFull, RequestError
from engine.outputs import TokenLogprobs, TokenOutput
from engine.request import EngineRequest, FinishReason, Request


def output_of(
    request: Request,
    token_ids: list[int],
    reason: FinishReason | None = None,
    *,
    logprobs: list[TokenLogprobs] | None = None,
    stop_token_id: int | None = None,
    error: EngineError | None = None,
) -> TokenOutput:
    """Return what a step brought for a request, its counts as they stand."""
    queued_until = request.first_scheduled_time
    return TokenOutput(
        request_id=request.request_id,
        token_ids=token_ids,
        finish_reason=reason,
        logprobs=logprobs,
        num_prompt_tokens=request.num_prompt_tokens,
        num_cached_tokens=request.num_cached_tokens,
        num_output_tokens=request.num_output_tokens,
        queue_s=0.0 if queued_until is None else queued_until - request.arrival_time,
        stop_token_id=stop_token_id,
        error_code=None if error is None else error.code,
        error_message=None if error is None else error.message,
        error_param=None if error is None else error.param,
    )


def refusal_of(request: EngineRequest, error: RequestError) -> TokenOutput:
    """Return the end of a request that was never taken in."""
    return TokenOutput(
        request_id=request.request_id,
        token_ids=[],
        finish_reason=FinishReason.ERROR,
        num_prompt_tokens=len(request.prompt_token_ids),
        error_code=error.code,
        error_message=error.message,
        error_param=error.param,
        retry_after_s=error.retry_after_s if isinstance(error, QueueFull) else None,
    )
