"""What the sampler should choose, in float64 and with everything sorted."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine.gpu.sampling.sampling_state import NOT_FINITE, NOTHING_LEFT, SlotSampling

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


def philox(
    seed: int, block: ArrayLike, position: ArrayLike, stream: int
) -> list[NDArray[np.uint64]]:
    """Philox4x32-7 by the paper (Salmon et al. 2011), of counter (block, position, stream, 0)."""
    high, low = np.uint64(32), np.uint64(0xFFFFFFFF)
    key = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32 & 0xFFFFFFFF)]
    columns = np.broadcast_arrays(block, position, np.uint64(stream), np.uint64(0))
    a, b, c, d = (column.astype(np.uint64) for column in columns)
    for _ in range(7):
        left, right = a * np.uint64(0xD2511F53), c * np.uint64(0xCD9E8D57)
        a, b, c, d = right >> high ^ b ^ key[0], right & low, left >> high ^ d ^ key[1], left & low
        key = [key[0] + np.uint64(0x9E3779B9) & low, key[1] + np.uint64(0xBB67AE85) & low]
    return [a, b, c, d]


def noise(seed: int, position: ArrayLike, token: NDArray[np.int64]) -> Floats:
    """Exponential noise of tokens: four tokens that are 256 apart share a block."""
    block = token // 1024 * 256 + token % 256
    numbers = np.choose(token // 256 % 4, philox(seed, block, position, 0))
    return -np.log1p(-(numbers.astype(np.float64) + 0.5) * 2.0**-32)


def coin(seed: int, position: int) -> float:
    """XTC's, from 24 bits."""
    return float(philox(seed, 0, position, 1)[0] >> np.uint64(8)) * 2.0**-24


def dry_penalties(tokens: Sequence[int], how: SlotSampling) -> dict[int, float]:
    """What DRY takes from each token, every place of the text looked at by itself."""
    text = list(tokens[-how.dry_range :] if how.dry_range else tokens)
    breakers = set(how.dry_breaker_ids)
    longest: dict[int, int] = {}
    for place in range(1, len(text)):
        length = 0
        while (
            length < min(256, place)
            and text[-1 - length] not in breakers
            and text[place - 1 - length] == text[-1 - length]
        ):
            length += 1
        longest[text[place]] = max(length, longest.get(text[place], 0))
    return {
        token: min(how.dry_multiplier * how.dry_base ** (length - how.dry_allowed_length), 1e9)
        for token, length in longest.items()
        if length >= how.dry_allowed_length
        and token not in breakers
        and token not in set(how.stop_token_ids)
    }


def changed_scores(
    logits: Floats, how: SlotSampling, tokens: Sequence[int], num_prompt: int, mask: Bools | None
) -> tuple[Floats, bool]:
    """Return the scores after all changes, and whether the ban of end tokens was lifted."""
    scores, vocab = logits.copy(), len(logits)
    if mask is not None:
        scores[~mask] = -np.inf
    for token, bias in how.logit_bias.items():
        if token < vocab:
            scores[token] += bias
    for token in range(vocab):
        allowed = how.allowed_token_ids is None or token in how.allowed_token_ids
        if not allowed or token in how.banned_token_ids:
            scores[token] = -np.inf
    lifted = False
    ends = [token for token in how.stop_token_ids if token < vocab]
    if len(tokens) - num_prompt < how.min_tokens:
        others = np.delete(scores, ends)
        lifted = others.max() == -np.inf and scores.max() > -np.inf
        if not lifted:
            scores[ends] = -np.inf
    for token in {token for token in tokens if token < vocab}:
        penalty = how.repetition_penalty
        scores[token] = scores[token] / penalty if scores[token] > 0 else scores[token] * penalty
    reply = [token for token in tokens[num_prompt:] if token < vocab]
    for token in set(reply):
        scores[token] -= how.frequency_penalty * reply.count(token) + how.presence_penalty
    if how.dry_multiplier > 0:
        for token, amount in dry_penalties(tokens, how).items():
            if token < vocab:
                scores[token] -= amount
    return scores, lifted


def kept(scores: Floats, how: SlotSampling, position: int) -> Bools:
    """Which tokens may be drawn; those with the score of the last one kept are kept as well."""
    with np.errstate(invalid="ignore"):
        weights = np.exp((scores - scores.max()) / how.temperature)
    order = np.sort(weights)[::-1]
    stays: Bools = weights > 0
    if 0 < how.top_k < len(scores):
        stays &= weights >= order[how.top_k - 1]
    if how.top_p < 1:
        left = np.sort(weights[stays])[::-1]
        reached = np.cumsum(left) >= how.top_p * left.sum() * (1 - 1e-12)
        stays &= weights >= (left[reached.argmax()] if reached.any() else 0)
    stays &= weights >= how.min_p
    if how.excludes_top_choices and coin(how.seed, position) < how.xtc_probability:
        choices = stays & (weights >= how.xtc_threshold * weights[stays].sum())
        excluded = choices & (weights > weights[choices].min(initial=np.inf))
        if not excluded[[token for token in how.stop_token_ids if token < len(scores)]].any():
            stays &= ~excluded
    return stays


def choose(
    logits: Floats,
    how: SlotSampling,
    tokens: Sequence[int],
    num_prompt: int,
    mask: Bools | None = None,
) -> int:
    """Return the token, or what stands for none."""
    if np.isnan(logits).any() or not np.isfinite(logits.max()):
        return NOT_FINITE
    scores, lifted = changed_scores(logits, how, tokens, num_prompt, mask)
    if scores.max() == -np.inf:
        return NOTHING_LEFT
    if how.greedy:
        return int(scores.argmax())
    position = len(tokens) - num_prompt
    stays = scores > -np.inf if lifted else kept(scores, how, position)
    race = np.exp((scores - scores.max()) / how.temperature)
    race /= noise(how.seed, position, np.arange(len(scores)))
    return int(np.where(stays, race, -1).argmax())
