"""Changes to one row's logits that depend on its request: bias, bans and penalties.

Order and formulas:

1. ``logit_bias`` is added (OpenAI).
2. ``allowed_token_ids``, ``banned_token_ids``; before ``min_tokens`` also every end token. A row
   always keeps a candidate: when the ban of end tokens would take the last one, it is lifted. So
   it is when a grammar (applied before) is complete and nothing but an end token may follow.
3. Repetition penalty over prompt and reply (CTRL, as `RepetitionPenaltyLogitsProcessor` in
   transformers): a positive logit is divided by it, a negative one multiplied.
4. Frequency and presence penalty over the reply (OpenAI, as vLLM's `apply_penalties`).
5. DRY over prompt and reply (p-e-w, text-generation-webui #5677).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from engine.model.slot_state import SlotState
from engine.sampling_params import SamplingParams

TokenArray = NDArray[np.int64]

_LONGEST_MATCH = 256
_LARGEST_DRY_PENALTY = 1e9


def changes_logits(request: SlotState) -> bool:
    """Whether anything in this module applies to the request's next token."""
    params = request.params
    return bool(params.logit_bias or bans(request) or _looks_back(params))


def bans(request: SlotState) -> bool:
    """Whether a row may be left without any candidate by what the request forbids."""
    params = request.params
    return bool(
        params.allowed_token_ids is not None
        or params.banned_token_ids
        or request.num_output_tokens < params.min_tokens
    )


class LogitChanges:
    """Applies a request's bias, bans and penalties.

    Keeps each request's tokens and token sets as arrays from step to step, because building them
    anew costs more than everything done with them.
    """

    def __init__(self) -> None:
        self._histories: dict[str, _History] = {}
        self._sets: dict[str, _TokenSets] = {}

    def apply(self, logits: Tensor, request: SlotState) -> None:
        """Change one row in place.

        Args:
            logits: ``[vocab]`` float32, as the model gave them.
            request: Whose row it is.
        """
        params = request.params
        vocab = logits.shape[0]
        sets = self._token_sets(request, logits)
        if sets.biased is not None:
            logits[sets.biased] += sets.biases
        _ban(logits, request, sets)
        if not _looks_back(params):
            return
        history = self._history(request)
        if params.repetition_penalty != 1.0:
            ids, _ = history.everything.within(vocab)
            seen = _indices(ids, logits)
            old = logits[seen]
            penalty = params.repetition_penalty
            logits[seen] = torch.where(old > 0, old / penalty, old * penalty)
        if params.frequency_penalty != 0.0 or params.presence_penalty != 0.0:
            ids, counts = history.reply.within(vocab)
            amount = params.frequency_penalty * counts + params.presence_penalty
            logits[_indices(ids, logits)] -= torch.from_numpy(amount).to(logits)
        if params.dry_multiplier > 0.0:
            for token_id, penalty in dry_penalties(history.tokens, params).items():
                # ending alike is no repetition: a reply must always be able to stop
                if token_id < vocab and token_id not in request.stop_token_ids:
                    logits[token_id] -= penalty

    def keep_only(self, request_ids: Iterable[str]) -> None:
        """Forget every request but these."""
        wanted = set(request_ids)
        for gone in self._histories.keys() - wanted:
            del self._histories[gone]
        for gone in self._sets.keys() - wanted:
            del self._sets[gone]

    def _history(self, request: SlotState) -> _History:
        history = self._histories.get(request.request_id)
        if history is None or not history.continues(request):
            history = self._histories[request.request_id] = _History(request)
        history.extend()
        return history

    def _token_sets(self, request: SlotState, logits: Tensor) -> _TokenSets:
        sets = self._sets.get(request.request_id)
        if sets is None or sets.params is not request.params:
            sets = self._sets[request.request_id] = _TokenSets(request.params, logits)
        return sets


def dry_penalties(tokens: TokenArray, params: SamplingParams) -> dict[int, float]:
    """Return what DRY subtracts from each token's logit.

    For each earlier place where the last tokens already occurred, the token that followed there is
    penalised by ``multiplier * base ** (match - allowed_length)``, where ``match`` counts the equal
    tokens before it; the longest match wins. A match does not reach across a breaker.

    Args:
        tokens: Prompt and reply, int64.
        params: ``dry_*`` fields.
    """
    if params.dry_range:
        tokens = tokens[-params.dry_range :]
    breakers = np.asarray(params.dry_breaker_ids, dtype=np.int64)
    if len(tokens) < 2 or tokens[-1] in breakers:
        return {}
    ends = np.flatnonzero(tokens[:-1] == tokens[-1])
    ends = ends[~np.isin(tokens[ends + 1], breakers)]
    # by the place of the token that would repeat, so that a round costs what still matches
    longest = np.zeros(len(tokens), dtype=np.int64)
    match = 1
    while len(ends):
        longest[ends + 1] = match
        if match == _LONGEST_MATCH or match >= len(tokens):
            break
        previous = tokens[-1 - match]
        if previous in breakers:
            break
        ends = ends[ends >= match]
        ends = ends[tokens[ends - match] == previous]
        match += 1
    places = np.flatnonzero(longest >= params.dry_allowed_length)
    excess: dict[int, int] = {}
    for token, length in zip(tokens[places].tolist(), longest[places].tolist(), strict=True):
        excess[token] = max(excess.get(token, 0), length - params.dry_allowed_length)
    return {
        token: min(params.dry_multiplier * params.dry_base**n, _LARGEST_DRY_PENALTY)
        for token, n in excess.items()
    }


class _Tally:
    """How often each of some tokens has come."""

    def __init__(self) -> None:
        self._places: dict[int, int] = {}
        self._ids: TokenArray = np.zeros(64, dtype=np.int64)
        self._counts: TokenArray = np.zeros(64, dtype=np.int64)

    def add(self, token_ids: Iterable[int]) -> None:
        for token_id in token_ids:
            place = self._places.setdefault(token_id, len(self._places))
            if place == len(self._ids):
                self._ids = np.concatenate([self._ids, np.zeros_like(self._ids)])
                self._counts = np.concatenate([self._counts, np.zeros_like(self._counts)])
            self._ids[place] = token_id
            self._counts[place] += 1

    def within(self, vocab: int) -> tuple[TokenArray, TokenArray]:
        """Return the tokens below ``vocab``, each once, and their counts."""
        ids, counts = self._ids[: len(self._places)], self._counts[: len(self._places)]
        if ids.size and ids.max() >= vocab:
            known = ids < vocab
            return ids[known], counts[known]
        return ids, counts


class _History:
    """A request's tokens as a growing array, and how often each has come.

    Attributes:
        everything: Tokens of prompt and reply.
        reply: Tokens of the reply.
    """

    def __init__(self, request: SlotState) -> None:
        self._request = request
        self._num_prompt_tokens = request.num_prompt_tokens
        self._buffer: TokenArray = np.array(request.token_ids, dtype=np.int64)
        self._length = len(self._buffer)
        self.everything, self.reply = _Tally(), _Tally()
        self.everything.add(request.token_ids)
        self.reply.add(request.token_ids[request.num_prompt_tokens :])

    @property
    def tokens(self) -> TokenArray:
        return self._buffer[: self._length]

    def continues(self, request: SlotState) -> bool:
        """Whether the request still begins with these tokens; what cannot be seen to is not."""
        return (
            request is self._request
            and request.num_prompt_tokens == self._num_prompt_tokens
            and request.num_tokens >= self._length
            and request.token_ids[self._length - 1] == self._buffer[self._length - 1]
        )

    def extend(self) -> None:
        new = self._request.token_ids[self._length :]
        end = self._length + len(new)
        if end > len(self._buffer):
            grown = np.empty(2 * end, dtype=np.int64)
            grown[: self._length] = self.tokens
            self._buffer = grown
        self._buffer[self._length : end] = new
        self._length = end
        self.everything.add(new)
        self.reply.add(new)


class _TokenSets:
    """The tokens that a request's parameters name, on the device; those unknown left out."""

    def __init__(self, params: SamplingParams, logits: Tensor) -> None:
        self.params = params
        vocab = logits.shape[0]
        known = {token: bias for token, bias in params.logit_bias.items() if token < vocab}
        self.biased = _within(known, vocab, logits) if known else None
        self.biases = torch.tensor(list(known.values()), dtype=logits.dtype, device=logits.device)
        self.allowed: Tensor | None = None
        if params.allowed_token_ids is not None:
            self.allowed = _within(params.allowed_token_ids, vocab, logits)
        self.banned: Tensor | None = None
        if params.banned_token_ids:
            self.banned = _within(params.banned_token_ids, vocab, logits)


def _ban(logits: Tensor, request: SlotState, sets: _TokenSets) -> None:
    params = request.params
    vocab = logits.shape[0]
    if sets.allowed is not None:
        kept = logits[sets.allowed]
        logits.fill_(float("-inf"))
        logits[sets.allowed] = kept
    if sets.banned is not None:
        logits[sets.banned] = float("-inf")
    if request.num_output_tokens < params.min_tokens and request.stop_token_ids:
        ends = _within(request.stop_token_ids, vocab, logits)
        kept = logits[ends]
        logits[ends] = float("-inf")
        if logits.amax() == float("-inf"):
            logits[ends] = kept


def _looks_back(params: SamplingParams) -> bool:
    return (
        params.repetition_penalty != 1.0
        or params.frequency_penalty != 0.0
        or params.presence_penalty != 0.0
        or params.dry_multiplier > 0.0
    )


def _within(token_ids: Iterable[int], vocab: int, like: Tensor) -> Tensor:
    ids = [token_id for token_id in token_ids if token_id < vocab]
    return torch.tensor(ids, dtype=torch.int64, device=like.device)


def _indices(found: NDArray[Any], like: Tensor) -> Tensor:
    return torch.from_numpy(found).to(like.device)
