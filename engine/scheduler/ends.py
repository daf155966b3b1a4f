"""When a request ends by itself, and whether it could ever be served."""

from __future__ import annotations

from collections.abc import Iterable

from engine.errors import NeverFits, PromptTooLong, RequestError
from engine.request import EngineRequest, Request


class Ends:
    """The limits of the model and of the whole budget.

    Args:
        max_model_len: Longest sequence in tokens.
        capacity_tokens: Tokens that the whole KV budget holds.
        eos_token_ids: The model's end tokens.
    """

    def __init__(
        self, max_model_len: int, capacity_tokens: int, eos_token_ids: Iterable[int]
    ) -> None:
        self._max_model_len = max_model_len
        self._capacity_tokens = capacity_tokens
        self._eos_token_ids = frozenset(eos_token_ids)

    def stop_token_ids(self, source: EngineRequest | Request) -> frozenset[int]:
        """Return every token that ends a request."""
        stop_ids = frozenset(source.params.stop_token_ids)
        return stop_ids if source.params.ignore_eos else stop_ids | self._eos_token_ids

    def longest(self, request: Request) -> int:
        """Return at how many tokens, prompt and reply together, a request ends."""
        # the last token's KV is never computed, so one more fits than there is room for
        longest = min(self._max_model_len, self._capacity_tokens + 1)
        if request.params.max_tokens is None:
            return longest
        return min(longest, request.num_prompt_tokens + request.params.max_tokens)

    def check_length(self, num_prompt: int, max_tokens: int | None) -> None:
        """Refuse what fits neither the context nor the whole budget.

        Raises:
            RequestError: With the numbers.
        """
        if num_prompt >= self._max_model_len:
            raise PromptTooLong(num_prompt, self._max_model_len - 1)
        longest = num_prompt + 1 if max_tokens is None else num_prompt + max_tokens
        needed = min(longest, self._max_model_len) - 1
        if needed > self._capacity_tokens:
            raise NeverFits(needed, self._capacity_tokens)

    def check_resumed(self, submitted: EngineRequest) -> None:
        """Refuse a reply that cannot go on here behind what there is of it.

        Raises:
            RequestError: With the numbers.
        """
        if not submitted.service.is_final:
            raise RequestError("the prompt is not final and there is a reply", param="prompt")
        num_tokens = len(submitted.prompt_token_ids) + len(submitted.output_token_ids)
        if num_tokens > self._capacity_tokens:
            raise NeverFits(num_tokens, self._capacity_tokens)
        if num_tokens >= self._max_model_len:
            raise PromptTooLong(num_tokens, self._max_model_len - 1)
