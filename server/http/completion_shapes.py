"""The objects that a chat completion answers with, field by field as OpenAI writes them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from engine.outputs import Logprob, RequestDelta, TokenLogprobs

TokenText = Callable[[int], str | bytes]
"""Gives the text of one token id, or its bytes where they are no whole characters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CompletionShape:
    """What every object of one reply repeats.

    Attributes:
        completion_id: ``chatcmpl-…``.
        created: Unix time in whole seconds.
        model: As the client named it.
        fingerprint: Changes when the served weights or the number format do.
        include_usage: Whether chunks carry a ``usage`` field.
    """

    completion_id: str
    created: int
    model: str
    fingerprint: str
    include_usage: bool = False

    def whole(
        self,
        text: str,
        calls: list[dict[str, object]],
        finish_reason: str,
        logprobs: dict[str, object] | None,
        usage: dict[str, object],
    ) -> dict[str, object]:
        """The answer in one piece; where there are only calls there is no content."""
        message: dict[str, object] = {
            "role": "assistant",
            "content": text if text or not calls else None,
            "refusal": None,
        }
        if calls:
            message["tool_calls"] = calls
        return {
            **self._head("chat.completion"),
            "choices": [
                {
                    "index": 0,
                    "message": message,
                    "logprobs": logprobs,
                    "finish_reason": finish_reason,
                }
            ],
            "usage": usage,
        }

    def chunk(
        self,
        delta: dict[str, object],
        finish_reason: str | None = None,
        logprobs: dict[str, object] | None = None,
    ) -> dict[str, object]:
        """One event of a stream."""
        chunk = {
            **self._head("chat.completion.chunk"),
            "choices": [
                {
                    "index": 0,
                    "delta": delta,
                    "logprobs": logprobs,
                    "finish_reason": finish_reason,
                }
            ],
        }
        if self.include_usage:
            chunk["usage"] = None
        return chunk

    def usage_chunk(self, usage: dict[str, object]) -> dict[str, object]:
        """The last event of a stream that was asked for its usage."""
        return {**self._head("chat.completion.chunk"), "choices": [], "usage": usage}

    def _head(self, kind: str) -> dict[str, object]:
        return {
            "id": self.completion_id,
            "object": kind,
            "created": self.created,
            "model": self.model,
            "system_fingerprint": self.fingerprint,
        }


def usage_of(last: RequestDelta) -> dict[str, object]:
    """Token counts, from a request's terminal delta."""
    return {
        "prompt_tokens": last.num_prompt_tokens,
        "completion_tokens": last.num_output_tokens,
        "total_tokens": last.num_prompt_tokens + last.num_output_tokens,
        "prompt_tokens_details": {"cached_tokens": last.num_cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def logprobs_of(delta: RequestDelta, token_text: TokenText) -> dict[str, object] | None:
    """The ``logprobs`` of a choice; the end token, which is no part of the text, is left out."""
    entries = list(delta.logprobs or [])
    ended_by_token = isinstance(delta.stop_reason, int)
    if ended_by_token and entries and entries[-1].chosen.token_id == delta.stop_reason:
        entries.pop()
    if not entries:
        return None
    return {"content": [_entry(entry, token_text) for entry in entries], "refusal": None}


def _entry(entry: TokenLogprobs, token_text: TokenText) -> dict[str, object]:
    top = [_one(candidate, token_text) for candidate in entry.top]
    return {**_one(entry.chosen, token_text), "top_logprobs": top}


def _one(candidate: Logprob, token_text: TokenText) -> dict[str, object]:
    piece = token_text(candidate.token_id)
    text = piece if isinstance(piece, str) else piece.decode(errors="replace")
    octets = list(piece.encode() if isinstance(piece, str) else piece)
    # JSON has no -infinity; OpenAI writes -9999 for a token that is out of the question.
    return {"token": text, "logprob": max(candidate.logprob, -9999.0), "bytes": octets}
